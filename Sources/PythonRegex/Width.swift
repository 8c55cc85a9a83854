/// How many code points something can take, from the fewest to the most.
struct Width: Equatable, Sendable {
    let minimum: UInt128
    let maximum: UInt128

    /// Where CPython stops to count. No product of a width and a repeat count overflows.
    private static let most: UInt128 = 1 << 64

    static let zero = Width(minimum: 0, maximum: 0)
    /// One code point.
    static let one = Width(minimum: 1, maximum: 1)

    /// What one of several can take.
    private static func either(_ widths: [Width]) -> Width {
        Width(
            minimum: widths.reduce(most) { min($0, $1.minimum) },
            maximum: widths.reduce(0) { max($0, $1.maximum) })
    }

    /// The width of a sequence.
    /// - Parameter groups: Widths of the closed groups, by number.
    /// - Complexity: O(nodes).
    static func of(_ nodes: [Node], groups: [Width?]) -> Width {
        var minimum: UInt128 = 0
        var maximum: UInt128 = 0
        for node in nodes {
            let width = of(node, groups: groups)
            minimum += width.minimum
            maximum += width.maximum
        }
        return Width(minimum: min(minimum, most), maximum: min(maximum, most))
    }

    private static func of(_ node: Node, groups: [Width?]) -> Width {
        switch node {
        case .literal, .notLiteral, .any, .set: return .one
        case .anchor, .look: return .zero
        case .branch(let alternatives): return either(alternatives.map { of($0, groups: groups) })
        case .group(let number, _, _, let body):
            if let number, number < groups.count, let known = groups[number] { return known }
            return of(body, groups: groups)
        case .atomic(let body): return of(body, groups: groups)
        case .quantified(_, let minimum, let maximum, let body):
            return of(body, groups: groups).times(minimum, maximum)
        case .backreference(let group): return (group < groups.count ? groups[group] : nil) ?? .zero
        case .conditional(_, _, let yes, let no):
            return either([of(yes, groups: groups), of(no, groups: groups)])
        }
    }

    private func times(_ low: Int, _ high: Int) -> Width {
        let isUnlimited = high == RegexLimits.maximumRepeat && maximum > 0
        return Width(
            minimum: minimum * UInt128(low),
            maximum: isUnlimited ? Self.most : maximum * UInt128(high))
    }
}
