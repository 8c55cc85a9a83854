import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// What a server believes of the switch, asks of it, and notes on its disk (specs/0005, sections 1 and 3).
@Suite struct SwitchTests {
    private let a = nodeID("a")
    private let b = nodeID("b")
    private let c = nodeID("c")

    /// b follows a, in sync.
    private func following() throws -> (Wire, Replica) {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        return (wire, try #require(wire.node("b").replica))
    }

    private func record(_ version: UInt64, epoch: UInt64 = 1, _ active: NodeID, _ inSync: [NodeID]) -> SwitchRecord {
        SwitchRecord(
            cluster: ClusterID(77), epoch: Epoch(epoch), version: version, active: active, inSync: inSync,
            rule: .alphanumeric)
    }

    private func view(_ record: SwitchRecord) -> ReplicaEvent {
        .proxyFrame(
            View(record: record, members: [.init(name: a, address: "a:1"), .init(name: b, address: "b:1")]).frame)
    }

    private func grant(_ record: SwitchRecord, _ sequence: RequestSequence) -> ReplicaEvent {
        .proxyFrame(SwitchReply(granted: true, record: record).frame(sequence: sequence))
    }

    private func frames(_ actions: [ReplicaAction], _ type: FrameType) -> [Frame] {
        actions.flatMap { action -> [Frame] in
            guard case .sendToProxy(let run) = action else { return [] }
            return run.filter { $0.type == type }
        }
    }

    private func remembered(_ actions: [ReplicaAction]) -> [SwitchRecord] {
        actions.compactMap { if case .remember(let record) = $0 { record } else { nil } }
    }

    // MARK: Records

    @Test func aNewerRecordIsNotedAndAnOlderOnePassedOver() throws {
        let (wire, begun) = try following()
        var replica = begun
        let known = try #require(replica.record)
        let newer = record(known.version + 1, a, [a])
        #expect(remembered(replica.step(view(newer), at: wire.moment)) == [newer])
        #expect(replica.record == newer)
        #expect(remembered(replica.step(view(known), at: wire.moment)).isEmpty)
        #expect(replica.record == newer)
    }

    /// Who has no data yet keeps no record, or it would count as one that has them; when it has them, it does.
    @Test func whoHasNoDataKeepsNoRecord() throws {
        let (wire, begun) = try following()
        var replica = begun
        replica.isBlank = true
        let newer = record(9, a, [a])
        #expect(remembered(replica.step(view(newer), at: wire.moment)).isEmpty)
        replica.isInstalling = true
        let actions = replica.step(.snapshotInstalled(replica.state.position), at: wire.moment)
        #expect(remembered(actions) == [newer] && !replica.isBlank)
    }

    @Test func aCopyThatWasMadeAnewIsMarkedSound() throws {
        let (wire, begun) = try following()
        var replica = begun
        replica.isSuspect = true
        replica.isInstalling = true
        let actions = replica.step(.snapshotInstalled(replica.state.position), at: wire.moment)
        #expect(actions.contains { if case .markCopy(false) = $0 { true } else { false } })
        #expect(!replica.isSuspect)
    }

    // MARK: Registering

    private func registration(_ replica: Replica, _ wire: Wire) throws -> Register {
        var replica = replica
        let frame = try #require(frames(replica.step(.proxyConnected, at: wire.moment), .register).first)
        return try Register(frame.payload)
    }

    @Test func aSuspectCopyIsRegisteredAsNone() throws {
        let (wire, begun) = try following()
        var replica = begun
        #expect(try registration(replica, wire).holdsCopy)
        replica.isSuspect = true
        #expect(try !registration(replica, wire).holdsCopy)
        replica.isSuspect = false
        replica.isBlank = true
        #expect(try !registration(replica, wire).holdsCopy)
        #expect(try registration(replica, wire).record == nil)
    }

    @Test func whomItHasAskedForIsInTheRecordThatItRegistersWith() throws {
        let wire = Wire.running()
        var replica = try #require(wire.node("a").replica)
        replica.newcomersInDoubt = [c]
        #expect(try registration(replica, wire).record?.inSync == [a, b, c])
    }

    /// What was asked for may have been done: it is waited for until a view tells.
    @Test func aQuestionIsNotForgottenWithTheProxy() throws {
        let wire = Wire.running()
        var replica = try #require(wire.node("a").replica)
        replica.pendingSwitch = .init(
            sequence: RequestSequence(5), kind: .changeInSync([a, b, c]), askedAt: wire.now)
        _ = replica.step(.proxyLost(reason: "closed"), at: wire.moment)
        #expect(replica.required == [a, b, c])
    }

    // MARK: Taking over

    @Test func onlyAMemberAsksForTheSwitch() throws {
        let (wire, begun) = try following()
        var replica = begun
        replica.passive?.lostReason = "a test"
        var outsider = replica
        outsider.record?.inSync = [a]
        #expect(frames(outsider.step(.tick, at: wire.moment), .takeOver).isEmpty)
        #expect(frames(replica.step(.tick, at: wire.moment), .takeOver).count == 1)
    }

    /// A grant counts for the question that it answers, and where the server can still take it.
    @Test func aGrantIsTakenInItsTurnOrNotAtAll() throws {
        let (wire, begun) = try following()
        var replica = begun
        let known = try #require(replica.record)
        let granted = record(known.version + 1, epoch: 2, b, [b])
        replica.pendingSwitch = .init(sequence: RequestSequence(50), kind: .takeOver, askedAt: wire.now)
        var other = replica
        _ = other.step(grant(granted, RequestSequence(49)), at: wire.moment)
        #expect(other.active == nil && other.pendingSwitch != nil)
        var unfit = replica
        unfit.isRewinding = true
        _ = unfit.step(grant(granted, RequestSequence(50)), at: wire.moment)
        #expect(unfit.active == nil)
        let actions = replica.step(grant(granted, RequestSequence(50)), at: wire.moment)
        #expect(replica.active?.epoch == Epoch(2))
        #expect(remembered(actions).first == granted)
    }

    /// An operator's appointment is to a new epoch.
    @Test func anAppointmentToAnEpochThatIsKnownIsNone() throws {
        let (wire, begun) = try following()
        var replica = begun
        let known = try #require(replica.record)
        var same = replica
        _ = same.step(grant(record(known.version + 1, b, [a, b]), RequestSequence(0)), at: wire.moment)
        #expect(same.active == nil)
        _ = replica.step(grant(record(known.version + 1, epoch: 2, b, [a, b]), RequestSequence(0)), at: wire.moment)
        #expect(replica.active?.epoch == Epoch(2))
    }

    /// A server whose disk hangs leaves its place to a member that holds everything, to nobody else.
    @Test func itStepsAsideForAMemberAlone() throws {
        let wire = Wire.running()
        var replica = try #require(wire.node("a").replica)
        var outside = replica
        outside.record?.inSync = [a]
        _ = outside.step(.disk(.stuck("it hangs")), at: wire.moment)
        #expect(outside.active != nil)
        _ = replica.step(.disk(.stuck("it hangs")), at: wire.moment)
        #expect(replica.active == nil)
    }

    // MARK: Going back

    private func greeting(_ position: LogPosition) -> Frame {
        Append(previous: position, commit: .zero, entries: []).frame(epoch: Epoch(1))
    }

    /// Entries that nobody else has are dropped, those that wait for the journal too, once all is durable.
    @Test func itGoesBackWhenAllIsDurable() throws {
        let (wire, begun) = try following()
        var replica = begun
        let log = try #require(replica.passive?.log)
        let earlier = LogPosition(epoch: Epoch(1), index: LogIndex(replica.state.position.index.number - 1))
        func rewinds(_ replica: inout Replica) -> Bool {
            replica.passive?.phase = .joining
            return replica.step(.peerFrame(log, greeting(earlier)), at: wire.moment).contains {
                if case .rewind(let to) = $0 { to == earlier } else { false }
            }
        }
        var early = replica
        early.durable = earlier.index
        #expect(!rewinds(&early))
        replica.unjournaled = [JournalEntry(position: replica.state.position, bytes: [1])]
        #expect(rewinds(&replica))
        #expect(replica.unjournaled.isEmpty && replica.isRewinding)
        let state = ReplicatedState(
            space: Space(rule: .alphanumeric), sessions: Sessions(), position: earlier, time: 0)
        _ = replica.step(.rewound(state), at: wire.moment)
        #expect(replica.durable == earlier.index && replica.state.position == earlier)
        #expect(replica.checkInvariants() == [])
    }
}
