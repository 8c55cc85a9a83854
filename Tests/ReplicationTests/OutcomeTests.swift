import Testing
import TupleCore
import TupleStore
import WireProtocol

/// What became of an operation can be asked by anybody who knows its name: its own answer, for certain not done, or not
/// known (G5, G6).
@Suite struct OutcomeTests {
    private static func ask(_ client: WireClient, session: UInt64, sequence: UInt64 = 1, age: Duration? = .seconds(60))
        -> UInt64
    {
        let operation = OperationID(session: SessionID(session), sequence: RequestSequence(sequence))
        let question = OutcomeQuestion(
            operation: operation, ageMilliseconds: age.map { UInt64($0.wholeMilliseconds) })
        return client.request(question.request.operatorName, question.request.payload)
    }

    @Test func anOperationsAnswerIsToldToOthersAlsoAfterATakeover() {
        let wire = Wire.running()
        wire.now = wire.now.advanced(by: .seconds(10_000))
        wire.run(.seconds(1))
        let doer = wire.client(session: 77)
        let put = doer.request("PUT", .list([.pair("k", "1"), .pair("k", "2")]))
        wire.settle()
        #expect(doer.says(put) == "exists")
        let other = wire.client()
        let now = Self.ask(other, session: 77)
        wire.settle()
        #expect(other.answers[now] == doer.answers[put])
        wire.crash("a")
        wire.run(.ms(300))
        let later = Self.ask(other, session: 77)
        wire.settle()
        #expect(other.answers[later] == doer.answers[put])
        #expect(wire.violations == [])
    }

    /// A session was used and is forgotten.
    private static func wireThatHasForgotten() -> (Wire, WireClient) {
        let wire = Wire.running()
        wire.client(session: 76).put("k", "1")
        wire.run(.seconds(1))
        wire.now = wire.now.advanced(by: .seconds(10_000))
        wire.run(.seconds(1))
        let client = wire.client()
        client.put("l", "1")
        wire.settle()
        return (wire, client)
    }

    /// `not-done` is said only where it would be remembered; beyond that nobody knows.
    @Test func whatWasNotDoneIsToldForCertainOrNotAtAll() {
        let (wire, client) = Self.wireThatHasForgotten()
        let never = Self.ask(client, session: 78)
        let old = Self.ask(client, session: 78, age: .seconds(10_001))
        let forgotten = Self.ask(client, session: 76, age: .seconds(10_002))
        let absurd = client.request(
            OutcomeQuestion.operatorName, .list([.string("000000000000004e"), .number("18446744073709551615")]))
        wire.settle()
        #expect(client.says(never) == "unavailable")
        #expect(client.answers[never]?.warning == OutcomeQuestion.notDone)
        #expect(client.says(old) == "unknown")
        #expect(client.says(forgotten) == "unknown")
        #expect(client.says(absurd) == "unknown")
    }

    /// What whoever asks does not say is not asserted: without an age only a service that never forgot anything knows.
    @Test func withoutAnAgeNothingIsSaidThatMayHaveBeenForgotten() {
        let (wire, client) = Self.wireThatHasForgotten()
        let asked = [
            Self.ask(client, session: 76, age: nil), Self.ask(client, session: 78, age: nil),
            client.request(OutcomeQuestion.operatorName, .list([.string("000000000000004e")])),
        ]
        wire.settle()
        for question in asked { #expect(client.says(question) == "unknown") }
        let fresh = Wire.running()
        let other = fresh.client()
        let never = Self.ask(other, session: 78, age: nil)
        fresh.settle()
        #expect(other.answers[never]?.warning == OutcomeQuestion.notDone)
    }

    /// A fiftieth of the age and a second are taken off for clocks that run differently.
    @Test func anAgeNearTheHorizonIsNotTrusted() {
        let (wire, client) = Self.wireThatHasForgotten()
        // The session was last used 10,002 s before, by logged time.
        let near = Self.ask(client, session: 78, age: .seconds(9_900))
        let far = Self.ask(client, session: 78, age: .seconds(9_700))
        wire.settle()
        #expect(client.says(near) == "unknown")
        #expect(client.says(far) == "unavailable")
    }

    /// An outcome that the client itself has let go is not known any more; that is no `not-done`.
    @Test func aForgottenOutcomeIsUnknown() {
        let wire = Wire.running()
        wire.now = wire.now.advanced(by: .seconds(10_000))
        wire.run(.seconds(1))
        let doer = wire.client(session: 77)
        doer.put("k", "1")
        wire.settle()
        doer.put("l", "1")
        wire.settle()
        let client = wire.client()
        let first = Self.ask(client, session: 77, sequence: 1)
        let second = Self.ask(client, session: 77, sequence: 2)
        wire.settle()
        #expect(client.says(first) == "unknown")
        #expect(client.says(second) == "ok")
    }

    /// What an answer to the question shows could not be lost any more, as with every read.
    @Test func theAnswerWaitsForWhatItShows() {
        let wire = Wire.running()
        let doer = wire.client(session: 77)
        let other = wire.client()
        wire.node("b").isDiskHeld = true
        doer.put("k", "1")
        wire.settle()
        let question = Self.ask(other, session: 77)
        wire.settle()
        #expect(other.says(question) == "-")
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(other.says(question) == "ok")
    }

    @Test func nonsenseIsMalformed() {
        let wire = Wire.running()
        let client = wire.client()
        let question = client.request(OutcomeQuestion.operatorName, .list([.null]))
        wire.settle()
        #expect(client.says(question) == "malformed")
    }
}
