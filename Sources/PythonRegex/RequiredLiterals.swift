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

    /// - Complexity: O(*nodes*).
    init(of pattern: ParsedPattern) {
        var walk = LiteralWalk()
        walk.sequence(pattern.nodes, pattern.flags)
        walk.breakRun()
        exact = walk.isExact ? walk.prefix : nil
        prefix = walk.prefix
        var seen: Set<[UInt8]> = []
        contained = walk.runs.filter { !$0.isEmpty && seen.insert($0).inserted }
            .sorted { ($1.count, $0.lexicographicOrder($1)) < ($0.count, $1.lexicographicOrder($0)) }
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
    private var isAtPrefix = true
    /// A `$` was seen: only the end may follow.
    private var mustEnd = false
    /// What is exact once need not be so when it is repeated.
    private var hasAnchor = false

    mutating func breakRun() {
        if !run.isEmpty { runs.append(run) }
        run = []
    }

    /// Something follows of which no text is known.
    private mutating func lose() {
        breakRun()
        isAtPrefix = false
        isExact = false
    }

    private mutating func append(_ bytes: [UInt8]) {
        if mustEnd { isExact = false }
        if run.count + bytes.count > RegexLimits.maximumLiteralBytes {
            lose()
            return
        }
        run += bytes
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
        }
    }
}
