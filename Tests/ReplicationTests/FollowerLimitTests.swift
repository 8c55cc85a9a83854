import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// What an active server keeps and sends for a follower is bounded.
@Suite struct FollowerLimitTests {
    private func suite(windowBytes: Int) -> (Wire, WireClient) {
        let wire = Wire([])
        for name in ["a", "b"] {
            var settings = ReplicaSettings(
                name: nodeID(name), address: "\(name):1", rule: .alphanumeric, heartbeatInterval: Wire.interval,
                heartbeatMisses: Wire.misses, resync: .auto)
            settings.windowBytes = windowBytes
            settings.restBytes = 0
            wire.nodes[name] = Node(settings)
            wire.start(name)
            wire.run(.ms(500))
        }
        #expect(wire.record.story == "epoch 1 a [a,b]")
        return (wire, wire.client())
    }

    /// A follower that confirms nothing is sent no more than its window, and one entry; then it is sent the rest.
    @Test func theWindowOfUnconfirmedEntriesIsKept() throws {
        let (wire, client) = suite(windowBytes: 1_000)
        wire.node("b").isDiskHeld = true
        for number in 0..<20 {
            client.put("k\(number)", String(repeating: "v", count: 200))
            wire.settle()
        }
        let begun = try #require(wire.node("a").replica?.state.position.index.number)
        let sent = try #require(wire.node("b").replica?.state.position.index.number)
        let unconfirmed = try #require(wire.node("a").replica?.active?.followers[nodeID("b")]?.unacknowledgedBytes)
        #expect((1_000..<1_300).contains(unconfirmed))
        #expect(begun - sent >= 15)
        let active = try #require(wire.node("a").replica?.active)
        let held = try #require(active.followers[nodeID("b")]?.durable)
        #expect(active.tail.base.index <= held, "memory keeps what it lacks")
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(wire.node("b").replica?.state.position == wire.node("a").replica?.state.position)
        #expect(client.unanswered.isEmpty)
        #expect(wire.violations == [])
    }

    /// A new connection begins with an empty window.
    @Test func aNewConnectionBeginsAnew() throws {
        let (wire, client) = suite(windowBytes: 1_000)
        wire.node("b").isDiskHeld = true
        for number in 0..<20 {
            client.put("k\(number)", String(repeating: "v", count: 200))
            wire.settle()
        }
        wire.crash("b")
        wire.node("b").isDiskHeld = false
        wire.start("b")
        wire.run(.seconds(1))
        #expect(wire.record.story == "epoch 1 a [a,b]")
        #expect(wire.node("b").replica?.state.position == wire.node("a").replica?.state.position)
        #expect(wire.node("a").replica?.active?.followers[nodeID("b")]?.unacknowledgedBytes == 0)
        #expect(wire.violations == [])
    }
}
