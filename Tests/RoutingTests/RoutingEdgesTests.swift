import Routing
import Testing
import TupleCore
import WireProtocol

/// Whose word counts for what, at the edges (specs/0005, sections 1 to 8).
@Suite struct RoutingEdgesTests {
    private static let known = record(1, version: 2, "a", ["a", "b"])

    /// a is active in epoch 1; a and b are in sync, c is not.
    private func standing() -> RouterFixture {
        var proxy = RouterFixture(record: Self.known)
        proxy.register(1, "a", activeEpoch: 1, record: Self.known)
        proxy.register(2, "b", record: Self.known)
        proxy.register(3, "c", record: record(1, version: 1, "a", ["a"]), holdsCopy: false)
        return proxy
    }

    // MARK: Questions and sets

    @Test func anAnswerToAnEarlierQuestionIsNone() throws {
        var proxy = standing()
        proxy.takeOver(2, from: 1)
        let probe = try #require(proxy.toServer[ServerLink(1)]?.last { $0.type == .probe })
        let earlier = RequestSequence(probe.header.sequence.number - 1)
        proxy.happen(.serverFrame(ServerLink(1), Frame(Header(.probeReply, sequence: earlier, epoch: Epoch(1)))))
        proxy.pass(.milliseconds(200))
        #expect(proxy.persisted == [record(2, version: 3, "b", ["b"])])
    }

    @Test func ofTwoWhoAskOneTakesOver() {
        let all = record(1, version: 2, "a", ["a", "b", "c"])
        var proxy = RouterFixture(record: all)
        proxy.register(1, "a", activeEpoch: 1, record: all)
        proxy.register(2, "b", record: all)
        proxy.register(3, "c", record: all)
        proxy.takeOver(2, from: 1)
        proxy.takeOver(3, from: 1)
        proxy.pass(.milliseconds(200))
        #expect(proxy.persisted == [record(2, version: 3, "b", ["b", "c"])])
        #expect(proxy.reply(to: 3)?.granted == false)
    }

    @Test func theSetIsChangedByTheActiveServerForThoseWhoSayThatTheyHoldTheSpace() {
        var proxy = standing()
        proxy.changeInSync(2, epoch: 1, version: 2, ["a"])
        proxy.changeInSync(1, epoch: 1, version: 2, ["a", "b", "c"])
        proxy.changeInSync(1, epoch: 1, version: 2, ["a", "b", "d"])
        #expect(proxy.persisted.isEmpty)
        proxy.happen(.serverFrame(ServerLink(3), Frame(Header(.holding))))
        proxy.changeInSync(1, epoch: 1, version: 2, ["a", "b", "c"])
        #expect(proxy.persisted == [record(1, version: 3, "a", ["a", "b", "c"])])
    }

    @Test func aSwitchoverFromAServerThatIsGoneLeavesItOut() throws {
        var proxy = standing()
        proxy.happen(.serverClosed(ServerLink(1)))
        #expect(try proxy.switchOver(to: "b", acceptDataLoss: false).status == .ok)
        #expect(proxy.persisted == [record(2, version: 3, "b", ["b"])])
    }

    // MARK: Registering

    /// The set never names a member that has said itself that its copy is damaged, suspect or gone.
    @Test(arguments: [true, false]) func aMemberWithoutACopyIsStruckOut(isEmpty: Bool) {
        var proxy = standing()
        proxy.happen(.serverClosed(ServerLink(2)))
        proxy.register(4, "b", record: isEmpty ? nil : Self.known, holdsCopy: false)
        #expect(proxy.persisted == [record(1, version: 3, "a", ["a"])])
        #expect(proxy.lines.contains("copy-lost"))
    }

    @Test func aServerOfAnotherClusterOrOfANameThatIsTakenIsRefused() {
        var proxy = standing()
        let other = SwitchRecord(
            cluster: ClusterID(8), epoch: Epoch(1), version: 1, active: server("d"), inSync: [server("d")],
            rule: .alphanumeric)
        proxy.register(4, "d", record: other)
        proxy.register(5, "b", record: Self.known)
        #expect(proxy.closedServers == [ServerLink(4), ServerLink(5)])
        #expect(proxy.persisted.isEmpty)
    }

    @Test func anOlderRecordDoesNotStandWhileANewerOneIsRebuilt() {
        var proxy = RouterFixture(record: Self.known)
        proxy.register(2, "b", record: record(1, version: 5, "a", ["a", "b", "c"]))
        #expect(proxy.router.record == nil && proxy.persisted.isEmpty)
        proxy.takeOver(2, from: 1)
        #expect(proxy.reply(to: 2)?.granted == false)
    }

    @Test func whoWasActiveInAnEarlierEpochIsNotRoutedTo() {
        let later = record(3, version: 7, "a", ["a", "b"])
        var proxy = RouterFixture(record: later)
        proxy.register(1, "a", activeEpoch: 2, record: later)
        #expect(!proxy.router.isServing)
    }

    // MARK: Requests and answers

    @Test func answersCountFromTheActiveServerForTheirSession() {
        var proxy = standing()
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.respond(from: 2, to: 100, 1, epoch: 1)
        proxy.respond(from: 1, to: 100, 1, session: 6, epoch: 1)
        #expect(proxy.answers(to: 100).isEmpty)
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.first, .more])
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.more])
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [])
        #expect(proxy.answers(to: 100) == [1, 1, 1])
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [])
        #expect(proxy.answers(to: 100) == [1, 1, 1], "the last part ends it")
    }

    @Test func requestsOfEachClientAreSentAgainInTheirOrder() {
        var proxy = standing()
        proxy.connect(100)
        proxy.connect(101)
        proxy.ask(101, 1, session: 6)
        proxy.ask(100, 2)
        proxy.ask(101, 3, session: 6)
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.takeOver(2, from: 1)
        let again = proxy.requests(at: 2)
        #expect(again.filter { $0 != 2 } == [1, 3] && again.contains(2) && again.count == 3)
    }

    /// What waited, and was sent when a server came, may have been carried out.
    @Test func whatWasSentAgainMayHaveBeenCarriedOut() {
        var proxy = standing()
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.takeOver(2, from: 1)
        #expect(proxy.requests(at: 2) == [1])
        proxy.happen(.serverClosed(ServerLink(2)))
        proxy.pass(.seconds(11))
        #expect(proxy.lastStatus(to: 100) == .unknown)
    }
}
