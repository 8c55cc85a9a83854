import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// What an active server believes of a follower (specs/0005, sections 3 and 6).
@Suite struct FollowerTests {
    private static func position(_ index: UInt64) -> LogPosition {
        LogPosition(epoch: Epoch(1), index: LogIndex(index))
    }

    private func follower() -> Follower {
        let now = Instant(nanoseconds: 1)
        return Follower(name: nodeID("b"), hearing: .init(at: now), progressAt: now)
    }

    /// b says hello on another connection, while the one before still seems to stand.
    private func hello(
        _ wire: Wire, _ name: String = "b", peer: UInt64 = 900, cluster: UInt64 = 77, epoch: UInt64 = 1,
        resume: SnapshotMark? = nil
    ) {
        let hello = PeerHello(
            channel: .log, name: nodeID(name), cluster: ClusterID(cluster), position: .zero, resume: resume)
        wire.happen(wire.node("a"), .peerAccepted(PeerID(peer)))
        wire.happen(wire.node("a"), .peerFrame(PeerID(peer), hello.frame(epoch: Epoch(epoch))))
    }

    private func active(_ wire: Wire) throws -> Active { try #require(wire.node("a").replica?.active) }

    @Test func aConfirmationTakesNothingBackAndEmptiesTheWindowSoFar() {
        var follower = follower()
        follower.unacknowledged = [(LogIndex(5), 100), (LogIndex(9), 70)]
        follower.unacknowledgedBytes = 170
        follower.acknowledge(LogIndex(5), at: Instant(nanoseconds: 2))
        #expect(follower.durable == LogIndex(5) && follower.unacknowledgedBytes == 70)
        follower.acknowledge(LogIndex(3), at: Instant(nanoseconds: 3))
        #expect(follower.durable == LogIndex(5) && follower.unacknowledgedBytes == 70)
        #expect(follower.progressAt == Instant(nanoseconds: 2), "an older word is no progress")
    }

    @Test func theStateOfASnapshotIsKeptUntilItIsConfirmed() {
        var follower = follower()
        follower.base = ReplicatedState(
            space: Space(rule: .text), sessions: Sessions(), position: Self.position(10), time: 0)
        follower.acknowledge(LogIndex(9), at: Instant(nanoseconds: 2))
        #expect(follower.base != nil)
        follower.acknowledge(LogIndex(10), at: Instant(nanoseconds: 2))
        #expect(follower.base == nil)
    }

    @Test func whoIsSentEntriesOwesAConfirmation() {
        var follower = follower()
        follower.phase = .streaming
        follower.sent = Self.position(4)
        #expect(follower.owesConfirmation)
        follower.acknowledge(LogIndex(4), at: Instant(nanoseconds: 2))
        #expect(!follower.owesConfirmation)
    }

    /// Its disk may be another one: nothing of what it confirmed before counts, nor of what it was sent.
    @Test func aNewConnectionCountsFromNothing() throws {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        wire.node("b").isDiskHeld = true
        client.put("l", "1")
        wire.settle()
        let before = try #require(try active(wire).followers[nodeID("b")])
        #expect(before.durable > .zero && before.unacknowledgedBytes > 0)
        hello(wire)
        let after = try #require(try active(wire).followers[nodeID("b")])
        #expect(after.durable == .zero)
        #expect(after.unacknowledgedBytes == 0 && after.unacknowledged.isEmpty)
    }

    @Test(arguments: [(78, 1), (77, 2), (77, 0)] as [(UInt64, UInt64)])
    func aFollowerOfAnotherClusterOrEpochIsRefused(cluster: UInt64, epoch: UInt64) throws {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.ms(300))
        hello(wire, "c", cluster: cluster, epoch: epoch)
        #expect(try active(wire).followers[nodeID("c")] == nil)
        hello(wire, "c", peer: 901)
        #expect(try active(wire).followers[nodeID("c")] != nil)
    }

    /// What has come of a snapshot of another state is no part of this one.
    @Test func aSnapshotOfAnotherStateDoesNotGoOn() throws {
        let wire = Wire.running()
        let client = wire.client()
        wire.crash("b")
        wire.wipe("b")
        wire.run(.seconds(1))
        for number in 0..<50 { client.put("k\(number)", "1") }
        wire.settle()
        hello(wire)
        let paused = try #require(try active(wire).followers[nodeID("b")]?.base).position
        let mark = SnapshotMark(
            position: LogPosition(epoch: paused.epoch, index: LogIndex(paused.index.number - 1)), key: [1])
        hello(wire, peer: 902, resume: mark)
        #expect(!wire.told("a INFO resync-resumed"))
        hello(wire, peer: 903, resume: SnapshotMark(position: paused, key: [1]))
        #expect(wire.told("a INFO resync-resumed"))
    }

    // MARK: Whom it asks for

    private func wanted(_ actions: [ReplicaAction]) -> [NodeID]? {
        for action in actions {
            guard case .sendToProxy(let run) = action else { continue }
            for frame in run {
                if case .changeInSync(_, _, let wanted)? = try? SwitchRequest(frame) { return wanted }
            }
        }
        return nil
    }

    /// a is active alone; c follows, and has all that there is.
    private func aloneWithANewcomer() throws -> (Wire, Replica) {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.ms(300))
        var replica = try #require(wire.node("a").replica)
        var newcomer = Follower(
            name: nodeID("c"), hearing: .init(at: wire.now), progressAt: wire.now)
        newcomer.heartbeats = PeerID(900)
        newcomer.log = PeerID(901)
        newcomer.phase = .streaming
        newcomer.sent = replica.state.position
        newcomer.durable = replica.state.position.index
        replica.active?.followers[nodeID("c")] = newcomer
        replica.members[nodeID("c")] = "c:1"
        return (wire, replica)
    }

    @Test func aNewcomerIsAskedForWhenItHoldsEverythingAndIsHeardAndKnown() throws {
        let (wire, replica) = try aloneWithANewcomer()
        let c = nodeID("c")
        var whole = replica
        #expect(wanted(whole.step(.tick, at: wire.moment)) == [nodeID("a"), c])
        var lacking = replica
        lacking.active?.followers[c]?.durable = LogIndex(replica.state.position.index.number - 1)
        #expect(wanted(lacking.step(.tick, at: wire.moment)) == nil)
        var unheard = replica
        unheard.active?.followers[c]?.heartbeats = nil
        #expect(wanted(unheard.step(.tick, at: wire.moment)) == nil)
        var unknown = replica
        unknown.members[c] = nil
        #expect(wanted(unknown.step(.tick, at: wire.moment)) == nil)
    }

    @Test func aMemberThatNeedsEverythingAnewIsNotWaitedFor() throws {
        let wire = Wire.running()
        var replica = try #require(wire.node("a").replica)
        #expect(wanted(replica.step(.tick, at: wire.moment)) == nil)
        let encoder = SnapshotEncoder(replica.state)
        replica.active?.followers[nodeID("b")]?.phase = .snapshot(encoder)
        #expect(wanted(replica.step(.tick, at: wire.moment)) == [nodeID("a")])
    }

    @Test func whoConfirmsWhatWasNeverMadeIsDropped() throws {
        let wire = Wire.running()
        var replica = try #require(wire.node("a").replica)
        let log = try #require(replica.active?.followers[nodeID("b")]?.log)
        let reply = AppendReply(durable: replica.state.position.index.next)
        _ = replica.step(.peerFrame(log, reply.frame(epoch: Epoch(1))), at: wire.moment)
        #expect(replica.active?.followers[nodeID("b")] == nil)
    }

    // MARK: The log that is kept for it

    /// Its log and this one have an entry of that index each, of different epochs: there is nothing to go back to.
    @Test func aFollowerThatCannotGoBackGetsEverything() throws {
        let (wire, before) = try aloneWithANewcomer()
        for (common, isRewound) in [(before.state.position.index.number, false), (0, true)] {
            var replica = before
            replica.active?.followers[nodeID("c")]?.phase = .reading(.locating)
            let position = LogPosition(epoch: .zero, index: LogIndex(common))
            let actions = replica.step(
                .journalRead(PeerID(901), .lacking(common: position)), at: wire.moment)
            let isSnapshot = actions.contains {
                if case .sendToPeer(PeerID(901), let frame) = $0 { frame.type == .snapshotChunk } else { false }
            }
            #expect(isSnapshot != isRewound)
        }
    }

    /// What the slowest needs is kept, for as long as anybody needs it.
    @Test func theJournalIsKeptForTheOneThatNeedsMost() throws {
        var (_, replica) = try aloneWithANewcomer()
        replica.active?.followers[nodeID("c")]?.phase = .reading(.idle)
        replica.active?.followers[nodeID("c")]?.sent = Self.position(9)
        #expect(replica.journalNeededAfter == LogIndex(9))
        let state = ReplicatedState(
            space: Space(rule: .alphanumeric), sessions: Sessions(), position: Self.position(3), time: 0)
        replica.active?.paused[nodeID("d")] = PausedSnapshot(state: state, deadline: Instant(nanoseconds: .max))
        #expect(replica.journalNeededAfter == LogIndex(3))
    }

    /// What was committed stays so, although a member that held it cannot be asked any more.
    @Test func theCommitDoesNotGoBack() throws {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        let commit = try active(wire).commit
        #expect(commit > .zero)
        wire.cut("a", "proxy")
        wire.crash("b")
        wire.run(.ms(200))
        #expect(try active(wire).followers.isEmpty && active(wire).commit == commit)
    }
}
