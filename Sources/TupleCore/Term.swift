/// A piece of a request's payload as it was given, well formed or not: what JSON can say.
///
/// PUT and POST give back what they could not use "as it was given", so a payload is kept in this form until it has been
/// understood. Objects keep the order of their members.
public indirect enum Term: Hashable, Sendable {
    case null
    case boolean(Bool)
    /// A number as its JSON text: never converted, so nothing of it is lost.
    case number(String)
    /// A string's bytes; a sender may have sent what is not UTF-8.
    case string([UInt8])
    case list([Term])
    case object([Member])

    /// A member of an object.
    public struct Member: Hashable, Sendable {
        public var name: [UInt8]
        public var value: Term
        public init(name: [UInt8], value: Term) {
            self.name = name
            self.value = value
        }
    }

    /// A string term from Swift's own string.
    public static func string(_ text: String) -> Term { .string([UInt8](text.utf8)) }

    /// Whether `text` is a number as JSON writes it (RFC 8259, section 6).
    ///
    /// - Complexity: O(bytes).
    public static func isNumber(_ text: some Collection<UInt8>) -> Bool {
        var rest = text[...]
        func skip(_ allowed: [Character]) -> Bool {
            guard let byte = rest.first, allowed.contains(Character(UnicodeScalar(byte))) else { return false }
            rest = rest.dropFirst()
            return true
        }
        func digits() -> Int {
            let run = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            rest = rest[run.endIndex...]
            return run.count
        }
        _ = skip(["-"])
        let beginsWithZero = rest.first == UInt8(ascii: "0")
        let integer = digits()
        guard integer == 1 || integer > 1 && !beginsWithZero else { return false }
        if skip(["."]), digits() == 0 { return false }
        if skip(["e", "E"]) {
            _ = skip(["+", "-"])
            if digits() == 0 { return false }
        }
        return rest.isEmpty
    }

    /// The list of strings that a tuple is.
    public init(_ tuple: Tuple) { self = .list(tuple.elements.map(Term.string)) }

    /// The list of key and value that a pair is.
    public init(_ pair: Pair) { self = .list([Term(pair.key), Term(pair.value)]) }
}

extension Tuple {
    /// The tuple that `term` is: a list of strings.
    ///
    /// - Throws: ``TupleError`` where it is none.
    public init(_ term: Term, rule: ElementRule) throws(TupleError) {
        guard case .list(let items) = term else { throw .empty }
        var elements: [[UInt8]] = []
        elements.reserveCapacity(items.count)
        for (position, item) in items.enumerated() {
            guard case .string(let bytes) = item else { throw .element(position) }
            elements.append(bytes)
        }
        try self.init(elements: elements, rule: rule)
    }
}

extension Pair {
    /// The pair that `term` is: a list of two tuples. Nil where it is none.
    public init?(_ term: Term, rule: ElementRule) {
        guard case .list(let parts) = term, parts.count == 2,
            let key = try? Tuple(parts[0], rule: rule), let value = try? Tuple(parts[1], rule: rule)
        else { return nil }
        self.init(key: key, value: value)
    }
}
