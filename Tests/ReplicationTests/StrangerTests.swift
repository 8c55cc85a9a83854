import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// What stands at the other end is not believed unchecked (specs/0002, section 6).
@Suite struct StrangerTests {
    private let moment = Moment(instant: Instant(nanoseconds: 1_000_000_000), wallMilliseconds: 1)

    private func replica(
        _ name: String, _ record: SwitchRecord? = nil, interval: Int = 40, lineage: Lineage? = nil
    ) -> Replica {
        let settings = ReplicaSettings(
            name: nodeID(name), address: "\(name):1", rule: .alphanumeric, heartbeatInterval: .milliseconds(interval),
            heartbeatMisses: 4, resync: .auto)
        return Replica(
            settings: settings, state: ReplicatedState(rule: .alphanumeric), record: record, lineage: lineage,
            at: moment)
    }

    private func record(_ epoch: UInt64, _ active: String, _ inSync: [String]) -> SwitchRecord {
        SwitchRecord(
            cluster: ClusterID(9), epoch: Epoch(epoch), version: epoch, active: nodeID(active),
            inSync: inSync.map(nodeID),
            rule: .alphanumeric)
    }

    private func frames(_ actions: [Action]) -> [Frame] {
        actions.flatMap { action -> [Frame] in
            switch action {
            case .sendToProxy(let run): Array(run)
            case .sendToPeer(_, let frame): [frame]
            default: []
            }
        }
    }

    private func lines(_ actions: [Action]) -> [String] {
        actions.compactMap { if case .log(let line) = $0 { line.event } else { nil } }
    }

    private func reconnects(_ actions: [Action]) -> Bool {
        actions.contains { if case .reconnectToProxy = $0 { true } else { false } }
    }

    /// A server that dialled itself hears its own registration and heartbeats.
    @Test(arguments: [FrameType.register, .proxyHeartbeat, .takeOver, .peerHello, .append, .welcome, .operatorReply])
    func aFrameThatNoProxySendsEndsTheConnection(_ type: FrameType) {
        var server = replica("a")
        _ = server.step(.proxyConnected, at: moment)
        let actions = server.step(.proxyFrame(Frame(Header(type))), at: moment)
        #expect(reconnects(actions))
        #expect(lines(actions).contains("unexpected-frame"))
        // What comes after it on that connection counts for nothing.
        let view = View(record: record(5, "b", ["b"]), members: [])
        _ = server.step(.proxyFrame(view.frame), at: moment)
        #expect(server.proxy == .down || server.record == nil)
    }

    /// Whoever answers at the proxy's address and says why it does not understand is quoted.
    @Test func whyTheOtherEndRefusesIsSaid() {
        var server = replica("a")
        _ = server.step(.proxyConnected, at: moment)
        let actions = server.step(.proxyFrame(Refused(message: "this is the clients' port").frame), at: moment)
        let words = actions.compactMap { action -> String? in
            if case .log(let line) = action { line.fields.map { "\($0.value)" }.joined(separator: " ") } else { nil }
        }
        #expect(words.contains { $0.contains("this is the clients' port") })
        #expect(reconnects(actions))
    }

    @Test func aFrameThatNoFollowerSendsEndsTheLink() {
        var server = active("a")
        let actions = server.step(.peerFrame(PeerID(1), Frame(Header(.append, epoch: Epoch(1)))), at: moment)
        #expect(lines(actions).contains("unexpected-frame"))
        #expect(actions.contains { if case .closePeer(PeerID(1)) = $0 { true } else { false } })
        #expect(server.active?.followers.isEmpty == true)
    }

    private func active(_ name: String, _ members: [View.Member] = []) -> Replica {
        var server = replica(name, lineage: Lineage(incarnation: Incarnation(directory: 1, starts: 1, life: 1)))
        _ = server.step(.proxyConnected, at: moment)
        _ = server.step(.proxyFrame(View(record: nil, members: members).frame), at: moment)
        let granted = SwitchReply(granted: true, record: record(1, name, [name]))
        _ = server.step(.proxyFrame(granted.frame(sequence: RequestSequence(1))), at: moment)
        precondition(server.active != nil, "it was granted the epoch")
        for (number, channel) in [(UInt64(1), PeerHello.Channel.heartbeats), (2, .log)] {
            _ = server.step(.peerAccepted(PeerID(number)), at: moment)
            let hello = PeerHello(
                channel: channel, name: nodeID("z"), cluster: ClusterID(9), position: .zero, life: 70)
            _ = server.step(.peerFrame(PeerID(number), hello.frame(epoch: Epoch(1))), at: moment)
        }
        return server
    }

    /// What the active server knows of a follower's earlier start says nothing of its present one.
    @Test func aFollowerOfAnEarlierStartIsNotProposed() {
        for (known, isProposed) in [(UInt64(70), true), (71, false)] {
            var server = active("a")
            var newer = record(1, "a", ["a"])
            newer.version = 2
            newer.incarnations = [nodeID("z"): Incarnation(directory: 7, starts: 3, life: known)]
            let view = View(record: newer, members: [View.Member(name: nodeID("z"), address: "z:1")])
            var sent = frames(server.step(.proxyFrame(view.frame), at: moment))
            _ = server.step(.flush(isEarly: false), at: moment)
            sent += frames(server.step(.durable(LogIndex(1)), at: moment))
            _ = server.step(.peerDrained(PeerID(2)), at: moment)
            let reply = AppendReply(durable: LogIndex(1))
            sent += frames(server.step(.peerFrame(PeerID(2), reply.frame(epoch: Epoch(1))), at: moment))
            #expect(sent.contains { $0.type == .changeInSync } == isProposed)
        }
    }

    /// Nothing that the proxy grants is older than what the server holds.
    @Test func aGrantOfAnEpochThatIsOverIsNone() {
        var server = active("a")
        _ = server.step(.proxyLost(reason: "closed"), at: moment)
        _ = server.step(.proxyConnected, at: moment)
        let later = record(9, "b", ["a", "b"])
        _ = server.step(.proxyFrame(View(record: later, members: []).frame), at: moment)
        #expect(server.active == nil)
        let awhile = Moment(instant: moment.instant.advanced(by: .milliseconds(150)), wallMilliseconds: 1)
        _ = server.step(.tick, at: awhile)
        guard case .takeOver? = server.pendingSwitch?.kind, let sequence = server.pendingSwitch?.sequence else {
            return #expect(Bool(false), "it asks in the other's place")
        }
        let granted = SwitchReply(granted: true, record: record(2, "a", ["a"]))
        let actions = server.step(.proxyFrame(granted.frame(sequence: sequence)), at: moment)
        #expect(server.active == nil && reconnects(actions))
    }

    /// What was committed before the epoch began is of earlier epochs: a member's log may end with just that. Found by
    /// random faults in memory: a server that came back was taken for one that had lost something.
    @Test func theCommitThatTheProxyIsToldIsOfTheEpoch() throws {
        var server = active("a")
        func told(_ server: inout Replica, after milliseconds: Int) throws -> LogIndex? {
            let later = Moment(instant: moment.instant.advanced(by: .milliseconds(milliseconds)), wallMilliseconds: 1)
            let sent = frames(server.step(.tick, at: later))
            return try ProxyHeartbeat(#require(sent.last { $0.type == .proxyHeartbeat }).payload).commit
        }
        #expect(try told(&server, after: 50) == nil)
        _ = server.step(.flush(isEarly: false), at: moment)
        _ = server.step(.durable(LogIndex(1)), at: moment)
        #expect(try told(&server, after: 100) == LogIndex(1))
    }

    // MARK: Settings that must agree

    /// One sends a heartbeat a second, the other expects four in 160 ms: the longer time counts for their link, and it is
    /// said once.
    @Test func theLongerOfTwoHeartbeatTimeoutsCounts() {
        let slow = HeartbeatSettings(intervalMilliseconds: 1_000, misses: 4)
        let member = View.Member(name: nodeID("z"), address: "z:1", heartbeats: slow)
        var server = active("a", [member])
        let view = View(record: server.record, members: [member])
        var told = lines(server.step(.proxyFrame(view.frame), at: moment))
        told += lines(server.step(.proxyFrame(view.frame), at: moment))
        #expect(told.filter { $0 == "settings-differ" } == [], "it was said with the first view")
        #expect(server.peerTimeout(nodeID("z")) == .seconds(4))
        #expect(server.peerTimeout(nodeID("y")) == .milliseconds(160))
        // Three seconds of silence, in ticks, are none of its heartbeats lost.
        var now = moment
        var events: [String] = []
        for _ in 0..<300 {
            now.instant = now.instant.advanced(by: .milliseconds(10))
            events += lines(server.step(.tick, at: now))
        }
        #expect(!events.contains("follower-left"))
        for _ in 0..<300 {
            now.instant = now.instant.advanced(by: .milliseconds(10))
            events += lines(server.step(.tick, at: now))
        }
        #expect(events.contains("follower-left"))
    }

    @Test func settingsThatDifferAreSaidOnce() {
        let slow = HeartbeatSettings(intervalMilliseconds: 1_000, misses: 4)
        let same = HeartbeatSettings(intervalMilliseconds: 40, misses: 4)
        var server = replica("a")
        _ = server.step(.proxyConnected, at: moment)
        var told: [String] = []
        for settings in [same, slow, slow, slow, same, slow] {
            let member = View.Member(name: nodeID("b"), address: "b:1", heartbeats: settings)
            told += lines(server.step(.proxyFrame(View(record: nil, members: [member]).frame), at: moment))
        }
        #expect(told.filter { $0 == "settings-differ" }.count == 2)
    }

    @Test func whereOthersReachItIsRegistered() throws {
        var server = replica("a")
        _ = server.step(.reachable(at: "10.0.0.7:7410"), at: moment)
        let register = try #require(frames(server.step(.proxyConnected, at: moment)).first)
        #expect(try Register(register.payload).address == "10.0.0.7:7410")
    }
}
