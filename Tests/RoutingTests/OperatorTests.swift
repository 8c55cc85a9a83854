import Routing
import Testing
import TupleCore
import WireProtocol

/// Operators, and who else asks for the status: one question at a time, whoever asks.
@Suite struct OperatorTests {
    private func standing() -> RouterFixture {
        let known = record(1, version: 2, "a", ["a"])
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", activeEpoch: 1, record: known)
        return proxy
    }

    private func command(_ proxy: inout RouterFixture, _ link: UInt64, _ name: String, _ sequence: UInt64) {
        let request = OperatorRequest(command: name)
        proxy.happen(.operatorFrame(OperatorLink(link), request.frame(sequence: RequestSequence(sequence))))
    }

    private func connect(_ proxy: inout RouterFixture, _ link: UInt64) {
        proxy.happen(.operatorConnected(OperatorLink(link)))
        proxy.happen(.operatorFrame(OperatorLink(link), Hello(agent: "test").frame))
    }

    private func queries(_ proxy: RouterFixture) -> [RequestSequence] {
        (proxy.toServer[ServerLink(1)] ?? []).filter { $0.type == .statusQuery }.map(\.header.sequence)
    }

    private func answerQueries(_ proxy: inout RouterFixture) {
        let status = ServerStatus(
            role: "active", state: "serving", position: .zero, lag: 0, pairs: 7, digest: 0, followers: [])
        for sequence in queries(proxy) {
            proxy.happen(.serverFrame(ServerLink(1), status.frame(sequence: sequence)))
        }
    }

    private func replies(_ proxy: RouterFixture, _ link: UInt64) -> [UInt64] {
        (proxy.toOperator[OperatorLink(link)] ?? []).filter { $0.type == .operatorReply }
            .map(\.header.sequence.number)
    }

    @Test func anOperatorWithACommandOnItsWayIsNotReadFrom() {
        var proxy = standing()
        connect(&proxy, 50)
        command(&proxy, 50, "status", 1)
        #expect(proxy.operatorPauses[OperatorLink(50)] == true)
        for sequence in 2...10 as ClosedRange<UInt64> { command(&proxy, 50, "status", sequence) }
        #expect(queries(proxy).count == 1)
        for _ in 0..<200 {
            answerQueries(&proxy)
            proxy.pass(RouterSettings.tick)
        }
        #expect(replies(proxy, 50) == Array(1...10), "each is answered, one after the other")
        #expect(proxy.operatorPauses[OperatorLink(50)] == false)
    }

    @Test func whoGivesTooManyCommandsAtOnceIsDismissed() {
        var proxy = standing()
        connect(&proxy, 50)
        for sequence in 1...18 as ClosedRange<UInt64> { command(&proxy, 50, "status", sequence) }
        #expect(proxy.closedOperators == [OperatorLink(50)])
        #expect(proxy.toOperator[OperatorLink(50)]?.last?.type == .refused)
    }

    /// Many ask, the servers are asked once; who asks meanwhile is served by the next question.
    @Test func oneQuestionServesAllWhoAsked() {
        var proxy = standing()
        for link in 50..<70 as Range<UInt64> { connect(&proxy, link) }
        command(&proxy, 50, "status", 1)
        for link in 51..<70 as Range<UInt64> { command(&proxy, link, "status", 1) }
        for token in 1...20 as ClosedRange<UInt64> { proxy.happen(.statusAsked(StatusToken(token))) }
        #expect(queries(proxy).count == 1)
        answerQueries(&proxy)
        #expect(replies(proxy, 50) == [1] && replies(proxy, 51).isEmpty)
        proxy.pass(.milliseconds(60))
        #expect(queries(proxy).count == 2)
        answerQueries(&proxy)
        #expect((51..<70).allSatisfy { replies(proxy, UInt64($0)) == [1] })
        #expect(proxy.statuses.count == 20)
    }

    /// HTTP cannot make it more either.
    @Test func manyWhoAskOtherwiseAreToldWhatWasKnownLast() {
        var proxy = standing()
        proxy.happen(.statusAsked(StatusToken(1)))
        for token in 2...2_000 as ClosedRange<UInt64> { proxy.happen(.statusAsked(StatusToken(token))) }
        #expect(queries(proxy).count == 1)
        #expect(proxy.statuses.count == 1_999 - 256)
    }

    @Test func operatorsAreSoMany() throws {
        var proxy = standing()
        for link in 100..<164 as Range<UInt64> { connect(&proxy, link) }
        #expect(proxy.closedOperators.isEmpty)
        connect(&proxy, 200)
        #expect(proxy.closedOperators == [OperatorLink(200)])
        let words = try #require(proxy.toOperator[OperatorLink(200)]?.first)
        #expect(try Refused(words.payload).message.contains("64"))
        proxy.happen(.operatorClosed(OperatorLink(100)))
        connect(&proxy, 201)
        #expect(proxy.closedOperators.count == 1)
    }

    /// Commands that change something: so many a tick, the others in the next.
    @Test func commandsAreCarriedOutAPartATick() {
        var proxy = standing()
        connect(&proxy, 50)
        for sequence in 1...12 as ClosedRange<UInt64> { command(&proxy, 50, "resync", sequence) }
        #expect(replies(proxy, 50).count == 8)
        proxy.pass(RouterSettings.tick)
        #expect(replies(proxy, 50) == Array(1...12))
    }
}
