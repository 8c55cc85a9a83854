import Routing
import Testing
import TupleCore
import WireProtocol

/// What a proxy holds for its clients' answers, and how requests wait for room (specs/0005, section 9).
@Suite struct FlowTests {
    /// One server, active in epoch 1.
    private func standing(_ flow: FlowLimits = .standard, clients: Int = 100) -> RouterFixture {
        let known = record(1, version: 2, "a", ["a", "b"])
        var proxy = RouterFixture(record: known, maximumClients: clients, flow: flow)
        for (number, name) in [(1, "a"), (2, "b")] as [(UInt64, String)] {
            let lineage = Lineage(incarnation: Incarnation(directory: number, starts: 1, life: number))
            proxy.register(number, name, activeEpoch: number == 1 ? 1 : 0, record: known, lineage: lineage)
        }
        return proxy
    }

    private func answer(_ proxy: inout RouterFixture, _ client: UInt64, _ sequence: UInt64, bytes: Int) {
        proxy.respond(from: 1, to: client, sequence, epoch: 1, bytes: bytes)
    }

    /// 600 pipelined GETs: the server has no more of them than their answers have room here.
    @Test func requestsBeyondAClientsShareWait() {
        var proxy = standing()
        proxy.checksEachStep = false
        proxy.connect(100)
        for sequence in 1...600 as ClosedRange<UInt64> { proxy.ask(100, sequence, operatorName: "GET") }
        #expect(proxy.requests(at: 1).count == 128, "4 MiB in parts of 32 KiB")
        #expect(proxy.router.answerBytes == 4 * 1_048_576)
        answer(&proxy, 100, 1, bytes: 10)
        #expect(proxy.requests(at: 1).last == 129)
        #expect(proxy.router.parkedCount == 599)
    }

    /// Small updates have small answers: as many are on their way as a client may have.
    @Test func smallUpdatesDoNotWait() {
        var proxy = standing()
        proxy.checksEachStep = false
        proxy.connect(100)
        for sequence in 1...1_000 as ClosedRange<UInt64> { proxy.ask(100, sequence) }
        #expect(proxy.requests(at: 1).count == 1_000)
    }

    /// Fifty clients that do not read, and one that does.
    @Test func whoDoesNotReadLeavesRoomForOthers() {
        var proxy = standing()
        proxy.checksEachStep = false
        for client in 100..<150 as Range<UInt64> {
            proxy.connect(client)
            for sequence in 1...200 as ClosedRange<UInt64> { proxy.ask(client, sequence, operatorName: "GET") }
            for sequence in 1...200 as ClosedRange<UInt64> { answer(&proxy, client, sequence, bytes: 32_000) }
        }
        proxy.check()
        #expect(proxy.router.answerBytes <= 128 * 1_048_576)
        proxy.connect(500)
        proxy.ask(500, 1, operatorName: "GET")
        #expect(proxy.askers(at: 1).last == 500, "it is not made to wait")
    }

    /// With any number of clients, answers take no more than the limit.
    @Test func allAnswersTogetherAreBounded() {
        var flow = FlowLimits()
        flow.answerBytes = 40 * flow.directAnswerBytes
        var proxy = standing(flow)
        for client in 100..<180 as Range<UInt64> {
            proxy.connect(client)
            proxy.ask(client, 1, operatorName: "GET")
        }
        #expect(proxy.requests(at: 1).count == 40)
        #expect(proxy.router.answerBytes == flow.answerBytes)
        for client in proxy.askers(at: 1) { answer(&proxy, client, 1, bytes: 10) }
        proxy.pass(RouterSettings.tick)
        for client in 100..<180 as Range<UInt64> { proxy.drain(client) }
        #expect(Set(proxy.askers(at: 1)).count == 80, "all came to their turn")
    }

    @Test func waitingClientsTakeTurns() {
        var flow = FlowLimits()
        flow.answerBytes = 4 * flow.directAnswerBytes
        var proxy = standing(flow)
        for client in 100...103 as ClosedRange<UInt64> {
            proxy.connect(client)
            for sequence in 1...50 as ClosedRange<UInt64> { proxy.ask(client, sequence, operatorName: "GET") }
        }
        var answered = 0
        while answered < 100 {
            let request = (proxy.toServer[ServerLink(1)] ?? []).filter { $0.type == .request }[answered].header
            answer(&proxy, request.connection.number, request.sequence.number, bytes: 10)
            answered += 1
        }
        let served = Dictionary(grouping: proxy.askers(at: 1).prefix(100), by: { $0 }).mapValues(\.count)
        #expect(served.count == 4 && served.values.allSatisfy { $0 >= 15 }, "\(served)")
        for client in 100...103 as ClosedRange<UInt64> {
            let own = (proxy.toServer[ServerLink(1)] ?? []).filter {
                $0.type == .request && $0.header.connection.number == client
            }
            #expect(own.map(\.header.sequence.number) == Array(1...UInt64(own.count)), "in their order")
        }
    }

    // MARK: Replay

    /// After a takeover a turn passes on a part, not everything, and nothing is left behind.
    @Test func aReplayIsPaced() {
        var flow = FlowLimits()
        flow.requestsPerTurn = 64
        flow.clientsPerTurn = 16
        var proxy = standing(flow, clients: 200)
        proxy.checksEachStep = false
        for client in 100..<200 as Range<UInt64> {
            proxy.connect(client)
            for sequence in 1...10 as ClosedRange<UInt64> { proxy.ask(client, sequence) }
        }
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.mostRequestsInAStep = 0
        proxy.mostActionsInAStep = 0
        proxy.takeOver(2, from: 1)
        proxy.check()
        #expect(proxy.requests(at: 2).count < 100)
        proxy.pass(.milliseconds(500))
        proxy.check()
        #expect(proxy.requests(at: 2).count == 1_000)
        #expect(proxy.mostRequestsInAStep <= 64)
        #expect(proxy.mostActionsInAStep < 200)
        #expect(proxy.lines.count { $0 == "replayed" } == 1)
    }

    /// What a client asks while its older requests wait for their replay comes behind them.
    @Test func whatIsAskedDuringAReplayKeepsItsOrder() {
        var flow = FlowLimits()
        flow.requestsPerTurn = 2
        flow.clientsPerTurn = 1
        var proxy = standing(flow)
        for client in 100...103 as ClosedRange<UInt64> {
            proxy.connect(client)
            for sequence in 1...3 as ClosedRange<UInt64> { proxy.ask(client, sequence) }
        }
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.takeOver(2, from: 1)
        for client in 100...103 as ClosedRange<UInt64> { proxy.ask(client, 4) }
        proxy.happen(.clientClosed(ConnectionIndicator(101)))
        proxy.pass(.milliseconds(200))
        for client in [100, 102, 103] as [UInt64] {
            let own = (proxy.toServer[ServerLink(2)] ?? []).filter {
                $0.type == .request && $0.header.connection.number == client
            }
            #expect(own.map(\.header.sequence.number) == [1, 2, 3, 4])
        }
    }

    /// A replay obeys the windows, too.
    @Test func aReplayDoesNotAskForMoreThanThereIsRoomFor() {
        var proxy = standing()
        proxy.checksEachStep = false
        proxy.connect(100)
        for sequence in 1...600 as ClosedRange<UInt64> { proxy.ask(100, sequence, operatorName: "GET") }
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.takeOver(2, from: 1)
        proxy.pass(.milliseconds(300))
        #expect(proxy.requests(at: 2) == Array(1...128))
        #expect(proxy.router.answerBytes == 4 * 1_048_576)
    }

    // MARK: Streams

    @Test func aStreamGoesOnAsItsClientReads() throws {
        var proxy = standing()
        proxy.connect(100)
        proxy.ask(100, 1, operatorName: "GET")
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.first, .more], bytes: 32_704)
        #expect(try proxy.credit(at: 1, for: 100, 1) == [262_144])
        for _ in 0..<4 { proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.more], bytes: 65_472) }
        #expect(try proxy.credit(at: 1, for: 100, 1).count <= 2)
        let given = try proxy.credit(at: 1, for: 100, 1)
        for _ in 0..<10 { proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.more], bytes: 65_472) }
        #expect(try proxy.credit(at: 1, for: 100, 1) == given, "it does not read")
        #expect(proxy.pauses[ConnectionIndicator(100)] == true)
        while proxy.reports[ConnectionIndicator(100)] != nil { proxy.drain(100) }
        #expect(try proxy.credit(at: 1, for: 100, 1).count == given.count + 1)
        #expect(proxy.pauses[ConnectionIndicator(100)] == false)
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [], bytes: 100)
        while proxy.reports[ConnectionIndicator(100)] != nil { proxy.drain(100) }
        #expect(proxy.router.answerBytes <= 65_536 && proxy.router.parkedCount == 0)
    }

    /// One stream of a client goes on, the others wait with what they had at first; each comes to its end.
    @Test func streamsOfOneClientGoOneAfterTheOther() throws {
        var proxy = standing()
        proxy.connect(100)
        for sequence in 1...4 as ClosedRange<UInt64> {
            proxy.ask(100, sequence, operatorName: "GET")
            proxy.respond(from: 1, to: 100, sequence, epoch: 1, flags: [.first, .more], bytes: 32_704)
        }
        for sequence in 1...4 as ClosedRange<UInt64> {
            while proxy.reports[ConnectionIndicator(100)] != nil { proxy.drain(100) }
            #expect(try !proxy.credit(at: 1, for: 100, sequence).isEmpty)
            if sequence < 4 { #expect(try proxy.credit(at: 1, for: 100, sequence + 1).isEmpty) }
            proxy.respond(from: 1, to: 100, sequence, epoch: 1, flags: [], bytes: 200_000)
        }
        #expect(proxy.answers(to: 100).count == 8)
    }

    /// It would end the connection for a frame that it does not know.
    @Test func aServerOfRelease01IsGivenNoCredit() throws {
        let known = record(1, version: 2, "a", ["a"])
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", activeEpoch: 1, record: known)
        proxy.connect(100)
        proxy.ask(100, 1, operatorName: "GET")
        for _ in 0..<10 { proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.more], bytes: 65_472) }
        #expect(try proxy.credit(at: 1, for: 100, 1).isEmpty)
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [], bytes: 100)
        #expect(proxy.answers(to: 100).count == 11 && proxy.router.parkedCount == 0)
    }

    /// Where there is no room for credit it comes when there is.
    @Test func creditWaitsForRoom() throws {
        var flow = FlowLimits()
        flow.answerBytes = 4 * flow.directAnswerBytes
        var proxy = standing(flow)
        for client in 100...103 as ClosedRange<UInt64> {
            proxy.connect(client)
            proxy.ask(client, 1, operatorName: "GET")
        }
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.first, .more], bytes: 32_704)
        #expect(try proxy.credit(at: 1, for: 100, 1).isEmpty)
        answer(&proxy, 101, 1, bytes: 10)
        answer(&proxy, 102, 1, bytes: 10)
        proxy.pass(RouterSettings.tick)
        #expect(try proxy.credit(at: 1, for: 100, 1) == [32_768], "the least")
        #expect(proxy.router.answerBytes <= flow.answerBytes)
    }

    // MARK: Who does not read

    @Test func whoDoesNotReadIsEnded() {
        var proxy = standing()
        proxy.connect(100)
        proxy.ask(100, 1, operatorName: "GET")
        proxy.ask(100, 2, operatorName: "GET")
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.first, .more], bytes: 100_000)
        #expect(proxy.reports[ConnectionIndicator(100)] != nil)
        proxy.pass(.milliseconds(9_900))
        #expect(proxy.cutClients.isEmpty)
        proxy.pass(.milliseconds(200))
        #expect(proxy.cutClients == [ConnectionIndicator(100)] && proxy.lines.contains("client-dismissed"))
        #expect(proxy.toServer[ServerLink(1)]?.last?.type == .cancel)
        #expect(proxy.router.answerBytes == 0 && proxy.router.clientCount == 0)
        // What still comes for it is thrown away.
        proxy.respond(from: 1, to: 100, 1, epoch: 1, flags: [.more], bytes: 100_000)
        #expect(proxy.router.discarded == 1 && proxy.router.answerBytes == 0)
    }

    /// 256 KiB in ten seconds are enough, however much waits.
    @Test func whoReadsSlowlyStays() {
        var proxy = standing()
        proxy.connect(100)
        for sequence in 1...64 as ClosedRange<UInt64> {
            proxy.ask(100, sequence, operatorName: "GET")
            answer(&proxy, 100, sequence, bytes: 32_000)
        }
        for _ in 0..<6 {
            proxy.pass(.seconds(9))
            proxy.drain(100)
        }
        #expect(proxy.cutClients.isEmpty)
        proxy.pass(.seconds(11))
        #expect(proxy.cutClients.count == 1)
    }

    /// A proxy that was itself stopped does not take others for slow.
    @Test func aProxyThatWasStoppedEndsNobodyForIt() {
        var proxy = standing()
        proxy.connect(100)
        proxy.ask(100, 1, operatorName: "GET")
        answer(&proxy, 100, 1, bytes: 100_000)
        proxy.now = proxy.now.advanced(by: .seconds(20))
        proxy.happen(.tick)
        #expect(proxy.cutClients.isEmpty)
    }

    /// What was sent in small parts is asked about only where much is in use; then its room is had again.
    @Test func littleThatIsUnreadIsAskedAboutInNeed() {
        var flow = FlowLimits()
        flow.answerBytes = 40 * flow.directAnswerBytes
        var proxy = standing(flow)
        for client in 100..<140 as Range<UInt64> {
            proxy.connect(client)
            proxy.ask(client, 1, operatorName: "GET")
            answer(&proxy, client, 1, bytes: 30_000)
        }
        proxy.connect(500)
        for sequence in 1...20 as ClosedRange<UInt64> { proxy.ask(500, sequence, operatorName: "GET") }
        let before = proxy.askers(at: 1).count { $0 == 500 }
        proxy.pass(RouterSettings.tick * 2)
        #expect(proxy.reports.count == 40)
        for client in 100..<140 as Range<UInt64> { proxy.drain(client) }
        #expect(proxy.router.answerBytes < 20 * flow.directAnswerBytes + 40 * 64)
        answer(&proxy, 500, 1, bytes: 10)
        #expect(proxy.askers(at: 1).count { $0 == 500 } > before)
    }

    /// Answers that the proxy gives itself count as well.
    @Test func answersOfTheProxyAreUnreadToo() {
        var flow = FlowLimits()
        flow.requestBytes = 4_096
        var proxy = standing(flow)
        proxy.checksEachStep = false
        proxy.connect(100)
        for sequence in 1...3_000 as ClosedRange<UInt64> { proxy.ask(100, sequence, operatorName: "GET") }
        #expect(proxy.pauses[ConnectionIndicator(100)] == true)
        #expect(proxy.reports[ConnectionIndicator(100)] != nil)
    }

    // MARK: Requests

    /// Requests in all, with what their keeping takes: those of many clients share it, and slow down rather than fail.
    @Test func allRequestsTogetherAreBounded() {
        var flow = FlowLimits()
        flow.requestBytes = 1_048_576
        var proxy = standing(flow)
        proxy.checksEachStep = false
        for client in 100..<130 as Range<UInt64> {
            proxy.connect(client)
            for sequence in 1...100 as ClosedRange<UInt64> where proxy.pauses[ConnectionIndicator(client)] != true {
                proxy.ask(client, sequence, bytes: 10_000)
            }
        }
        #expect(proxy.pauses.values.count { $0 } == 30, "each is read from no more at some point")
        #expect(proxy.answers(to: 129).isEmpty, "nobody was refused")
        #expect(proxy.router.parkedCount >= 30 && proxy.router.parkedCount <= 104)
        proxy.check()
    }

    /// The link to the server holds no more than a part of them.
    @Test func theServerHasABoundedPartOfThem() {
        var flow = FlowLimits()
        flow.passedBytes = 100_000
        var proxy = standing(flow)
        for client in 100..<120 as Range<UInt64> {
            proxy.connect(client)
            proxy.ask(client, 1, bytes: 30_000)
        }
        #expect(proxy.requests(at: 1).count == 3)
        answer(&proxy, 100, 1, bytes: 10)
        #expect(proxy.requests(at: 1).count == 4)
    }

    // MARK: Names of requests

    /// Two sessions with the same numbers on one connection, as two pipelined `--op-id` updates are.
    @Test func requestsAreKnownBySessionAndSequence() {
        var proxy = standing()
        proxy.connect(100)
        proxy.ask(100, 1, session: 5)
        proxy.ask(100, 1, session: 6)
        #expect(proxy.closedClients.isEmpty && proxy.requests(at: 1) == [1, 1])
        proxy.respond(from: 1, to: 100, 1, session: 6, epoch: 1)
        proxy.respond(from: 1, to: 100, 1, session: 5, epoch: 1)
        let sessions = proxy.toClient[ConnectionIndicator(100)]?.filter { $0.type == .response }.map(\.header.session)
        #expect(sessions == [SessionID(6), SessionID(5)])
        #expect(proxy.router.parkedCount == 0)
    }

    @Test func theSamePairTwiceEndsTheConnection() {
        var proxy = standing()
        proxy.connect(100)
        proxy.ask(100, 1, session: 5)
        proxy.ask(100, 1, session: 6)
        proxy.ask(100, 1, session: 5)
        #expect(proxy.closedClients == [ConnectionIndicator(100)])
    }

    /// What is given up is given up under its own name.
    @Test func whatIsGivenUpKeepsItsName() throws {
        let known = record(1, version: 2, "a", ["a"])
        var proxy = RouterFixture(record: known)
        proxy.connect(100)
        proxy.ask(100, 1, session: 5, operatorName: "GET")
        proxy.ask(100, 1, session: 6, operatorName: "GET")
        proxy.pass(.seconds(11))
        let sessions = proxy.toClient[ConnectionIndicator(100)]?.filter { $0.type == .response }.map(\.header.session)
        #expect(sessions == [SessionID(5), SessionID(6)])
    }

    // MARK: Bounded turns

    /// Requests whose time is over, and clients at the end, are told a part a turn.
    @Test func givingUpIsDoneInParts() {
        let known = record(1, version: 2, "a", ["a"])
        var proxy = RouterFixture(record: known, maximumClients: 1_000)
        proxy.checksEachStep = false
        for client in 100..<400 as Range<UInt64> {
            proxy.connect(client)
            for sequence in 1...10 as ClosedRange<UInt64> { proxy.ask(client, sequence) }
        }
        proxy.mostActionsInAStep = 0
        proxy.pass(.seconds(12))
        proxy.check()
        #expect(proxy.router.parkedCount == 0)
        #expect(proxy.mostActionsInAStep <= 1_100)
        #expect((100..<400).allSatisfy { proxy.answers(to: UInt64($0)).count == 10 })
    }
}
