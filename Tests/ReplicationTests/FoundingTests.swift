import Replication
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// How a cluster comes into being, grows, and comes back.
@Suite struct FoundingTests {
    /// R7, R10: the first server to register founds the cluster and is active.
    @Test func theFirstServerFoundsTheCluster() {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.ms(200))
        #expect(wire.record.story == "epoch 1 a [a]")
        #expect(wire.record.cluster == ClusterID(77))
        #expect(wire.node("a").role == "active")
        #expect(wire.told("a ALERT not-redundant"), "alone, it says so at once")
        #expect(wire.told("a misses its passive"))
        let client = wire.client()
        let put = client.put("k", "1")
        wire.settle()
        #expect(client.says(put) == "ok")
        #expect(wire.violations == [])
    }

    /// R13, R17, R25: a second server gets everything by a snapshot, and counts as in sync once it holds it.
    @Test func aPassiveServerJoinsBySnapshot() {
        let wire = Wire()
        wire.start("a")
        wire.run(.ms(200))
        let client = wire.client()
        for number in 0..<50 { client.put("k\(number)", "v\(number)") }
        wire.settle()
        wire.start("b")
        wire.run(.ms(500))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.told("a INFO resync server=b"))
        #expect(wire.told("a ALERT redundancy-restored server=b"))
        #expect(wire.node("b").state == "following")
        #expect(wire.node("b").replica?.state.space.digest == wire.node("a").replica?.state.space.digest)
        #expect(wire.node("b").value("k7") == "v7")
        #expect(wire.violations == [])
    }
}
