import Testing
import TupleCore

@testable import TupleStore

/// GET, PUT, POST and DELETE (R1 to R5): what they decide, and what they give back.
@Suite struct OperatorsTests {
    private let matcher = Matcher()

    // MARK: PUT (R3)

    @Test func putAddsWhatIsAbsentAndGivesBackWhatExistsAsGivenAndInOrder() {
        var space = Space(["a": "1", "c": "3"])
        let before = space
        let decision = space.decidePut(
            .list([item(["c"], ["x"]), item(["b"], ["2"]), item(["a"], ["y"]), item(["d", "e"], ["4", "5"])]))
        #expect(decision.answer.status == .ok)
        #expect(decision.items == [item(["c"], ["x"]), item(["a"], ["y"])])
        #expect(decision.reasons == [.exists, .exists])
        #expect(space.pairs == before.pairs, "to decide changes nothing")
        space.carryOut(decision)
        #expect(space.keys == ["a", "b", "c", "d,e"])
        #expect(space.value(of: tuple("a")) == tuple("1"))
    }

    @Test func putOfAKeyGivenTwiceAddsTheFirst() {
        var space = Space([:])
        let decision = space.decidePut(.list([item(["k"], ["1"]), item(["k"], ["2"]), item(["k"], ["1"])]))
        #expect(decision.items == [item(["k"], ["2"]), item(["k"], ["1"])])
        #expect(decision.reasons == [.exists, .exists])
        space.carryOut(decision)
        #expect(space.value(of: tuple("k")) == tuple("1"))
    }

    static let noPairs: [Term] = [
        .null, .boolean(true), .number("7"), .string("a"), .list([]), .object([]),
        .list([.list([.string("a")])]),
        .list([.list([.string("a")]), .list([.string("1")]), .list([.string("2")])]),
        .list([.string("a"), .list([.string("1")])]),
        .list([.list([.string("a")]), .string("1")]),
        .list([.list([]), .list([.string("1")])]),
        .list([.list([.string("a")]), .list([])]),
        .list([.list([.string("")]), .list([.string("1")])]),
        .list([.list([.number("1")]), .list([.string("1")])]),
        .list([.list([.string("a"), .null]), .list([.string("1")])]),
        .list([.list([.string([0xFF, 0xFE])]), .list([.string("1")])]),
        .list([.list([.list([.string("a")])]), .list([.string("1")])]),
    ]

    @Test(arguments: noPairs) func anItemThatIsNoPairIsGivenBackAsMalformedAndTheOthersAreUsed(_ item: Term) {
        let space = Space(["old": "1"])
        let put = space.decidePut(.list([item, Term(Pair(key: tuple("new"), value: tuple("2"))), item]))
        #expect(put.items == [item, item])
        #expect(put.reasons == [.malformed, .malformed])
        #expect(put.effects == [.added(Pair(key: tuple("new"), value: tuple("2")))])
        let post = space.decidePost(.list([item, Term(Pair(key: tuple("old"), value: tuple("2")))]))
        #expect(post.items == [item])
        #expect(post.reasons == [.malformed])
        #expect(post.effects == [.replaced(Pair(key: tuple("old"), value: tuple("2")))])
    }

    @Test func theElementRuleDecidesWhatIsAPair() {
        let items: Term = .list([item(["a b"], ["1"]), item(["ab"], ["1-2"]), item(["é½"], ["1"])])
        let strict = Space([:], rule: .alphanumeric).decidePut(items)
        #expect(strict.reasons == [.malformed, .malformed])
        #expect(strict.effects == [.added(Pair(key: tuple("é½"), value: tuple("1")))])
        let loose = Space([:], rule: .text).decidePut(items)
        #expect(loose.reasons.isEmpty)
        #expect(loose.effects.count == 3)
    }

    @Test(arguments: [Term.null, .boolean(false), .number("1"), .string("[]"), .object([])])
    func aPayloadThatIsNoListIsMalformedAndChangesNothing(_ payload: Term) {
        let space = Space(["a": "1"])
        for decision in [space.decidePut(payload), space.decidePost(payload)] {
            #expect(decision.answer.status == .malformed)
            #expect(!decision.answer.message.isEmpty)
            #expect(decision.effects.isEmpty)
            #expect(decision.answer.rejected.isEmpty)
        }
    }

    @Test func anEmptyListIsCarriedOutAndGivesNothingBack() {
        let space = Space(["a": "1"])
        #expect(space.decidePut(.list([])).answer == Answer())
        #expect(space.decidePost(.list([])).answer == Answer())
    }

    @Test func aListOverTheLimitIsTooLargeAsAWhole() {
        let space = Space([:])
        let items = Array(repeating: item(["a"], ["1"]), count: Limits.maximumPairsPerRequest)
        #expect(space.decidePut(.list(items)).answer.status == .ok)
        let more = space.decidePut(.list(items + [item(["b"], ["1"])]))
        #expect(more.answer.status == .tooLarge)
        #expect(more.effects.isEmpty)
        #expect(space.decidePost(.list(items + [item(["b"], ["1"])])).answer.status == .tooLarge)
    }

    // MARK: POST (R4)

    @Test func postReplacesWhatIsPresentAndGivesBackWhatIsAbsent() {
        var space = Space(["a": "1", "b": "2"])
        let decision = space.decidePost(.list([item(["a"], ["x", "y"]), item(["z"], ["9"]), item(["b"], ["2"])]))
        #expect(decision.answer.status == .ok)
        #expect(decision.items == [item(["z"], ["9"])])
        #expect(decision.reasons == [.absent])
        space.carryOut(decision)
        #expect(space.keys == ["a", "b"])
        #expect(space.value(of: tuple("a")) == tuple("x", "y"))
    }

    @Test func postOfAKeyGivenTwiceLeavesTheLast() {
        var space = Space(["a": "1"])
        let decision = space.decidePost(.list([item(["a"], ["2"]), item(["a"], ["3"])]))
        #expect(decision.answer == Answer())
        space.carryOut(decision)
        #expect(space.value(of: tuple("a")) == tuple("3"))
    }

    // MARK: GET (R2) and DELETE (R5)

    private let people = Space([
        "user 41": "grace hopper", "user 42": "ada lovelace", "user 421": "alan turing", "user": "nobody",
        "job 42": "done",
    ])

    @Test func getAnswersWhatMatchesKeyAndValueInKeyOrderAndChangesNothing() {
        #expect(people.decideGet(expressions(.string("user,4.")), matcher: matcher).keys == ["user,41", "user,42"])
        #expect(
            people.decideGet(expressions(.string("user,.*"), .string("a.*")), matcher: matcher).keys == [
                "user,42", "user,421",
            ])
        let all = people.decideGet(expressions(.string(".*")), matcher: matcher)
        #expect(all.answer.pairs == people.pairs)
        #expect(all.effects.isEmpty)
    }

    @Test func anExpressionMatchesTheWholeAsPythonsFullmatch() {
        #expect(people.decideGet(expressions(.string("user,4")), matcher: matcher).keys.isEmpty)
        #expect(
            people.decideGet(expressions(.string("user,42|user,421")), matcher: matcher).keys == [
                "user,42", "user,421",
            ])
        #expect(people.decideGet(expressions(.string("user")), matcher: matcher).keys == ["user"])
    }

    @Test func aListMatchesElementByElementTuplesOfJustThatLength() {
        #expect(people.decideGet(expressions(.list([.string(".*")])), matcher: matcher).keys == ["user"])
        #expect(
            people.decideGet(expressions(.list([.string(".*"), .string("42")])), matcher: matcher).keys
                == ["job,42", "user,42"])
        #expect(people.decideGet(expressions(.list([.string("user,42")])), matcher: matcher).keys.isEmpty)
        #expect(
            people.decideGet(
                expressions(.list([.string("user"), .string(".*"), .string(".*")])), matcher: matcher
            ).keys.isEmpty)
    }

    @Test func deleteRemovesAndReturnsWhatMatches() {
        var space = people
        let decision = space.decideDelete(expressions(.string("user,.*"), .string(".*,.*")), matcher: matcher)
        #expect(decision.keys == ["user,41", "user,42", "user,421"])
        #expect(space.count == 5, "to decide changes nothing")
        space.carryOut(decision)
        #expect(space.keys == ["job,42", "user"])
        #expect(space.decideDelete(expressions(.string("user,.*")), matcher: matcher).answer == Answer())
    }

    static let noExpressions: [Term] = [
        .null, .string(".*"), .list([]), .list([.string(".*")]),
        .list([.string(".*"), .string(".*"), .string(".*")]), .object([]),
        .list([.number("1"), .string(".*")]), .list([.string(".*"), .null]),
        .list([.list([]), .string(".*")]), .list([.list([.number("1")]), .string(".*")]),
        .list([.list([.list([.string(".*")])]), .string(".*")]),
        .list([.string("("), .string(".*")]), .list([.string(".*"), .string("a**")]),
        .list([.list([.string(".*"), .string("[")]), .string(".*")]),
        .list([.string([0x61, 0xFF]), .string(".*")]),
    ]

    @Test(arguments: noExpressions)
    func aMalformedExpressionGivesAnEmptyListAndAWarning(_ payload: Term) {
        for decision in [
            people.decideGet(payload, matcher: matcher), people.decideDelete(payload, matcher: matcher),
        ] {
            #expect(decision.answer.status == .ok)
            #expect(decision.answer.pairs.isEmpty)
            #expect(decision.effects.isEmpty)
            #expect(decision.answer.warning.contains("malformed"))
        }
    }

    @Test func aWarningSaysWhichExpressionWhyAndWhere() {
        func warning(_ key: Term, _ value: Term) -> String {
            people.decideGet(expressions(key, value), matcher: matcher).answer.warning
        }
        #expect(warning(.string("ab("), .string(".*")).contains("key expression"))
        #expect(warning(.string("ab("), .string(".*")).contains("at position 2"))
        #expect(warning(.string(".*"), .string("a**")).contains("value expression"))
        #expect(warning(.string(".*"), .string("a**")).contains("at position 2"))
        #expect(warning(.list([.string("x"), .string("[")]), .string(".*")).contains("element 2"))
        #expect(warning(.list([.string("x"), .null]), .string(".*")).contains("item 2"))
    }

    @Test func aGoodAnswerHasNoWarning() {
        #expect(people.decideGet(expressions(.string("nothing")), matcher: matcher).answer == Answer())
    }

    @Test func moreThanOneEntryMayHoldIsNotDeletedButCanBeRead() {
        var space = Space([:])
        let value = Pair(
            key: tuple("k"), value: tuple(Array(repeating: String(repeating: "v", count: 60_000), count: 4)))
        let count = Limits.maximumEntryBytes / value.value.packed.count + 1
        for number in 0..<count {
            space.take(.added(Pair(key: tuple("k\(number)"), value: value.value)))
        }
        let all = expressions(.string("k.*"))
        let delete = space.decideDelete(all, matcher: matcher)
        #expect(delete.answer.status == .tooLarge)
        #expect(!delete.answer.message.isEmpty)
        #expect(delete.answer.pairs.isEmpty)
        #expect(delete.effects.isEmpty)
        #expect(space.decideGet(all, matcher: matcher).answer.pairs.count == count)
    }

    @Test func aMatchOverTheBudgetIsTooCostlyAndNothingPartialComesOut() {
        let space = Space(["a": "1", String(repeating: "x", count: 40): "2"])
        let nested = expressions(.string("(x+x+)+y|a"))
        for decision in [space.decideGet(nested, matcher: matcher), space.decideDelete(nested, matcher: matcher)] {
            #expect(decision.answer.status == .tooCostly)
            #expect(!decision.answer.message.isEmpty)
            #expect(decision.answer.pairs.isEmpty)
            #expect(decision.effects.isEmpty)
        }
        #expect(
            space.decideGet(expressions(.string("a")), matcher: matcher).keys == ["a"], "the next request is served")
    }

    // MARK: What the log takes

    @Test func effectBytesAreAboutWhatTheEntryTakes() {
        let space = Space(["a": "1"])
        let put = space.decidePut(.list([item(["b"], ["2"]), item(["c", "d"], ["3"])]))
        let bytes = put.effects.reduce(0) { sum, effect in
            if case .added(let pair) = effect { sum + pair.byteCount } else { sum }
        }
        #expect(put.effectBytes >= bytes)
        #expect(put.effectBytes <= bytes + 2 * 16)
        #expect(space.decideDelete(expressions(.string("a")), matcher: matcher).effectBytes >= 1)
    }
}
