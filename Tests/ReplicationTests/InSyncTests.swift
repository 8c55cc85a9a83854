import Replication
import TestSupport
import Testing
import TupleCore
import TupleStore
import WireProtocol

extension Wire {
    /// a is active alone, has noted b as a newcomer, and asked for it; what it sends to the proxy is still on its way.
    fileprivate static func askingForANewcomer() -> Wire {
        let wire = Wire()
        wire.start("a")
        wire.run(.ms(300))
        wire.cuts.insert(Cut(from: "a", to: "proxy"))
        wire.start("b")
        wire.run(.ms(200))
        #expect(wire.node("a").disk.record?.inSync.count == 2, "a has not asked for b")
        return wire
    }
}

/// The in-sync set: an answer waits for everyone in it, and nobody outside it is promoted.
@Suite struct InSyncTests {
    /// R13: relayed, durable on both, then answered.
    @Test func anAnswerWaitsForThePassiveServersDisk() {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("b").isDiskHeld = true
        let put = client.put("k", "1")
        wire.settle()
        #expect(wire.node("b").value("k") == "1", "the entry is there …")
        #expect(client.says(put) == "-", "… but not durable")
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(client.says(put) == "ok")
        #expect(wire.violations == [])
    }

    @Test func anAnswerWaitsForTheActiveServersOwnDisk() {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("a").isDiskHeld = true
        let put = client.put("k", "1")
        wire.settle()
        #expect(wire.node("b").disk.state?.position == wire.node("b").replica?.state.position)
        #expect(client.says(put) == "-")
        wire.node("a").isDiskHeld = false
        wire.settle()
        #expect(client.says(put) == "ok")
    }

    /// A read must not show what could still be lost.
    @Test func aReadWaitsForWhatItShows() {
        let wire = Wire.running()
        let client = wire.client()
        let reader = wire.client()
        wire.node("b").isDiskHeld = true
        client.put("k", "1")
        wire.settle()
        let get = reader.get("k")
        wire.settle()
        #expect(reader.says(get) == "-")
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(reader.shows(get) == "1")
    }

    /// R9: answers come in the order in which the requests took effect, also where a later one needs nothing.
    @Test func answersKeepTheirOrder() {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("b").isDiskHeld = true
        let sequences = [
            client.put("k", "1"), client.get("nothing"), client.request("JUMP", .null), client.put("k", "2"),
        ]
        wire.settle()
        #expect(client.order.isEmpty)
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(client.order == sequences)
        #expect(client.says(sequences[2]) == "not-implemented")
    }

    /// R15: the passive server is lost while a write waits for it: the answer comes only after the switch has durably
    /// recorded that the active one is alone.
    @Test func aWriteThatWaitsForALostPassiveIsAnsweredAfterTheSwitchHasRecordedIt() {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("b").isDiskHeld = true
        let put = client.put("k", "1")
        wire.settle()
        wire.cuts.insert(Cut(from: "a", to: "proxy"))
        wire.crash("b")
        wire.settle()
        #expect(wire.told("a ALERT passive-lost server=b"))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(client.says(put) == "-")
        // The question arrives, its answer does not.
        wire.heal()
        wire.cuts.insert(Cut(from: "proxy", to: "a"))
        wire.settle()
        #expect(wire.record.story == "epoch 1 a [a]")
        #expect(client.says(put) == "-", "it goes on only after it has read that the switch recorded it")
        wire.heal()
        wire.settle()
        #expect(client.says(put) == "ok")
        #expect(wire.told("a ALERT not-redundant"))
        #expect(wire.told("a misses its passive"))
        #expect(wire.violations == [])
    }

    /// The link between the servers is cut, both reach the proxy: no needless failover, the in-sync set shrinks.
    @Test func aCutBetweenServersShrinksTheSetAndDeposesNobody() {
        let wire = Wire.running()
        let client = wire.client()
        wire.cut("a", "b")
        let put = client.put("k", "1")
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 1 a [a]")
        #expect(client.says(put) == "ok")
        #expect(!wire.told("proxy ALERT takeover"))
        #expect(wire.told("b INFO takeover-refused"), "it asked, and was told that the active server answers")
        wire.heal()
        wire.run(.seconds(3))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.node("b").value("k") == "1")
        #expect(wire.violations == [])
    }

    /// One way is as bad as both: the passive server hears nothing, the active one hears it.
    @Test(arguments: [Cut(from: "a", to: "b"), Cut(from: "b", to: "a")])
    func aOneWayCutDeposesNobody(_ cut: Cut) {
        let wire = Wire.running()
        let client = wire.client()
        wire.cuts.insert(cut)
        let put = client.put("k", "1")
        wire.run(.seconds(3))
        #expect(wire.record.story == "epoch 1 a [a]")
        #expect(client.says(put) == "ok")
        wire.heal()
        wire.run(.seconds(3))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.violations == [])
    }

    /// The union rule: from the moment that the switch is asked to count a newcomer, its copy is waited for; nobody
    /// knows when the record begins to hold.
    @Test func aNewcomerIsRequiredFromTheMomentOfAsking() {
        let wire = Wire()
        wire.start("a")
        wire.run(.ms(300))
        let client = wire.client()
        wire.node("b").isDiskHeld = true
        wire.start("b")
        wire.run(.ms(300))
        #expect(wire.record.story == "epoch 1 a [a]", "the newcomer's snapshot is not durable")
        // The switch's words reach the active server no more; its own reach the switch.
        wire.cuts.insert(Cut(from: "proxy", to: "a"))
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.node("a").replica?.record?.inSync == [nodeID("a")], "it has not heard of it")
        wire.node("b").isDiskHeld = true
        let frame = Frame(
            Header(
                .request, session: client.session, sequence: RequestSequence(1), epoch: Epoch(1),
                connection: ConnectionIndicator(client.connection), lowWater: RequestSequence(1)),
            payload: Request(operatorName: "PUT", payload: .list([.pair("k", "1")])).payloadBytes)
        wire.happen(wire.node("a"), .proxyFrame(frame))
        let sent = wire.responses
        wire.settle()
        #expect(wire.responses == sent, "the newcomer does not hold it yet")
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(wire.responses == sent + 1)
        wire.heal()
        wire.run(.ms(200))
        #expect(wire.violations == [])
    }

    /// A server that comes back as the active one knows of nothing yet that was confirmed in its epoch; what was
    /// acknowledged before counts all the same. Found by the model: a newcomer that lacked it was taken in, and promoted.
    @Test func aNewcomerHoldsWhatWasAcknowledgedInEarlierEpochs() {
        let wire = Wire.running(["a", "b", "c"])
        wire.crash("c")
        wire.run(.seconds(1))
        let client = wire.client()
        let put = client.put("k", "1")
        wire.run(.seconds(1))
        #expect(client.says(put) == "ok")
        #expect(wire.record.story == "epoch 1 a [a,b]")
        // b stays in the set, and says nothing for a moment.
        wire.freeze("b")
        wire.crash("a")
        wire.node("c").isDiskHeld = true
        wire.start("a")
        wire.start("c")
        wire.run(.ms(200))
        #expect(wire.record.story == "epoch 2 a [a,b]", "c has the entry, but not on its disk")
        wire.crash("a")
        wire.run(.seconds(3))
        #expect(wire.record.active == nodeID("a"))
        wire.node("c").isDiskHeld = false
        wire.thaw("b")
        wire.run(.seconds(3))
        #expect(wire.record.story == "epoch 3 b [b,c]")
        let get = client.get("k")
        wire.run(.seconds(1))
        #expect(client.shows(get) == "1")
        #expect(wire.violations == [])
    }

    /// The newcomer may be promoted before the active server has heard that it is in: should the switch's record be lost
    /// after that, it is not rebuilt without the newcomer. Found by the simulator.
    @Test func aNewcomerIsNotedBeforeItIsAskedFor() {
        let wire = Wire.askingForANewcomer()
        #expect(wire.record.story == "epoch 1 a [a]", "the question has not arrived")
        wire.heal()
        wire.cuts.insert(Cut(from: "proxy", to: "a"))
        wire.settle()
        #expect(wire.record.story == "epoch 1 a [a,b]")
        wire.crash("a")
        wire.run(.seconds(1))
        #expect(wire.record.story == "epoch 2 b [b]")
        wire.crashProxy()
        wire.proxyDisk = nil
        wire.crash("b")
        wire.heal()
        wire.startProxy()
        wire.start("a")
        wire.run(.seconds(2))
        #expect(wire.proxyDisk == nil, "b is waited for")
        wire.start("b")
        wire.run(.seconds(2))
        #expect(wire.record.active == nodeID("b") && wire.record.inSync.count == 2)
        #expect(wire.violations == [])
    }

    /// The question arrives after its asker has given the connection up, the newcomer is promoted by it, and the record is
    /// lost: the asker lived on all the while, and still counts the newcomer. Found by the simulator.
    @Test func aQuestionWithoutAnAnswerIsNotForgotten() {
        let wire = Wire.askingForANewcomer()
        // a's side of the connection ends, and no other one comes about; what was sent arrives.
        wire.close(.nodeToProxy("a"))
        wire.happen(wire.node("a"), .proxyLost(reason: "the connection was closed"))
        wire.node("a").connectAt = wire.now
        wire.cuts = [Cut(from: "proxy", to: "a")]
        wire.cut("a", "b")
        wire.run(.seconds(1))
        #expect(wire.record.story == "epoch 2 b [b]")
        wire.crashProxy()
        wire.proxyDisk = nil
        wire.heal()
        wire.cut("b", "proxy")
        wire.startProxy()
        wire.run(.seconds(1))
        #expect(wire.told("proxy WARN rebuilding waiting-for=b"))
        #expect(wire.proxyDisk == nil, "b is waited for")
        wire.heal()
        wire.run(.seconds(2))
        #expect(wire.record.active == nodeID("b") && wire.record.inSync.count == 2)
        #expect(wire.violations == [])
    }

    /// A newcomer that the switch has not taken in is not waited for: so the disk must not go on counting it, or a record
    /// that is rebuilt from there would let it be promoted.
    @Test(arguments: [false, true]) func aNewcomerThatWasNotTakenInIsStruckOut(_ isRefused: Bool) {
        let wire = Wire.askingForANewcomer()
        // It is lost with the connection, or comes too late: b is gone.
        wire.crash("b")
        wire.run(.ms(100))
        if !isRefused {
            wire.crashProxy()
            wire.startProxy()
        }
        wire.heal()
        wire.run(.seconds(3))
        #expect(wire.told("a WARN insync-refused") == isRefused)
        #expect(wire.record.story == "epoch 1 a [a]")
        #expect(wire.node("a").disk.record == wire.record)
        let client = wire.client()
        let put = client.put("k", "1")
        wire.run(.seconds(1))
        #expect(client.says(put) == "ok", "a goes on alone")
        // Its disk tells the same after a restart, to a proxy that knows nothing; then a dies.
        wire.crash("a")
        wire.crashProxy()
        wire.proxyDisk = nil
        wire.startProxy()
        wire.cut("a", "b")
        wire.start("b")
        wire.start("a")
        wire.run(.seconds(2))
        wire.crash("a")
        wire.run(.seconds(5))
        #expect(wire.record.active == nodeID("a"), "b lacks what a alone acknowledged")
        #expect(wire.violations == [])
    }

    /// A proxy that has no record itself tells nothing about what became of the question: the newcomer is still waited for.
    @Test func aProxyWithoutARecordDoesNotSettleTheQuestion() {
        let wire = Wire.askingForANewcomer()
        wire.crash("b")
        wire.crashProxy()
        wire.proxyDisk = nil
        wire.startProxy()
        wire.heal()
        wire.run(.seconds(2))
        #expect(wire.told("proxy WARN rebuilding waiting-for=b"))
        #expect(wire.node("a").disk.record?.inSync.count == 2)
        #expect(wire.proxyDisk == nil)
        wire.start("b")
        wire.run(.seconds(2))
        #expect(wire.record.inSync.count == 2)
        #expect(wire.violations == [])
    }

    /// A server outside the in-sync set is never promoted, however long the service waits.
    @Test func aServerOutsideTheSetIsNeverPromoted() {
        let wire = Wire.running()
        let client = wire.client()
        wire.crash("b")
        wire.settle()
        let put = client.put("k", "1")
        wire.settle()
        #expect(client.says(put) == "ok")
        wire.crash("a")
        wire.start("b")
        wire.run(.seconds(5))
        #expect(wire.record.story == "epoch 1 a [a]")
        #expect(wire.told("proxy ALERT no-active"))
        #expect(wire.node("b").role == "passive")
        wire.start("a")
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 2 a [a,b]")
        #expect(wire.node("b").value("k") == "1")
        #expect(wire.told("proxy ALERT active-restored"))
        #expect(wire.violations == [])
    }

    /// A server whose disk was replaced is in the set by name alone: it is taken out, and not promoted.
    @Test func aWipedCopyIsNeverPromoted() {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        wire.crash("b")
        wire.crash("a")
        wire.wipe("b")
        wire.start("b")
        wire.run(.seconds(3))
        #expect(wire.record.active == nodeID("a"))
        #expect(wire.record.inSync == [nodeID("a")])
        #expect(wire.told("proxy ALERT copy-lost server=b"))
        #expect(wire.node("b").role == "passive")
        wire.start("a")
        wire.run(.seconds(2))
        #expect(wire.record.inSync.count == 2)
        #expect(wire.node("b").value("k") == "1")
        #expect(wire.violations == [])
    }

    /// Nor after it has come back to the proxy a second time: that it has heard of the cluster gives it no data.
    @Test func aWipedActiveServerIsNotPromotedWhenItReturnsTwice() {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        wire.crash("b")
        wire.crash("a")
        wire.wipe("a")
        wire.start("a")
        wire.run(.ms(500))
        wire.crashProxy()
        wire.run(.ms(100))
        wire.startProxy()
        wire.run(.ms(500))
        wire.crash("a")
        wire.start("a")
        wire.run(.seconds(1))
        #expect(wire.record.epoch == Epoch(1), "an empty copy was promoted")
        wire.start("b")
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 2 b [a,b]")
        #expect(wire.node("a").value("k") == "1")
        #expect(wire.violations == [])
    }

    /// The word that it is the founder is lost: it may ask again, since nothing can have been acknowledged.
    @Test(arguments: [false, true]) func aFounderThatWasNotToldAsksAgain(_ dies: Bool) {
        let wire = Wire(["a"])
        wire.start("a")
        wire.now = wire.now.advanced(by: .ms(5))
        wire.tick()
        // Message by message, until the proxy has decided and its word is on its way.
        var random = SeededRandom(seed: 1)
        while wire.proxyDisk == nil, wire.stir(&random) {}
        #expect(wire.proxyDisk?.story == "epoch 1 a [a]")
        #expect(wire.node("a").role == "passive")
        if dies {
            wire.crash("a")
            wire.start("a")
        } else {
            for link in wire.links { wire.sever(link) }
        }
        wire.run(.seconds(1))
        #expect(wire.node("a").role == "active")
        let client = wire.client()
        let put = client.put("k", "1")
        wire.settle()
        #expect(client.says(put) == "ok")
        #expect(wire.violations == [])
    }

    /// The same where it comes back before the active server has noticed that it was gone.
    @Test func aWipedCopyThatIsQuickIsResynced() {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        wire.crash("b")
        wire.wipe("b")
        wire.start("b")
        wire.run(.seconds(2))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.node("b").value("k") == "1")
        #expect(wire.violations == [])
    }

    /// R15: without the passive server the active one goes on; the other catches up from the log when it returns.
    @Test func aPassiveServerThatReturnsCatchesUpFromTheLog() {
        let wire = Wire.running()
        let client = wire.client()
        wire.crash("b")
        wire.settle()
        for number in 0..<20 { client.put("k\(number)", "1") }
        wire.settle()
        #expect(client.unanswered.isEmpty)
        wire.start("b")
        wire.run(.seconds(1))
        #expect(wire.told("a INFO catch-up server=b"))
        #expect(wire.node("b").value("k19") == "1")
        #expect(wire.record.inSync.count == 2)
    }

    /// R23: a copy that differs is noticed by the digest within a heartbeat, and made anew; it is not served meanwhile.
    @Test func aCopyThatDiffersIsRepaired() {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        let rotten = Effect.replaced(.init(key: Wire.tuple("k"), value: Wire.tuple("rot")))
        wire.damage("b", rotten)
        #expect(wire.node("b").value("k") == "rot")
        wire.run(.ms(150))
        #expect(wire.told("b ALERT divergence server=b"))
        wire.run(.seconds(1))
        #expect(wire.told("b ALERT repaired server=b from=a"))
        #expect(wire.node("b").value("k") == "1")
        #expect(wire.record.inSync.count == 2)
    }
}
