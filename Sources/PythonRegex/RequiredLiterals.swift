/// What every subject that an expression matches has in it, so that a search can be planned without matching.
///
/// Each property is a promise: it may be empty where more could be known, but it never rules out a match.
public struct RequiredLiterals: Equatable, Sendable {
    /// The only subject that matches; nil where there may be several, or none.
    public let exact: [UInt8]?
    /// What every match begins with.
    public let prefix: [UInt8]
    /// What every match contains, at any place: without repeats, the longest first.
    public let contained: [[UInt8]]
    /// What every match contains, also where the case of letters does not matter: the longest first.
    public let sought: [SoughtText]

    var byteCount: Int {
        contained.reduce((exact?.count ?? 0) + prefix.count) { $0 + $1.count + MemoryLayout<[UInt8]>.stride + 32 }
    }

    /// - Complexity: O(*nodes*).
    init(of pattern: ParsedPattern) {
        var walk = LiteralWalk()
        walk.sequence(pattern.nodes, pattern.flags)
        walk.breakRun()
        exact = walk.isExact ? walk.prefix : nil
        prefix = walk.prefix
        var seen: Set<[UInt8]> = []
        sought = walk.soughtRuns.sorted { $0.bytes.count > $1.bytes.count }
        contained = walk.runs.filter { !$0.isEmpty && seen.insert($0).inserted }
            .sorted { ($1.count, $0.lexicographicOrder($1)) < ($0.count, $1.lexicographicOrder($0)) }
    }
}

/// Bytes to search for. A subject's byte is the one here if it is so after `mask` was put into it by "or": 0 for bytes
/// that are compared as they are, 0x20 for letters `a` to `z` that stand for both cases.
public struct SoughtText: Equatable, Sendable {
    public internal(set) var bytes: [UInt8] = []
    public internal(set) var masks: [UInt8] = []
}

extension RequiredLiterals {
    /// The one text that the nodes match, whatever follows them; nil where there is none.
    static func plainText(_ nodes: ArraySlice<Node>, _ flags: Flags) -> [UInt8]? {
        var walk = LiteralWalk()
        walk.sequence(Array(nodes), flags)
        return walk.isExact && !walk.hasAnchor ? walk.prefix : nil
    }
}

extension [UInt8] {
    /// 0 where it comes before the other, else 1.
    fileprivate func lexicographicOrder(_ other: [UInt8]) -> Int { lexicographicallyPrecedes(other) ? 0 : 1 }
}

/// Walks along a pattern and collects what is certain.
private struct LiteralWalk {
    /// All that was seen so far, while it is one text from the start on.
    private(set) var prefix: [UInt8] = []
    /// Texts that stand somewhere in each match.
    private(set) var runs: [[UInt8]] = []
    /// Whether nothing but that text was seen.
    private(set) var isExact = true
    private var run: [UInt8] = []
    /// The same as `runs` and `run`, with letters of either case.
    private(set) var soughtRuns: [SoughtText] = []
    private var soughtRun = SoughtText()
    private var isAtPrefix = true
    /// A `$` was seen: only the end may follow.
    private var mustEnd = false
    /// What is exact once need not be so when it is repeated.
    private(set) var hasAnchor = false

    mutating func breakRun() {
        breakExactRun()
        if !soughtRun.bytes.isEmpty { soughtRuns.append(soughtRun) }
        soughtRun = SoughtText()
    }

    private mutating func breakExactRun() {
        if !run.isEmpty { runs.append(run) }
        run = []
    }

    /// Something follows of which no text is known.
    private mutating func lose() {
        breakRun()
        isAtPrefix = false
        isExact = false
    }

    /// A letter follows, in either case.
    private mutating func append(eitherCaseOf small: UInt8) {
        breakExactRun()
        isAtPrefix = false
        isExact = false
        guard soughtRun.bytes.count < RegexLimits.maximumLiteralBytes else { return lose() }
        soughtRun.bytes.append(small)
        soughtRun.masks.append(0x20)
    }

    private mutating func append(_ bytes: [UInt8]) {
        if mustEnd { isExact = false }
        if soughtRun.bytes.count + bytes.count > RegexLimits.maximumLiteralBytes {
            lose()
            return
        }
        run += bytes
        soughtRun.bytes += bytes
        soughtRun.masks += [UInt8](repeating: 0, count: bytes.count)
        if isAtPrefix { prefix += bytes }
    }

    mutating func sequence(_ nodes: [Node], _ flags: Flags) {
        for node in nodes { self.node(node, flags) }
    }

    private mutating func node(_ node: Node, _ flags: Flags) {
        switch node {
        case .literal(let point):
            unit(
                flags.contains(.ignoreCase)
                    ? CaseFolding.variants(of: point.value, ascii: flags.contains(.ascii)) : CodePointSet([point.value])
            )
        case .set, .notLiteral, .any, .backreference: lose()
        case .anchor(let anchor): self.anchor(anchor)
        case .group(_, let adding, let removing, let body):
            sequence(body, flags.adding(adding, removing: removing))
        case .atomic(let body): sequence(body, flags)
        case .quantified(_, let minimum, let maximum, let body): quantified(minimum, maximum, body, flags)
        case .look(let look, let body): self.look(look, body, flags)
        case .branch, .conditional: lose()
        }
    }

    private mutating func unit(_ set: CodePointSet) {
        if let small = set.soleLetter { return append(eitherCaseOf: small) }
        guard set.ranges.count == 1, set.ranges[0].count == 1,
            let scalar = Unicode.Scalar(set.ranges[0].lowerBound)
        else { return lose() }
        append(Array(UTF8.encode(scalar) ?? .init()))
    }

    private mutating func anchor(_ anchor: Anchor) {
        hasAnchor = true
        switch anchor {
        case .beginning, .beginningOfString: if !(isAtPrefix && prefix.isEmpty) { isExact = false }
        case .end, .endOfString: mustEnd = true
        case .boundary, .notBoundary: isExact = false
        }
    }

    private mutating func quantified(_ minimum: Int, _ maximum: Int, _ body: [Node], _ flags: Flags) {
        var inner = LiteralWalk()
        inner.sequence(body, flags)
        inner.breakRun()
        guard minimum > 0 else { return lose() }
        let copies = minimum.multipliedReportingOverflow(by: max(1, inner.prefix.count))
        let fits = !copies.overflow && copies.partialValue <= RegexLimits.maximumLiteralBytes
        if inner.isExact, !inner.hasAnchor, fits {
            for _ in 0..<minimum { append(inner.prefix) }
            if maximum != minimum { lose() }
            return
        }
        if isAtPrefix { prefix += inner.prefix }
        lose()
        runs += inner.runs
        soughtRuns += inner.soughtRuns
    }

    private mutating func look(_ look: Look, _ body: [Node], _ flags: Flags) {
        isExact = false
        switch look {
        case .ahead(negated: true), .behind(negated: true, _): break
        case .ahead(negated: false), .behind(negated: false, _):
            var inner = LiteralWalk()
            inner.sequence(body, flags)
            inner.breakRun()
            runs += inner.runs
            soughtRuns += inner.soughtRuns
        }
    }
}

extension CodePointSet {
    /// The letter `a` to `z`, where the set is that letter in both cases and nothing else.
    fileprivate var soleLetter: UInt8? {
        guard ranges.count == 2, ranges[0].count == 1, ranges[1].count == 1 else { return nil }
        let (capital, small) = (ranges[0].lowerBound, ranges[1].lowerBound)
        return (0x41...0x5A).contains(capital) && small == capital + 0x20 ? UInt8(small) : nil
    }
}
