/// One piece of a pattern, after the manner of CPython's `re._parser`: a sequence is an array of nodes.
///
/// A non-capturing group without flags has no node of its own: its body stands in its place.
indirect enum Node: Sendable {
    /// One code point. It may be a surrogate, written as an escape, which no subject has.
    case literal(CodePoint)
    /// Any code point but this one: `[^a]`.
    case notLiteral(CodePoint)
    /// The dot.
    case any
    case set(negated: Bool, items: [SetItem])
    case anchor(Anchor)
    case branch([[Node]])
    /// A capturing group (with its number), or one that changes flags, or both.
    case group(number: Int?, adding: Flags, removing: Flags, body: [Node])
    case atomic([Node])
    case quantified(Quantifier, minimum: Int, maximum: Int, body: [Node])
    case look(Look, body: [Node])
    case backreference(Int)
    /// `(?(1)yes|no)`. `isOpen` where the group it asks about is not closed at this place.
    case conditional(group: Int, isOpen: Bool, yes: [Node], no: [Node])
}

/// What a quantifier prefers.
enum Quantifier: Sendable {
    case greedy, lazy, possessive

    /// CPython's name for it, which one of its messages has.
    var opcode: String {
        switch self {
        case .greedy: "MAX_REPEAT"
        case .lazy: "MIN_REPEAT"
        case .possessive: "POSSESSIVE_REPEAT"
        }
    }
}

/// A place in the subject.
enum Anchor: Sendable {
    /// `^`
    case beginning
    /// `$`
    case end
    /// `\A`
    case beginningOfString
    /// `\Z`
    case endOfString
    /// `\b`
    case boundary
    /// `\B`
    case notBoundary
}

/// A look around.
enum Look: Sendable {
    case ahead(negated: Bool)
    /// The width is that of the body; it has to be fixed, which is checked when the whole pattern was read.
    case behind(negated: Bool, width: Width)
}

/// A member of a character set.
enum SetItem: Hashable, Sendable {
    case literal(CodePoint)
    case range(CodePoint, CodePoint)
    case category(Category)
}

/// What `\d`, `\s`, `\w` and their opposites stand for.
enum Category: Hashable, Sendable {
    case digit, notDigit, space, notSpace, word, notWord
}

/// The flags that a pattern may set; debugging is none of them.
struct Flags: OptionSet, Sendable {
    let rawValue: UInt8
    /// `(?t)`: CPython knows it still; it forbids quantifiers.
    static let template = Flags(rawValue: 1)
    static let ignoreCase = Flags(rawValue: 2)
    static let locale = Flags(rawValue: 4)
    static let multiline = Flags(rawValue: 8)
    static let dotAll = Flags(rawValue: 16)
    static let unicode = Flags(rawValue: 32)
    static let verbose = Flags(rawValue: 64)
    static let ascii = Flags(rawValue: 128)

    /// The flags of which one is in force.
    static let types: Flags = [.ascii, .locale, .unicode]
    /// The flags that only a whole pattern can have.
    static let globals: Flags = [.template]

    /// The flag that a letter stands for.
    static func named(_ letter: CodePoint) -> Flags? {
        switch letter {
        case "i": .ignoreCase
        case "L": .locale
        case "m": .multiline
        case "s": .dotAll
        case "x": .verbose
        case "a": .ascii
        case "t": .template
        case "u": .unicode
        default: nil
        }
    }

    /// The flags inside a group that adds and removes some.
    func adding(_ added: Flags, removing removed: Flags) -> Flags {
        var result = self
        if !added.isDisjoint(with: .types) { result.subtract(.types) }
        return result.union(added).subtracting(removed)
    }
}
