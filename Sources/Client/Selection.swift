import TupleCore
import WireProtocol

/// What of an answer is to be shown.
struct Selection: Equatable {
    /// So many pairs at the most.
    var limit: Int?
    /// Only how many pairs there are.
    var showsCount = false
    /// Only the keys.
    var showsKeys = false
    /// The pairs are those that a DELETE would have removed.
    var isDryRun = false

    func callAsFunction(_ answer: Answer) -> Answer {
        guard let limit, answer.pairs.count > limit else { return answer }
        var answer = answer
        answer.pairs.removeSubrange(limit...)
        return answer
    }

    /// Whether the answer's object is another one.
    var changesJSON: Bool { showsCount || showsKeys || isDryRun }

    /// The answer's object with what is asked for in the place of its pairs.
    func json(of answer: Answer) -> Term {
        func member(_ name: String, _ value: Term) -> Term.Member { .init(name: [UInt8](name.utf8), value: value) }
        var shown = answer
        if showsCount || showsKeys { shown.pairs = [] }
        guard case .object(var members) = shown.json else { preconditionFailure("an answer is an object") }
        if let place = members.firstIndex(where: { $0.name.elementsEqual("pairs".utf8) }) {
            if showsCount { members[place] = member("count", .number("\(answer.pairs.count)")) }
            if showsKeys { members[place] = member("keys", .list(answer.pairs.map { Term($0.key) })) }
        }
        if isDryRun { members.append(member("dryRun", .boolean(true))) }
        return .object(members)
    }
}
