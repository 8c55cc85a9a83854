/// Whether one count of PCRE2's match limit may stand for a walk along the subject instead of for a single step.
enum ScanCost {
    /// A repeat of single characters up to this length is a step like others.
    private static let shortRepeat = 32

    static func mayScan(_ nodes: [Node]) -> Bool { nodes.contains(where: mayScan) }

    private static func mayScan(_ node: Node) -> Bool {
        switch node {
        case .literal, .notLiteral, .any, .set, .anchor: false
        case .backreference: true
        case .branch(let alternatives): alternatives.contains(where: mayScan)
        case .group(_, _, _, let body), .atomic(let body): mayScan(body)
        case .quantified(_, _, let maximum, let body):
            mayScan(body) || (body.count == 1 && body[0].isUnit && maximum > shortRepeat)
        case .look(.ahead, let body): mayScan(body)
        case .look(.behind(_, let width), let body): width.maximum > shortRepeat || mayScan(body)
        case .conditional(_, _, let yes, let no): mayScan(yes) || mayScan(no)
        }
    }
}
