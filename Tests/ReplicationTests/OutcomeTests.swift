import Testing
import TupleCore
import TupleStore
import WireProtocol

/// What became of an operation can be asked by anybody who knows its name: its own answer, for certain not done, or not
/// known (G5, G6).
@Suite struct OutcomeTests {
    private static func ask(_ client: WireClient, session: UInt64, sequence: UInt64 = 1, age: Duration = .seconds(60))
        -> UInt64
    {
        let operation = OperationID(session: SessionID(session), sequence: RequestSequence(sequence))
        let question = OutcomeQuestion(operation: operation, ageMilliseconds: UInt64(age.wholeMilliseconds))
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

    /// `not-done` is said only where it would be remembered; beyond that nobody knows.
    @Test func whatWasNotDoneIsToldForCertainOrNotAtAll() {
        let wire = Wire.running()
        wire.now = wire.now.advanced(by: .seconds(10_000))
        wire.run(.seconds(1))
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        let never = Self.ask(client, session: 78)
        let old = Self.ask(client, session: 78, age: .seconds(3_600))
        let absurd = client.request(
            OutcomeQuestion.operatorName, .list([.string("000000000000004e"), .number("18446744073709551615")]))
        wire.settle()
        #expect(client.says(never) == "unavailable")
        #expect(client.answers[never]?.warning == OutcomeQuestion.notDone)
        #expect(client.says(old) == "unknown")
        #expect(client.says(absurd) == "unknown")
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
