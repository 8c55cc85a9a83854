import TestSupport
import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// Random and damaged frames from the proxy and from other servers: nothing traps, and what must hold holds.
@Suite struct ReplicaFuzzTests {
    /// Runs of some hundred events each; `TWINSPACE_FUZZ_RUNS` sets how many.
    @Test func noFrameStopsAServer() {
        var random = SeededRandom()
        for _ in 0..<(setting("TWINSPACE_FUZZ_RUNS") ?? 150) {
            var run = FuzzedReplica(SeededRandom(seed: random.next()))
            run.go(events: 100)
        }
    }
}

/// A server of which the disk is sound and everything else is not.
private struct FuzzedReplica {
    var random: SeededRandom
    var replica: Replica
    private var moment = Moment(instant: Instant(nanoseconds: 1_000_000_000), wallMilliseconds: 5)
    private var written: LogIndex?
    private var installing: LogPosition?
    private var isRewinding = false
    private var asked: RequestSequence?
    private var peers: [PeerID] = []
    private var lastPeer: UInt64 = 0
    private var isOver = false

    init(_ seeded: SeededRandom) {
        random = seeded
        let settings = ReplicaSettings(
            name: nodeID("a"), address: "a:1", rule: .alphanumeric, heartbeatInterval: .milliseconds(40),
            heartbeatMisses: 4, resync: .auto)
        var known = random.once(in: 2) ? nil : random.switchRecord()
        while known?.invalidField != nil { known = random.switchRecord() }
        replica = Replica(
            settings: settings, state: ReplicatedState(rule: .alphanumeric), record: known,
            lineage: Lineage(incarnation: Incarnation(directory: 1, starts: 1, life: 1)), at: moment)
    }

    mutating func go(events: Int) {
        let seed = random.seed
        happen(.proxyConnected)
        for _ in 0..<events where !isOver {
            step()
            let broken = replica.checkInvariants() + (replica.record?.invalidField.map { [$0] } ?? [])
            #expect(broken == [], "seed \(seed)")
            if !broken.isEmpty { return }
        }
    }

    private mutating func step() {
        moment.instant = moment.instant.advanced(by: .milliseconds(random.below(30)))
        switch random.below(14) {
        case 0: happen(.tick)
        case 1, 2:
            happen(.flush(isEarly: false))
            if let index = written { happen(.durable(index)) }
        case 3:
            if let position = installing {
                installing = nil
                happen(.snapshotInstalled(position))
            } else if isRewinding {
                isRewinding = false
                happen(.rewound(nil))
            }
        case 4:
            happen(.proxyLost(reason: "closed"))
            happen(.proxyConnected)
        case 5:
            lastPeer += 1
            peers.append(PeerID(lastPeer))
            happen(.peerAccepted(PeerID(lastPeer)))
        case 6, 7, 8:
            guard !peers.isEmpty else { return }
            let peer = peers[random.below(peers.count)]
            if random.once(in: 9) {
                peers.removeAll { $0 == peer }
                happen(.peerLost(peer))
            } else {
                happen(.peerFrame(peer, random.spoiled(random.peerFrame(epoch))))
            }
        default: happen(.proxyFrame(random.spoiled(random.proxyFrame(asked, epoch))))
        }
    }

    private var epoch: Epoch { replica.record?.epoch ?? Epoch(1) }

    private mutating func happen(_ event: Event) {
        for action in replica.step(event, at: moment) {
            switch action {
            case .appendToJournal(_, let entries): written = entries.last?.position.index ?? written
            case .installSnapshot(let state):
                written = nil
                installing = state.position
            case .rewind: isRewinding = true
            case .sendToProxy(let run):
                for frame in run where frame.type == .takeOver || frame.type == .changeInSync {
                    asked = frame.header.sequence
                }
            case .dial(let peer, _, _):
                peers.append(peer)
                dialed.append(peer)
            case .finish: isOver = true
            default: break
            }
        }
        while let peer = dialed.popLast(), !isOver { happen(.dialed(peer)) }
    }

    private var dialed: [PeerID] = []
}

extension SeededRandom {
    fileprivate mutating func number() -> UInt64 {
        switch below(10) {
        case 0: next()
        case 1: UInt64.max - UInt64(below(3))
        case 2: Limits.maximumNumber - UInt64(below(3))
        default: UInt64(below(6))
        }
    }

    fileprivate mutating func name() -> NodeID { nodeID(["a", "a", "b", "c"][below(4)]) }

    fileprivate mutating func switchRecord() -> SwitchRecord {
        let active = name()
        let inSync = Set((0..<below(3)).map { _ in name() } + [active]).sorted()
        let number = UInt64(1 + below(9))
        return SwitchRecord(
            cluster: ClusterID(once(in: 12) ? self.number() : 9),
            epoch: Epoch(once(in: 12) ? max(1, self.number()) : number),
            version: number, active: active, inSync: inSync, rule: .alphanumeric)
    }

    fileprivate mutating func position(_ epoch: Epoch) -> LogPosition {
        LogPosition(epoch: once(in: 3) ? Epoch(number()) : epoch, index: LogIndex(number()))
    }

    fileprivate mutating func proxyFrame(_ asked: RequestSequence?, _ epoch: Epoch) -> Frame {
        let sequence = once(in: 4) ? RequestSequence(number()) : asked ?? RequestSequence(1)
        switch below(9) {
        case 0, 1:
            let members = (0..<below(3)).map { _ in
                View.Member(
                    name: name(), address: "x:1",
                    heartbeats: HeartbeatSettings(intervalMilliseconds: 1 + UInt32(below(9)), misses: 4))
            }
            return View(record: once(in: 4) ? nil : switchRecord(), members: members).frame
        case 2, 3, 4:
            return SwitchReply(granted: !once(in: 3), record: once(in: 8) ? nil : switchRecord(), message: "x")
                .frame(sequence: once(in: 6) ? RequestSequence(0) : sequence)
        case 5, 6:
            let header = Header(
                .request, session: SessionID(number()), sequence: RequestSequence(number()), epoch: epoch,
                connection: ConnectionIndicator(number()))
            let name = ["PUT", "GET", "DELETE", "POST", "OUTCOME", "X"][below(6)]
            return Frame(header, payload: Request(operatorName: name, payload: .list([.null])).payloadBytes)
        default:
            let types = FrameType.allCases.filter { once(in: 3) || ![.stop, .shutdown, .registerRefused].contains($0) }
            return Frame(Header(types[below(types.count)], sequence: sequence, epoch: epoch), payload: bytes(below(30)))
        }
    }

    fileprivate mutating func peerFrame(_ known: Epoch) -> Frame {
        let epoch = once(in: 6) ? Epoch(number()) : known
        switch below(8) {
        case 0, 1:
            return PeerHello(
                channel: once(in: 2) ? .log : .heartbeats, name: name(), cluster: ClusterID(9),
                position: position(known),
                resume: once(in: 3) ? SnapshotMark(position: position(known), key: bytes(4)) : nil, life: number()
            ).frame(epoch: epoch)
        case 2:
            return Heartbeat(index: LogIndex(number()), digest: number())
                .frame(once(in: 2) ? .heartbeat : .heartbeatReply, epoch: epoch, sequence: RequestSequence(1))
        case 3: return AppendReply(durable: LogIndex(number())).frame(epoch: epoch)
        case 4, 5:
            let entries = (0..<below(3)).map { _ in
                LogEntry(position: position(known), time: Int64(truncatingIfNeeded: number()), body: .epochBegun)
                    .encoded[...]
            }
            return Append(previous: once(in: 2) ? .zero : position(known), commit: LogIndex(number()), entries: entries)
                .frame(epoch: epoch)
        case 6:
            var encoder = SnapshotEncoder(
                ReplicatedState(
                    space: Space(rule: .alphanumeric), sessions: Sessions(), position: position(known), time: 1))
            var chunks: [[UInt8]] = []
            while let chunk = encoder.next() { chunks.append(chunk) }
            return Frame(Header(.snapshotChunk, epoch: epoch), payload: chunks[below(chunks.count)])
        default:
            let types = FrameType.allCases
            return Frame(Header(types[below(types.count)], epoch: epoch), payload: bytes(below(30)))
        }
    }

    /// As it is mostly, else with its payload damaged.
    fileprivate mutating func spoiled(_ frame: Frame) -> Frame {
        guard once(in: 5) else { return frame }
        var payload = [UInt8](frame.payload)
        switch below(4) {
        case 0: payload = bytes(below(60))
        case 1: payload = Array(payload.prefix(below(payload.count + 1)))
        case 2: payload += bytes(1 + below(9))
        default:
            for _ in 0...below(3) where !payload.isEmpty { payload[below(payload.count)] = UInt8(below(256)) }
        }
        return Frame(frame.header, payload: payload)
    }
}
