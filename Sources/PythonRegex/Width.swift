/// How many code points something can take, from the fewest to the most.
struct Width: Equatable, Sendable {
    var minimum: Int
    var maximum: Int

    /// One code point.
    static let one = Width(minimum: 1, maximum: 1)
    static let zero = Width(minimum: 0, maximum: 0)

    /// Both bounds stop at the highest repeat count, as CPython's do.
    private var bounded: Width {
        Width(
            minimum: min(minimum, RegexLimits.maximumRepeat - 1),
            maximum: min(maximum, RegexLimits.maximumRepeat))
    }

    private static func sum(_ one: Int, _ two: Int) -> Int {
        let (result, overflow) = one.addingReportingOverflow(two)
        return overflow ? .max : result
    }

    private static func product(_ one: Int, _ two: Int) -> Int {
        let (result, overflow) = one.multipliedReportingOverflow(by: two)
        return overflow ? .max : result
    }

    static func + (one: Width, two: Width) -> Width {
        Width(minimum: sum(one.minimum, two.minimum), maximum: sum(one.maximum, two.maximum))
    }

    /// What one of several can take.
    private static func either(_ widths: [Width]) -> Width {
        Width(
            minimum: widths.reduce(RegexLimits.maximumRepeat - 1) { min($0, $1.minimum) },
            maximum: widths.reduce(0) { max($0, $1.maximum) })
    }

    /// The width of a sequence.
    /// - Parameter groups: Widths of the closed groups, by number.
    /// - Complexity: O(nodes).
    static func of(_ nodes: [Node], groups: [Width?]) -> Width {
        nodes.reduce(.zero) { $0 + of($1, groups: groups) }.bounded
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
            let width = of(body, groups: groups)
            return Width(minimum: product(width.minimum, minimum), maximum: product(width.maximum, maximum))
        case .backreference(let group): return (group < groups.count ? groups[group] : nil) ?? .zero
        case .conditional(_, _, let yes, let no):
            return either([of(yes, groups: groups), no.isEmpty ? .zero : of(no, groups: groups)])
        }
    }
}
