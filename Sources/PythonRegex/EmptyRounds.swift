/// Patterns in which it shows how often a repeat goes round without taking anything.
///
/// CPython ends a repeat after a round that took nothing, unless the round was required; PCRE2 writes counted rounds
/// out one behind the other, and ends only what is left of the repeat. Both match the same, unless something remembers
/// which round was the last: a group that is referred to, or an atomic group, which keeps the first way it finds. And
/// where many rounds are counted, PCRE2 goes through all ways to leave some of them empty, which are too many.
struct EmptyRounds {
    /// Up to so many counted rounds the ways to leave some empty are few.
    private static let fewRounds = 8

    private var hasEmptyRounds = false
    private var hasManyEmptyRounds = false
    private var remembers = false
    private let groupWidths: [Width?]

    private init(_ groupWidths: [Width?]) { self.groupWidths = groupWidths }

    /// - Complexity: O(nodes · nesting).
    static func matter(in pattern: ParsedPattern) -> Bool {
        var search = EmptyRounds(pattern.groupWidths)
        search.sequence(pattern.nodes)
        return search.hasManyEmptyRounds || (search.hasEmptyRounds && search.remembers)
    }

    private mutating func sequence(_ nodes: [Node]) {
        for node in nodes { self.node(node) }
    }

    private mutating func node(_ node: Node) {
        switch node {
        case .literal, .notLiteral, .any, .set, .anchor: break
        case .backreference: remembers = true
        case .conditional(_, _, let yes, let no):
            remembers = true
            sequence(yes)
            sequence(no)
        case .atomic(let body):
            remembers = true
            sequence(body)
        case .branch(let alternatives):
            for alternative in alternatives { sequence(alternative) }
        case .group(_, _, _, let body), .look(_, let body): sequence(body)
        case .quantified(let quantifier, let minimum, let maximum, let body):
            if body.count == 1, body[0].isUnit { return }
            if quantifier == .possessive { remembers = true }
            if maximum > 1, Width.of(body, groups: groupWidths).minimum == 0 {
                hasEmptyRounds = true
                let counted = maximum == RegexLimits.maximumRepeat ? minimum : maximum
                if counted > Self.fewRounds { hasManyEmptyRounds = true }
            }
            sequence(body)
        }
    }
}
