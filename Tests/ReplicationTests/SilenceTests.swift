import TestSupport
import Testing
import TupleCore
import WireProtocol

/// Packets vanish and nothing is closed: silence on each link is noticed, and on nobody else's account (specs/0005,
/// section 2).
@Suite struct SilenceTests {
    /// The proxy and the active server do not hear each other; the connection stands, and the passive server hears both.
    @Test(arguments: [
        [Cut(from: "a", to: "proxy")], [Cut(from: "proxy", to: "a")],
        [Cut(from: "a", to: "proxy"), Cut(from: "proxy", to: "a")],
    ])
    func aSilentLinkBetweenProxyAndActiveServerEndsInATakeover(_ cuts: [Cut]) {
        let wire = Wire.running()
        let client = wire.client()
        wire.cuts.formUnion(cuts)
        let put = client.put("k", "1")
        #expect(wire.run(atMost: .seconds(5)) { client.says(put) == "ok" }, "\(wire.record.story)")
        #expect(wire.record.active == nodeID("b"))
        wire.heal()
        wire.run(.seconds(3))
        #expect(wire.record.inSync.count == 2)
        #expect(wire.node("a").value("k") == "1")
        #expect(wire.violations == [])
    }

    /// The same where the active server is alone: its requests are parked, and given to it again when it is back.
    @Test func aSilentLinkToTheOnlyServerParksRequests() {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.seconds(1))
        let client = wire.client()
        wire.cut("a", "proxy")
        let put = client.put("k", "1")
        wire.run(.seconds(3))
        #expect(wire.told("proxy WARN server-dropped server=a reason=silent for"))
        #expect(wire.told("a WARN proxy-silent"))
        #expect(client.says(put) == "-")
        wire.heal()
        wire.run(.seconds(1))
        #expect(client.says(put) == "ok")
        #expect(wire.record.story == "epoch 1 a [a]", "nobody took its place")
        #expect(wire.violations == [])
    }

    /// A passive server that has lost the proxy alone stays a follower, in sync, and takes over when it can.
    @Test func aPassiveServerThatHasLostTheProxyStaysInSync() {
        let wire = Wire.running()
        let client = wire.client()
        wire.cut("b", "proxy")
        wire.run(.seconds(5))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        let put = client.put("k", "1")
        wire.settle()
        #expect(client.says(put) == "ok")
        #expect(!wire.told("a ALERT passive-lost"))
        wire.heal()
        wire.run(.seconds(1))
        wire.crash("a")
        wire.run(.ms(300))
        #expect(wire.record.active == nodeID("b"))
        #expect(wire.violations == [])
    }

    /// No answer leaves a server that hears neither the proxy nor its peer (G8).
    @Test func anActiveServerWithoutProxyAndPeerAnswersNothing() {
        let wire = Wire.running()
        let client = wire.client()
        wire.cut("a", "proxy")
        wire.cut("a", "b")
        wire.run(.seconds(2))
        #expect(wire.record.active == nodeID("b"))
        let put = client.put("k", "1")
        wire.run(.seconds(1))
        #expect(client.says(put) == "ok")
        #expect(wire.answeredIn[1] == nil)
        #expect(wire.answeredIn[2] == ["b"])
        #expect(wire.violations == [])
    }

    /// A proxy that was itself stopped does not take that for the servers' silence, nor do they leave it for good.
    @Test func aProxyThatWasStoppedBlamesNobody() {
        let wire = Wire.running()
        wire.now = wire.now.advanced(by: .seconds(60))
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(!wire.told("proxy WARN server-dropped"))
        #expect(wire.violations == [])
    }

    /// Heartbeats go on, the log's connection alone has died: the follower is left behind, and comes back on another.
    @Test(arguments: [0, 1]) func aSilentLogConnectionDoesNotStopTheService(_ side: Int) throws {
        let wire = Wire.running()
        let client = wire.client()
        client.put("before", "1")
        wire.settle()
        let log = try #require(wire.logLink(of: "b"))
        wire.silenced = [(log, side)]
        let put = client.put("k", "1")
        #expect(wire.run(atMost: .seconds(4)) { client.says(put) == "ok" })
        #expect(wire.told("a ALERT passive-lost server=b reason=it confirms nothing of the log"))
        wire.run(.seconds(3))
        // It was told: the active server is well, and nobody has to restore it.
        #expect(wire.told("b WARN peer-refused server=a reason=it confirms nothing of the log"))
        #expect(!wire.told("b ALERT active-lost"))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.node("b").value("k") == "1")
        #expect(!wire.told("proxy ALERT takeover"))
        #expect(wire.violations == [])
    }

    /// A passive server's disk that hangs costs the redundancy, not the service.
    @Test func aHangingDiskOfThePassiveServerDoesNotStopTheService() {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("b").isDiskHeld = true
        let put = client.put("k", "1")
        #expect(wire.run(atMost: .seconds(4)) { client.says(put) == "ok" })
        #expect(wire.record.story == "epoch 1 a [a]")
        wire.run(.seconds(5))
        #expect(wire.record.story == "epoch 1 a [a]", "it is not in sync before it has caught up on its disk")
        wire.node("b").isDiskHeld = false
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.violations == [])
    }

    /// A snapshot that stops coming is asked for anew.
    @Test func aSnapshotThatStopsIsBegunAnew() throws {
        let wire = Wire(["a", "b"])
        wire.start("a")
        wire.run(.ms(300))
        let client = wire.client()
        for number in 0..<40 { client.put("k\(number)", String(repeating: "v", count: 60_000)) }
        wire.settle()
        wire.start("b")
        var random = SeededRandom(seed: 1)
        while !wire.told("a INFO resync server=b") {
            wire.now = wire.now.advanced(by: .ms(5))
            wire.tick()
            while !wire.told("a INFO resync server=b"), wire.stir(&random) {}
        }
        wire.silenced = [(try #require(wire.logLink(of: "b")), 1)]
        wire.run(.seconds(5))
        #expect(wire.told("b WARN log-silent server=a"))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.node("b").value("k39") != nil)
        #expect(wire.violations == [])
    }

    // MARK: What is said

    /// A deposed server that wakes up finds its follower gone, because it was deposed: no alert of that.
    @Test func aDeposedServerThatWakesUpDoesNotAlertOfItsPassive() {
        let wire = Wire.running()
        wire.freeze("a")
        wire.run(.seconds(2))
        #expect(wire.record.active == nodeID("b"))
        wire.thaw("a")
        wire.run(.seconds(2))
        #expect(wire.told("a ALERT deposed"))
        #expect(!wire.told("a ALERT passive-lost"))
        #expect(wire.record.inSync.count == 2)
    }

    /// One that was stopped, and is still the active one, says what it has lost meanwhile.
    @Test func anActiveServerThatWakesUpAlertsOfWhatItLost() {
        let wire = Wire.running(["a", "b"])
        wire.freeze("a")
        wire.crash("b")
        wire.run(.ms(400))
        wire.thaw("a")
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 1 a [a]")
        #expect(wire.times("a ALERT passive-lost server=b") == 1)
        #expect(wire.told("a ALERT not-redundant"))
    }

    /// A passive server that was stopped says that it has lost the link, not that the active one is lost.
    @Test func aPassiveServerThatWakesUpDoesNotAlertOfTheActiveOne() {
        let wire = Wire.running()
        wire.freeze("b")
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 1 a [a]")
        wire.thaw("b")
        wire.run(.seconds(2))
        #expect(!wire.told("b ALERT active-lost"))
        #expect(wire.record.story == "epoch 1 a [a,b]")
    }
}
