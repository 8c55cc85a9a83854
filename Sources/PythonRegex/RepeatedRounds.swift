/// Patterns in which it shows that CPython and PCRE2 go round in a repeat differently:
///
/// - CPython ends a repeat after a round that took nothing, unless the round was required; PCRE2 writes counted rounds
///   out one behind the other, and ends only what is left of the repeat. Both match the same, unless something remembers
///   which round was the last: a group that is referred to, or an atomic group, which keeps the first way it finds.
/// - Where many rounds are counted, PCRE2 goes through all ways to leave some of them empty, which are too many.
/// - In a possessive repeat CPython does not put back what a group held when it goes back within a round.
struct RepeatedRounds {
    /// Up to so many counted rounds the ways to leave some empty are few.
    private static let fewRounds = 8

    private var hasEmptyRounds = false
    private var hasManyEmptyRounds = false
    private var hasPossessiveGroups = false
    private var remembers = false
    private var refers = false
    private var possessiveRepeats = 0
    private let groupWidths: [Width?]

    private init(_ groupWidths: [Width?]) { self.groupWidths = groupWidths }

    /// - Complexity: O(nodes · nesting).
    static func matter(in pattern: ParsedPattern) -> Bool {
        var search = RepeatedRounds(pattern.groupWidths)
        search.sequence(pattern.nodes)
        return search.hasManyEmptyRounds || (search.hasEmptyRounds && search.remembers)
            || (search.hasPossessiveGroups && search.refers)
    }

    private mutating func sequence(_ nodes: [Node]) {
        for node in nodes { self.node(node) }
    }

    private mutating func node(_ node: Node) {
        switch node {
        case .literal, .notLiteral, .any, .set, .anchor: break
        case .backreference:
            remembers = true
            refers = true
        case .conditional(_, _, let yes, let no):
            remembers = true
            refers = true
            sequence(yes)
            sequence(no)
        case .atomic(let body):
            remembers = true
            sequence(body)
        case .branch(let alternatives):
            for alternative in alternatives { sequence(alternative) }
        case .group(let number, _, _, let body):
            if number != nil, possessiveRepeats > 0 { hasPossessiveGroups = true }
            sequence(body)
        case .look(_, let body): sequence(body)
        case .quantified(let quantifier, let minimum, let maximum, let body):
            if body.count == 1, body[0].isUnit { return }
            if maximum > 1, Width.of(body, groups: groupWidths).minimum == 0 {
                hasEmptyRounds = true
                let counted = maximum == RegexLimits.maximumRepeat ? minimum : maximum
                if counted > Self.fewRounds { hasManyEmptyRounds = true }
            }
            guard quantifier == .possessive else { return sequence(body) }
            remembers = true
            possessiveRepeats += 1
            sequence(body)
            possessiveRepeats -= 1
        }
    }
}
