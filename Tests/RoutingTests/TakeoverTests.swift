import Routing
import Testing
import TupleCore
import WireProtocol

/// Who is granted the switch, and when (specs/0005, sections 1, 4 and 5).
@Suite struct TakeoverTests {
    /// a is active in epoch 1; a and b are in sync, c is not.
    private func standing() -> RouterFixture {
        var proxy = RouterFixture(record: record(1, version: 2, "a", ["a", "b"]))
        proxy.register(1, "a", activeEpoch: 1, record: record(1, version: 2, "a", ["a", "b"]))
        proxy.register(2, "b", record: record(1, version: 2, "a", ["a", "b"]))
        proxy.register(3, "c", record: record(1, version: 1, "a", ["a"]))
        return proxy
    }

    @Test func theFirstServerFoundsTheCluster() {
        var proxy = RouterFixture()
        proxy.register(1, "a")
        proxy.takeOver(1, from: 0)
        #expect(proxy.persisted == [record(1, version: 1, "a", ["a"])])
        #expect(proxy.reply(to: 1)?.granted == true && proxy.router.isServing)
    }

    @Test func aMemberTakesOverWhenTheActiveServersConnectionIsGone() {
        var proxy = standing()
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.ask(100, 2)
        #expect(proxy.requests(at: 1) == [1, 2])
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.ask(100, 3)
        proxy.takeOver(2, from: 1)
        #expect(proxy.persisted.last == record(2, version: 3, "b", ["b"]))
        #expect(proxy.requests(at: 2) == [1, 2, 3], "all that is unanswered, in the order in which it came")
    }

    @Test func nobodyOutsideTheSetTakesOver() {
        var proxy = standing()
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.takeOver(3, from: 1)
        #expect(proxy.reply(to: 3)?.granted == false)
        #expect(proxy.persisted.isEmpty && !proxy.router.isServing)
    }

    @Test func anEpochIsGrantedOnce() {
        var proxy = standing()
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.takeOver(2, from: 0)
        #expect(proxy.reply(to: 2)?.granted == false, "an older epoch")
        proxy.takeOver(2, from: 1)
        proxy.takeOver(2, from: 1)
        #expect(proxy.persisted.map(\.epoch) == [Epoch(2)])
    }

    @Test func aSilentActiveServerIsAskedOnceAndThenReplaced() {
        var proxy = standing()
        proxy.takeOver(2, from: 1)
        #expect(proxy.toServer[ServerLink(1)]?.count { $0.type == .probe } == 1)
        #expect(proxy.persisted.isEmpty)
        proxy.pass(.milliseconds(200))
        #expect(proxy.persisted.last == record(2, version: 3, "b", ["b"]))
        #expect(proxy.closedServers == [ServerLink(1)])
    }

    @Test func anActiveServerThatAnswersStays() throws {
        var proxy = standing()
        proxy.takeOver(2, from: 1)
        let probe = try #require(proxy.toServer[ServerLink(1)]?.last { $0.type == .probe })
        let reply = Header(.probeReply, sequence: probe.header.sequence, epoch: Epoch(1))
        proxy.happen(.serverFrame(ServerLink(1), Frame(reply)))
        proxy.pass(.milliseconds(200))
        #expect(proxy.reply(to: 2)?.granted == false)
        #expect(proxy.persisted.isEmpty)
    }

    /// a has said how often its heartbeats come, and then nothing any more; b goes on.
    private func silent(for time: Duration, timeout: Duration = .milliseconds(160)) -> RouterFixture {
        var proxy = standing()
        proxy.beat(1, timeout: timeout)
        let end = proxy.now.advanced(by: time)
        while proxy.now < end {
            proxy.beat(2, timeout: timeout)
            proxy.pass(RouterSettings.tick)
        }
        return proxy
    }

    private func probes(_ proxy: RouterFixture) -> [Frame] {
        (proxy.toServer[ServerLink(1)] ?? []).filter { $0.type == .probe }
    }

    @Test func aSilentActiveServerIsAskedAheadOfTheTakeover() {
        var proxy = silent(for: .milliseconds(250))
        #expect(probes(proxy).count == 1)
        proxy.takeOver(2, from: 1)
        #expect(proxy.persisted.isEmpty, "what has arrived meanwhile is read first")
        proxy.pass(RouterSettings.tick)
        #expect(proxy.persisted.last == record(2, version: 3, "b", ["b"]))
        #expect(probes(proxy).count == 1)
    }

    @Test func aSilenceThatMakesAnotherAskIsNotLongEnough() {
        var proxy = silent(for: .milliseconds(170))
        proxy.takeOver(2, from: 1)
        proxy.pass(.milliseconds(60))
        #expect(proxy.persisted.isEmpty)
        proxy.pass(.milliseconds(20))
        #expect(proxy.persisted.count == 1)
    }

    @Test(arguments: [160, 20]) func theTimeForTheAnswerIsNeverShorterThanTheLeast(timeout: Int) {
        let timeout = Duration.milliseconds(timeout)
        var proxy = silent(for: timeout / 2 + .milliseconds(20), timeout: timeout)
        #expect(probes(proxy).count == 1)
        proxy.takeOver(2, from: 1)
        proxy.pass(.milliseconds(20))
        #expect(proxy.persisted.isEmpty)
        proxy.pass(.milliseconds(150))
        #expect(proxy.persisted.count == 1)
    }

    @Test(arguments: [true, false]) func whoWasHeardOfSinceIsAskedAnew(isReply: Bool) throws {
        var proxy = silent(for: .milliseconds(150))
        let first = try #require(probes(proxy).last)
        if isReply {
            proxy.happen(
                .serverFrame(
                    ServerLink(1),
                    Frame(Header(.probeReply, sequence: first.header.sequence, epoch: Epoch(1)))))
        } else {
            proxy.beat(1, timeout: .milliseconds(160))
        }
        proxy.takeOver(2, from: 1)
        #expect(probes(proxy).count == 2)
        proxy.pass(.milliseconds(90))
        #expect(proxy.persisted.isEmpty)
        proxy.pass(.milliseconds(170))
        #expect(proxy.persisted.count == 1)
    }

    /// The answer may be in the socket's buffer, unread.
    @Test(arguments: [true, false]) func aProxyThatWasStoppedGivesTimeAnew(isAsked: Bool) {
        var proxy = silent(for: .milliseconds(150))
        if isAsked { proxy.takeOver(2, from: 1) }
        proxy.now = proxy.now.advanced(by: .milliseconds(500))
        if !isAsked { proxy.takeOver(2, from: 1) }
        proxy.pass(.milliseconds(200))
        #expect(proxy.persisted.isEmpty)
        proxy.pass(.milliseconds(60))
        #expect(proxy.persisted.count == 1)
    }

    @Test func aQuestionAheadEndsWithItsEpoch() throws {
        var proxy = silent(for: .milliseconds(150))
        #expect(try proxy.switchOver(to: "b", acceptDataLoss: false).status == .ok)
        proxy.beat(2, timeout: .milliseconds(160))
        proxy.pass(.milliseconds(150))
        #expect(proxy.toServer[ServerLink(2)]?.contains { $0.type == .probe } == true, "b is asked, who is active now")
        #expect(proxy.persisted.count == 1)
    }

    /// Found by the simulator: while the question to the silent server was open an operator moved the service, and the
    /// asker, active by then, was granted another epoch, which deposed it.
    @Test func aQuestionOfAnEpochThatIsOverIsNotSettled() {
        var proxy = standing()
        proxy.takeOver(2, from: 1)
        let console = OperatorLink(50)
        proxy.happen(.operatorConnected(console))
        proxy.happen(.operatorFrame(console, Hello(agent: "test").frame))
        let request = OperatorRequest(command: "switchover", argument: .null)
        proxy.happen(.operatorFrame(console, request.frame(sequence: RequestSequence(1))))
        let moved = proxy.persisted.count
        #expect(proxy.router.record?.active == server("b"))
        proxy.pass(.milliseconds(300))
        #expect(proxy.persisted.count == moved)
        #expect(proxy.reply(to: 2)?.granted == false)
    }

    /// The set names the active server whatever became of its copy: that it is named is not enough.
    @Test(arguments: [true, false]) func anActiveServerWithoutItsCopyIsNotSwitchedOverTo(isEmpty: Bool) throws {
        let known = record(3, version: 7, "a", ["a", "b"])
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", record: isEmpty ? nil : known, holdsCopy: false)
        #expect(try proxy.switchOver(to: "a", acceptDataLoss: false).status == .unavailable)
        #expect(try proxy.switchOver(to: nil, acceptDataLoss: false).status == .unavailable)
        #expect(proxy.persisted.isEmpty)
        #expect(try proxy.switchOver(to: "a", acceptDataLoss: true).status == (isEmpty ? .unavailable : .ok))
        #expect(proxy.persisted.isEmpty == isEmpty, "it has nothing at all")
    }

    @Test func theSetIsChangedByTheActiveServerOfThisEpochAndVersionAlone() {
        var proxy = standing()
        proxy.changeInSync(2, epoch: 1, version: 2, ["b"])
        proxy.changeInSync(1, epoch: 1, version: 1, ["a"])
        proxy.changeInSync(1, epoch: 0, version: 2, ["a"])
        proxy.changeInSync(1, epoch: 1, version: 2, ["b"])
        #expect(proxy.persisted.isEmpty)
        proxy.changeInSync(1, epoch: 1, version: 2, ["a"])
        #expect(proxy.persisted == [record(1, version: 3, "a", ["a"])])
    }

    /// The record is durable before anybody hears of it.
    @Test func theRecordIsKeptBeforeAnythingElseIsDone() {
        var proxy = standing()
        proxy.happen(.serverClosed(ServerLink(1)))
        let request = SwitchRequest.takeOver(epoch: Epoch(1), reason: "a test")
        let actions = proxy.router.step(
            .serverFrame(ServerLink(2), request.frame(sequence: RequestSequence(1))), at: proxy.now)
        let first = actions.first { if case .log = $0 { false } else { true } }
        if case .persist? = first {} else { Issue.record("something came before it: \(String(describing: first))") }
    }
}
