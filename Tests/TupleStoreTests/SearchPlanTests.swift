import Testing
import TupleCore

@testable import TupleStore

/// How a search is planned, and that it says so where it is asked.
@Suite struct SearchPlanTests {
    private let matcher = Matcher()

    private func plan(_ key: Term) throws -> SearchPlan { try matcher.get(expressions(key)).plan }

    @Test func theLiteralsOfTheKeyMakeThePlan() throws {
        #expect(try plan(.string("user,42")).keys == .exact([UInt8]("user,42".utf8)))
        #expect(try plan(.list([.string("user"), .string("4,2")])).keys == .exact([UInt8]("user,4,2".utf8)))
        #expect(try plan(.string("user,.*")).keys == .prefix([UInt8]("user,".utf8)))
        #expect(try plan(.list([.string("user"), .string("4.")])).keys == .prefix([UInt8]("user,4".utf8)))
        #expect(try plan(.string(".*user")).keys == .all)
        #expect(try plan(.string("")).keys == .all)
    }

    @Test func anExactKeyIsLookedUpAloneOrWithThoseThatReadTheSame() throws {
        let space = Space(["a": "1", "a,b": "2", "a b": "3", "a,b,c": "4", "a,bc": "5", "ab": "6"])
        let search = try matcher.get(expressions(.string("a,b")))
        let result = matcher.run(search, in: space, work: Search.Work.request)
        #expect(result.pairs.map(\.key) == [tuple("a", "b"), tuple("a,b")])
        #expect(result.examined == 2)
    }

    @Test func onlyTheRangeOfAPrefixIsExamined() throws {
        var space = Space(rule: .text)
        for number in 0..<1_000 { space.take(.added(Pair(key: tuple("k\(number)"), value: tuple("v")))) }
        let search = try matcher.get(expressions(.string("k99.*")))
        let result = matcher.run(search, in: space, work: Search.Work.request)
        #expect(result.pairs.count == 11)
        #expect(result.examined == 11)
    }

    @Test func aSearchExplainsItselfOnlyWhenAsked() throws {
        let space = Space(["user,1": "a", "user,2": "b", "x": "c"])
        var search = try matcher.get(expressions(.string("user,[0-9]"), .string("a")))
        var result = matcher.run(search, in: space, work: Search.Work.request)
        #expect(result.explanation.isEmpty)
        #expect(Answer(pairs: result.pairs).explained(by: result).explanation.isEmpty)
        search.isExplained = true
        result = matcher.run(search, in: space, work: Search.Work.request)
        result.note { 17 }
        let answer = Answer(pairs: result.pairs).explained(by: result)
        #expect(
            answer.explanation
                == "range of keys that begin with 'user,' for 'a' in the value; 2 of 3 pairs examined, 1 by the expressions, 1 matched; 17 µs"
        )
        #expect(answer.pairs == result.pairs)
    }
}
