import Replication
@testable import Routing
import TestSupport
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// What happens when the active server is lost: another one takes over, nothing acknowledged is lost, nothing takes
/// effect twice (R10, R16, R27).
@Suite struct TakeoverTests {
    /// The active server dies with requests on their way: they wait, are replayed once, and clients see a pause alone.
    @Test func aCrashOfTheActiveServerIsAPauseToClients() {
        let wire = Wire.running()
        let client = wire.client()
        let before = client.put("before", "1")
        wire.settle()
        #expect(client.says(before) == "ok")
        wire.node("a").isDiskHeld = true
        let during = client.put("during", "1")
        wire.settle()
        #expect(client.says(during) == "-", "not durable on the active server")
        wire.crash("a")
        let after = client.put("after", "1")
        wire.run(.ms(300))
        #expect(wire.record.story == "epoch 2 b [b]")
        #expect(wire.told("proxy ALERT takeover server=b epoch=2 from=a"))
        #expect(wire.told("b ALERT active-lost server=a"))
        #expect(wire.told("b ALERT takeover server=b epoch=2 from=a"))
        #expect(wire.told("b fences a at epoch 2"))
        #expect(client.says(during) == "ok", "carried out once: a second time it would say 'exists'")
        #expect(client.says(after) == "ok")
        let all = client.request("GET", .list([.string(".*"), .string(".*")]))
        wire.settle()
        #expect(client.answers[all]?.pairs.count == 3)
        #expect(wire.violations == [])
    }

    /// A crash closes sockets; that is acted on at once, not after the heartbeat timeout.
    @Test func aCrashIsNotWaitedFor() {
        let wire = Wire.running()
        wire.crash("a")
        wire.settle()
        #expect(wire.record.story == "epoch 2 b [b]")
    }

    /// R27: the answer is lost with the active server; the retry gets the stored outcome from the new one.
    @Test func aRetryGetsTheStoredOutcomeFromTheNewActiveServer() {
        let wire = Wire.running()
        let client = wire.client()
        let exists = client.request("PUT", .list([.pair("k", "1"), .pair("k", "2")]))
        let removed = client.delete("k")
        wire.settle()
        #expect(client.says(exists) == "exists")
        #expect(client.says(removed) == "ok 1")
        wire.crash("a")
        wire.settle()
        let first = client.answers
        client.retry(exists)
        client.retry(removed)
        wire.run(.ms(300))
        #expect(client.answers == first, "the same answers, item for item")
        let again = client.put("k", "3")
        wire.settle()
        #expect(client.says(again) == "ok", "neither took effect again")
        #expect(wire.violations == [])
    }

    /// An outcome that travelled to the passive server in a snapshot serves a retry as well.
    @Test func sessionsSurviveInSnapshots() {
        let wire = Wire()
        wire.start("a")
        wire.run(.ms(200))
        let client = wire.client()
        let put = client.put("k", "1")
        let large = client.request("PUT", .list((0..<3_000).map { _ in .pair("k", "2") }))
        wire.settle()
        #expect(client.says(put) == "ok")
        #expect(client.answers[large]?.rejected.count == 3_000)
        wire.start("b")
        wire.run(.ms(500))
        wire.crash("a")
        wire.run(.ms(300))
        let answer = client.answers[large]
        client.retry(put)
        client.retry(large)
        wire.settle()
        #expect(client.says(put) == "ok", "'exists' would mean that it was carried out anew")
        #expect(client.answers[large] == answer)
        #expect(wire.violations == [])
    }

    /// A frozen active server does not answer the proxy's question: after its deadline the passive one takes over;
    /// awake again, the old one steps down, and what it never answered is gone.
    @Test func aFrozenActiveServerIsDeposedAndLosesItsUnansweredTail() {
        let wire = Wire.running()
        let client = wire.client()
        client.put("kept", "1")
        wire.settle()
        // It takes a request in, but nothing of it leaves the machine.
        wire.cut("a", "b")
        wire.cuts.insert(Cut(from: "a", to: "proxy"))
        let tail = client.put("tail", "old")
        wire.settle()
        #expect(wire.node("a").value("tail") == "old")
        wire.freeze("a")
        wire.heal()
        wire.cut("a", "b")
        wire.cut("a", "proxy")
        wire.run(.ms(700))
        #expect(wire.record.story == "epoch 2 b [b]")
        #expect(wire.told("b ALERT active-lost server=a epoch=1 reason=silent"))
        #expect(client.says(tail) == "ok")
        #expect(wire.node("b").value("tail") == "old")
        client.post("tail", "new")
        wire.settle()
        wire.heal()
        wire.thaw("a")
        wire.run(.seconds(1))
        #expect(wire.told("a ALERT deposed server=a epoch=1 active=b newEpoch=2"))
        #expect(wire.record.story == "epoch 2 b [a,b]")
        #expect(wire.node("a").value("tail") == "new")
        #expect(wire.node("a").value("kept") == "1")
        #expect(wire.answeredIn[1] == ["a"])
        #expect(wire.answeredIn[2] == ["b"])
        #expect(wire.violations == [])
    }

    /// Fencing: what a deposed server still sends is not passed on, and what still reaches it is not carried out.
    @Test func staleEpochsAreRefused() throws {
        let wire = Wire.running()
        let client = wire.client()
        let epoch = Epoch(1)
        let stale = Frame(
            Header(
                .request, session: SessionID(5), sequence: RequestSequence(1), epoch: Epoch(0),
                connection: ConnectionIndicator(9)),
            payload: Request(operatorName: "GET", payload: .list([.string(".*"), .string(".*")])).payloadBytes)
        wire.happen(wire.node("a"), .proxyFrame(stale))
        #expect(wire.told("a WARN stale-request epoch=0"))
        // A response of an older epoch on the very link of the active server.
        let put = client.put("k", "1")
        wire.node("a").isDiskHeld = true
        wire.settle()
        let link = try #require(wire.linkOfPort[.nodeToProxy("a")])
        let discarded = wire.router?.discarded ?? 0
        for wrong in [Epoch(0), Epoch(2)] {
            let response = Frame(
                Header(
                    .response, flags: [.first], session: client.session, sequence: RequestSequence(put), epoch: wrong,
                    connection: ConnectionIndicator(client.connection)),
                payload: Answer().payloadBytes)
            wire.send(response, from: link.ports[0].node == nil ? link.ports[1] : link.ports[0])
        }
        wire.settle()
        #expect(client.says(put) == "-")
        #expect(wire.router?.discarded == discarded + 2)
        #expect(wire.record.epoch == epoch)
        #expect(wire.violations == [])
    }

    /// Heartbeats and appends of another epoch end the link between servers.
    @Test func peersOfAnotherEpochAreRefused() throws {
        let wire = Wire.running()
        let peer = try #require(
            wire.linkOfPort.keys.compactMap { port -> UInt64? in
                guard case .nodeToPeer("a", let number) = port else { return nil }
                return number
            }.min())
        let old = Heartbeat(index: LogIndex(1), digest: 0)
            .frame(.heartbeat, epoch: Epoch(0), sequence: RequestSequence(1))
        wire.happen(wire.node("a"), .peerFrame(PeerID(peer), old))
        wire.settle()
        #expect(wire.told("b WARN peer-refused server=a reason=epoch 0 is not 1"))
        wire.run(.seconds(1))
        #expect(wire.record.story == "epoch 1 a [a,b]", "it comes back on a new link")
    }

    /// Who calls a server that is about to become active is not kept as a caller that nobody knows.
    @Test func aCallerFromBeforeTheTakeoverIsNotForgotten() {
        let wire = Wire.running(["a", "b", "c"])
        let node = wire.node("b")
        wire.happen(node, .peerAccepted(PeerID(999)))
        wire.open(.nodeToPeer("b", 999), .nodeToPeer("c", UInt64.max - 500))
        wire.crash("a")
        wire.run(.seconds(1))
        #expect(wire.record.epoch == Epoch(2))
        #expect(wire.linkOfPort[.nodeToPeer("b", 999)] == nil, "it was told to go")
        #expect(wire.record.inSync.count == 2)
        #expect(wire.violations == [])
    }

    /// Three servers, two takeovers: nothing acknowledged is lost on the way.
    @Test func threeServersTwoTakeovers() {
        let wire = Wire.running(["a", "b", "c"])
        let client = wire.client()
        client.put("one", "1")
        wire.settle()
        wire.crash("a")
        wire.run(.seconds(1))
        let second = wire.record.active.name
        #expect(wire.record.epoch == Epoch(2))
        #expect(Set(wire.record.inSync.map(\.name)) == ["b", "c"])
        client.put("two", "2")
        wire.settle()
        #expect(client.unanswered.isEmpty)
        wire.crash(second)
        wire.run(.seconds(1))
        let third = second == "b" ? "c" : "b"
        #expect(wire.record.story == "epoch 3 \(third) [\(third)]")
        client.put("three", "3")
        let all = client.get(".*")
        wire.settle()
        #expect(client.says(all) == "ok 3")
        wire.start("a")
        wire.start(second)
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 3 \(third) [a,b,c]")
        let digests = Set(wire.names.compactMap { wire.node($0).replica?.state.space.digest })
        #expect(digests.count == 1)
        #expect(wire.violations == [])
    }

    /// Both in-sync passive servers ask at once: one is granted, the other follows it.
    @Test func onlyOneOfTwoAskersTakesOver() {
        let wire = Wire.running(["a", "b", "c"])
        wire.freeze("a")
        wire.run(.seconds(2))
        #expect(wire.record.epoch == Epoch(2))
        #expect(wire.names.count { wire.node($0).runs && wire.node($0).role == "active" } == 1)
        #expect(wire.record.inSync.map(\.name) == ["b", "c"])
        wire.thaw("a")
        wire.run(.seconds(2))
        #expect(wire.record.inSync.map(\.name) == ["a", "b", "c"])
        #expect(wire.violations == [])
    }

    /// R16: the passive server hears the active one; the proxy has lost it. It gets a moment, then it is replaced.
    @Test func anActiveServerWithoutTheProxyIsReplacedAfterAMoment() {
        let wire = Wire.running()
        wire.cut("a", "proxy")
        wire.loseAtProxy("a")
        wire.run(.ms(500))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        wire.run(.ms(1_500))
        #expect(wire.record.active == nodeID("b"))
        let client = wire.client()
        let put = client.put("k", "1")
        wire.run(.seconds(1))
        #expect(client.says(put) == "ok")
        wire.heal()
        wire.run(.seconds(3))
        #expect(wire.record.inSync.count == 2)
        #expect(wire.violations == [])
    }

    /// An operator moves the service: no request is lost or carried out twice (`switchover`).
    @Test func aSwitchoverLosesNothing() {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("a").isDiskHeld = true
        let put = client.put("k", "1")
        wire.settle()
        let console = wire.command("switchover")
        wire.node("a").isDiskHeld = false
        wire.run(.seconds(1))
        #expect(wire.operatorReplies[console]?.first?.status == .ok)
        #expect(wire.record.story == "epoch 2 b [a,b]", "one epoch, and the old one comes back as passive by itself")
        #expect(wire.told("proxy ALERT switchover server=b from=a epoch=2"))
        #expect(wire.told("b INFO active server=b epoch=2 from=a reason=switchover"))
        #expect(!wire.told("proxy ALERT takeover") && !wire.told("b ALERT takeover"), "nobody has failed")
        #expect(!wire.told("b fences a"))
        #expect(client.says(put) == "ok")
        #expect(wire.node("a").role == "passive")
        #expect(wire.violations == [])
    }

    /// The new server is lost before it has done anything: the old one holds everything and goes on.
    @Test(arguments: [0, 1, 5, 400]) func aSwitchoverOfWhichTheTargetIsLostGoesBack(_ milliseconds: Int) {
        let wire = Wire.running()
        let client = wire.client()
        let before = client.put("before", "1")
        wire.settle()
        wire.node("a").isDiskHeld = true
        let put = client.put("k", "1")
        let id = wire.number()
        wire.open(.operatorConsole(id), .proxyToOperator(id))
        wire.send(Hello(agent: "wire").frame, from: .operatorConsole(id))
        wire.send(OperatorRequest(command: "switchover").frame(sequence: .init(1)), from: .operatorConsole(id))
        var random = SeededRandom(seed: UInt64(milliseconds))
        while !wire.told("proxy ALERT switchover"), wire.stir(&random) {}
        wire.node("a").isDiskHeld = false
        if milliseconds > 0 { wire.run(.ms(milliseconds)) }
        wire.crash("b")
        #expect(wire.run(atMost: .seconds(5)) { client.says(put) == "ok" })
        #expect(wire.record.active == nodeID("a"))
        #expect(client.says(before) == "ok")
        let get = client.get(".*")
        wire.settle()
        #expect(client.says(get) == "ok 2")
        wire.start("b")
        wire.run(.seconds(2))
        #expect(wire.record.inSync.count == 2)
        #expect(wire.violations == [])
    }

    /// A server that answers, but does not know of its epoch, is not the active one.
    @Test func aProbeIsAnsweredInTheEpochOrNotAtAll() {
        let wire = Wire.running()
        wire.crash("b")
        wire.run(.seconds(1))
        wire.start("b")
        wire.run(.seconds(1))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        // `a` knows of a later epoch than it serves in: it has stepped down, though its connection stands.
        let deposed = SwitchRecord(
            cluster: wire.record.cluster, epoch: Epoch(9), version: 99, active: nodeID("z"),
            inSync: [nodeID("z")], rule: wire.record.rule)
        wire.happen(wire.node("a"), .proxyFrame(View(record: deposed, members: []).frame))
        wire.run(.seconds(2))
        #expect(wire.record.active == nodeID("b"))
    }

    /// A switchover to a server that lacks writes needs the operator's words for it.
    @Test func aSwitchoverToACopyThatLagsIsRefused() {
        let wire = Wire.running()
        wire.crash("b")
        let client = wire.client()
        wire.settle()
        let put = client.put("k", "1")
        wire.settle()
        #expect(client.says(put) == "ok")
        wire.node("b").isDiskHeld = true
        wire.start("b")
        wire.run(.ms(300))
        #expect(wire.record.story == "epoch 1 a [a]")
        let plain = wire.command("switchover")
        #expect(wire.operatorReplies[plain]?.first?.status == .unavailable)
        let named = wire.command("switchover", .object([.init("to", .string("b"))]))
        #expect(wire.operatorReplies[named]?.first?.message.contains("may lack acknowledged writes") == true)
        #expect(wire.record.story == "epoch 1 a [a]")
        wire.node("b").isDiskHeld = false
        wire.run(.ms(500))
        #expect(wire.record.story == "epoch 1 a [a,b]")
    }
}

extension Wire {
    /// The proxy alone sees the server's connection end; the server learns nothing of it.
    func loseAtProxy(_ name: String) {
        guard let link = linkOfPort[.nodeToProxy(name)] else { return }
        for side in 0...1 {
            guard case .proxyToServer(let number) = link.ports[side] else { continue }
            end(link, side)
            happen(.serverClosed(ServerLink(number)))
        }
    }
}
