import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// What a passive server takes from its active one, and what it does not (specs/0005, section 6).
@Suite struct PassiveTests {
    /// b follows a, has two entries, and lacks nothing.
    private func following() throws -> (Wire, Replica, log: PeerID, heartbeats: PeerID) {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        let replica = try #require(wire.node("b").replica)
        return (wire, replica, try #require(replica.passive?.log), try #require(replica.passive?.heartbeats))
    }

    private func isLinked(_ replica: Replica) -> Bool {
        if case .following? = replica.passive?.phase { true } else { false }
    }

    private func append(after previous: LogPosition, epoch: UInt64 = 1) -> Frame {
        Append(previous: previous, commit: .zero, entries: []).frame(epoch: Epoch(epoch))
    }

    @Test func aLogOfAnotherHistoryDoesNotGoOn() throws {
        let (wire, begun, log, _) = try following()
        var replica = begun
        _ = replica.step(.peerFrame(log, append(after: replica.state.position)), at: wire.moment)
        #expect(isLinked(replica))
        let other = LogPosition(epoch: .zero, index: replica.state.position.index)
        _ = replica.step(.peerFrame(log, append(after: other)), at: wire.moment)
        #expect(!isLinked(replica))
    }

    @Test(arguments: [0, 2] as [UInt64]) func aFrameOfAnotherEpochEndsTheLink(_ epoch: UInt64) throws {
        let (wire, begun, log, _) = try following()
        var replica = begun
        _ = replica.step(.peerFrame(log, append(after: replica.state.position, epoch: epoch)), at: wire.moment)
        #expect(!isLinked(replica))
    }

    /// A copy that differs is noted on the disk, and the proxy hears of it at once.
    @Test func aCopyThatDiffersServesNoMore() throws {
        let (wire, begun, _, heartbeats) = try following()
        var replica = begun
        func beat(_ index: LogIndex, _ digest: UInt64) -> [ReplicaAction] {
            let frame = Heartbeat(index: index, digest: digest).frame(
                .heartbeatReply, epoch: Epoch(1), sequence: RequestSequence(1))
            return replica.step(.peerFrame(heartbeats, frame), at: wire.moment)
        }
        let (index, digest) = (replica.state.position.index, replica.state.space.digest.value)
        _ = beat(index, digest)
        _ = beat(index.next, digest &+ 1)
        #expect(isLinked(replica) && !replica.isSuspect, "of other entries the digests may differ")
        let actions = beat(index, digest &+ 1)
        #expect(replica.isSuspect && !isLinked(replica))
        let marks = actions.contains { if case .markCopy(true) = $0 { true } else { false } }
        let reconnects = actions.contains { if case .reconnectToProxy = $0 { true } else { false } }
        #expect(marks && reconnects)
    }

    /// A snapshot takes the place of everything: what was durable, and what was on its way to the disk.
    @Test func aSnapshotBeginsWithNothingDurable() throws {
        let (wire, begun, log, _) = try following()
        var replica = begun
        #expect(replica.durable > .zero)
        let entry = JournalEntry(position: replica.state.position, bytes: [1])
        replica.unjournaled = [entry]
        replica.passive?.phase = .joining
        var encoder = SnapshotEncoder(replica.state)
        while let chunk = encoder.next() {
            let frame = Frame(Header(.snapshotChunk, epoch: Epoch(1)), payload: chunk)
            _ = replica.step(.peerFrame(log, frame), at: wire.moment)
        }
        #expect(replica.isInstalling)
        #expect(replica.durable == .zero && replica.unjournaled.isEmpty)
        // What becomes durable now is of the log before it.
        _ = replica.step(.durable(replica.state.position.index), at: wire.moment)
        #expect(replica.durable == .zero)
        _ = replica.step(.snapshotInstalled(replica.state.position), at: wire.moment)
        #expect(replica.durable == replica.state.position.index)
    }

    /// Where the log goes on, what has come of an earlier snapshot is of no use any more.
    @Test func aLogThatGoesOnEndsASnapshotThatBrokeOff() throws {
        let (wire, begun, log, _) = try following()
        var replica = begun
        replica.partialSnapshot = SnapshotDecoder()
        _ = replica.step(.peerFrame(log, append(after: replica.state.position)), at: wire.moment)
        #expect(isLinked(replica))
        #expect(replica.partialSnapshot == nil)
    }
}
