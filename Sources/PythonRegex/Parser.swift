/// A pattern that was read: its syntax tree, and the flags in force at its top.
struct ParsedPattern: Sendable {
    let nodes: [Node]
    let flags: Flags
    /// Of each group by number; there is none for group 0.
    let groupWidths: [Width?]
    /// About how many nodes there are at all depths.
    let nodeCount: Int

    /// Without group 0.
    var groupCount: Int { groupWidths.count - 1 }
}

/// Reads Python's syntax of regular expressions, refusing what `re.compile` of CPython 3.11 refuses, in its order, so
/// that of several faults the same one is named.
///
/// The tree has the same shape as CPython's, also where that changes what a pattern means: an alternation of single
/// characters becomes a set, and a set folds case a little differently from a character of its own.
///
/// What reads groups inside groups is recursive, so what else they need is kept out of their frames (`@inline(never)`):
/// the deepest nesting that is allowed takes less than a quarter of a megabyte of stack.
struct Parser {
    var reader: PatternReader
    /// Flags of the whole pattern, as far as they are known.
    var flags: Flags = []
    var groupNumbers: [[CodePoint]: Int] = [:]
    /// Width of each group, from 0; nil for group 0 and for one that is still open.
    var groupWidths: [Width?] = [nil]
    /// Inside a look behind: the number of groups when the outermost one began.
    var groupsBeforeLookBehind: Int?
    /// Where each number was first asked about by a condition, in the order of asking.
    var conditionPositions: [(group: Int, position: Int)] = []
    var conditionGroups: Set<Int> = []
    private var nodeCount = 0

    /// - Parameter pattern: What `re.compile` would be given.
    /// - Throws: What CPython would say, or that a limit of ``RegexLimits`` is exceeded.
    static func parse(_ pattern: [CodePoint]) throws(PythonRegexError) -> ParsedPattern {
        var parser = try Parser(reader: PatternReader(pattern))
        return try parser.parse()
    }

    private mutating func parse() throws(PythonRegexError) -> ParsedPattern {
        let nodes = try parseAlternatives(verbose: false, depth: 0)
        if !flags.contains(.ascii) {
            flags.insert(.unicode)
        } else if flags.contains(.unicode) {
            throw PythonRegexError("ASCII and UNICODE flags are incompatible")
        }
        if reader.next != nil { throw reader.error("unbalanced parenthesis") }
        for condition in conditionPositions where condition.group >= groupWidths.count {
            throw PythonRegexError(
                "invalid group reference \(condition.group)", at: condition.position, in: reader.pattern)
        }
        return ParsedPattern(nodes: nodes, flags: flags, groupWidths: groupWidths, nodeCount: nodeCount)
    }

    // MARK: Alternatives

    /// `a|b|c`, up to a closing parenthesis or the end.
    mutating func parseAlternatives(verbose: Bool, depth: Int) throws(PythonRegexError) -> [Node] {
        if depth > RegexLimits.maximumNesting { throw tooDeep() }
        var verbose = verbose
        var alternatives: [[Node]] = []
        repeat {
            let isFirst = depth == 0 && alternatives.isEmpty
            alternatives.append(try parseSequence(verbose: verbose, depth: depth, isFirst: isFirst))
            if depth == 0 { verbose = flags.contains(.verbose) }
        } while try reader.take("|")
        return alternatives.count == 1 ? alternatives[0] : Self.branch(of: alternatives)
    }

    /// A branch, simplified as CPython does it: a common beginning moves out, single characters become a set.
    @inline(never)
    private static func branch(of alternatives: [[Node]]) -> [Node] {
        var common = 0
        let shortest = alternatives.reduce(Int.max) { min($0, $1.count) }
        while common < shortest {
            let first = alternatives[0][common]
            guard alternatives.allSatisfy({ $0[common].isSameLeaf(as: first) }) else { break }
            common += 1
        }
        let prefix = Array(alternatives[0].prefix(common))
        let rests = alternatives.map { Array($0.dropFirst(common)) }
        if let items = setItems(of: rests) { return prefix + [.set(negated: false, items: items)] }
        return prefix + [.branch(rests)]
    }

    private static func setItems(of alternatives: [[Node]]) -> [SetItem]? {
        var items: [SetItem] = []
        for alternative in alternatives {
            guard alternative.count == 1 else { return nil }
            switch alternative[0] {
            case .literal(let point): items.append(.literal(point))
            case .set(negated: false, let members): items += members
            case .set, .notLiteral, .any, .anchor, .branch, .group, .atomic, .quantified, .look, .backreference,
                .conditional:
                return nil
            }
        }
        return items.withoutRepeats()
    }

    // MARK: Sequences

    /// Items up to `|`, a closing parenthesis or the end.
    mutating func parseSequence(verbose: Bool, depth: Int, isFirst: Bool) throws(PythonRegexError) -> [Node] {
        var verbose = verbose
        var items: [Item] = []
        while let token = reader.next, !token.isPlain("|"), !token.isPlain(")") {
            _ = try reader.take()
            if token.isEscape {
                items.append(.node(try parseEscape(token.point)))
                continue
            }
            if verbose, token.point.isVerboseWhitespace { continue }
            switch token.point {
            case "#" where verbose: try skipLine()
            case "[": items.append(.node(try parseSet()))
            case "*", "+", "?", "{": try parseQuantifier(token.point, of: &items)
            case ".": items.append(.node(.any))
            case "^": items.append(.node(.anchor(.beginning)))
            case "$": items.append(.node(.anchor(.end)))
            case "(":
                let mayTakeGlobalFlags = isFirst && items.isEmpty
                switch try parseGroup(verbose: verbose, depth: depth, mayTakeGlobalFlags: mayTakeGlobalFlags) {
                case .item(let item): items.append(item)
                case .comment: break
                case .globalFlags: verbose = flags.contains(.verbose)
                }
            default: items.append(.node(.literal(token.point)))
            }
        }
        nodeCount += items.count
        return items.flatMap(\.nodes)
    }

    @inline(never)
    private mutating func skipLine() throws(PythonRegexError) {
        while let token = try reader.take(), !token.isPlain("\n") {}
    }

    /// What a sequence is made of while it is read: a plain group counts as one item until the sequence ends.
    enum Item {
        case node(Node)
        case plainGroup([Node])

        var nodes: [Node] {
            switch self {
            case .node(let node): [node]
            case .plainGroup(let nodes): nodes
            }
        }
    }

    // MARK: Quantifiers

    @inline(never)
    private mutating func parseQuantifier(_ point: CodePoint, of items: inout [Item]) throws(PythonRegexError) {
        let start = reader.position
        var minimum = 0
        var maximum = RegexLimits.maximumRepeat
        switch point {
        case "?": maximum = 1
        case "*": break
        case "+": minimum = 1
        default:
            guard let counts = try parseCounts(start: start) else {
                items.append(.node(.literal("{")))
                return
            }
            (minimum, maximum) = counts
        }
        let body = try quantifiable(items.last, back: reader.position - start + 1)
        let quantifier: Quantifier = try reader.take("?") ? .lazy : reader.take("+") ? .possessive : .greedy
        items[items.count - 1] = .node(.quantified(quantifier, minimum: minimum, maximum: maximum, body: body))
    }

    /// What stands between braces; nil, with the reader at `start`, where the brace is a character like others.
    private mutating func parseCounts(start: Int) throws(PythonRegexError) -> (Int, Int)? {
        if let next = reader.next, next.isPlain("}") { return nil }
        let low = try reader.take(upTo: .max, while: \.isASCIIDigit)
        let high = try reader.take(",") ? reader.take(upTo: .max, while: \.isASCIIDigit) : low
        guard try reader.take("}") else {
            try reader.seek(start)
            return nil
        }
        let minimum = try low.isEmpty ? 0 : Self.count(low)
        if high.isEmpty { return (minimum, RegexLimits.maximumRepeat) }
        let maximum = try Self.count(high)
        if maximum < minimum {
            throw reader.error("min repeat greater than max repeat", back: reader.position - start)
        }
        return (minimum, maximum)
    }

    private static func count(_ digits: [CodePoint]) throws(PythonRegexError) -> Int {
        if digits.count > Int.maximumPythonDigits { throw .tooManyDigits(digits.count) }
        var value = 0
        for digit in digits {
            value = min(value * 10 + Int(digit.digitValue), RegexLimits.maximumRepeat)
        }
        if value >= RegexLimits.maximumRepeat { throw PythonRegexError("the repetition number is too large") }
        return value
    }

    private func quantifiable(_ item: Item?, back: Int) throws(PythonRegexError) -> [Node] {
        switch item {
        case nil, .node(.anchor): throw reader.error("nothing to repeat", back: back)
        case .node(.quantified): throw reader.error("multiple repeat", back: back)
        case .node(let node): return [node]
        case .plainGroup(let nodes): return nodes
        }
    }
}

extension Int {
    /// How many digits `int()` takes from a text by default.
    static let maximumPythonDigits = 4_300
}

extension PythonRegexError {
    static func tooManyDigits(_ count: Int) -> PythonRegexError {
        PythonRegexError(
            "Exceeds the limit (\(Int.maximumPythonDigits) digits) for integer string conversion: value has "
                + "\(count) digits; use sys.set_int_max_str_digits() to increase the limit")
    }
}

extension Node {
    /// Whether both are the same single step; what contains other nodes is never the same.
    func isSameLeaf(as other: Node) -> Bool {
        switch (self, other) {
        case (.literal(let one), .literal(let two)): one == two
        case (.notLiteral(let one), .notLiteral(let two)): one == two
        case (.any, .any): true
        case (.set(let negatedOne, let one), .set(let negatedTwo, let two)): negatedOne == negatedTwo && one == two
        case (.anchor(let one), .anchor(let two)): one == two
        case (.backreference(let one), .backreference(let two)): one == two
        default: false
        }
    }
}

extension [SetItem] {
    /// Each member once, in the order of its first appearance.
    func withoutRepeats() -> [SetItem] {
        var seen: Set<SetItem> = []
        return filter { seen.insert($0).inserted }
    }
}
