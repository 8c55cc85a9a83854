import TestSupport
import Testing
import TupleCore

@testable import WireProtocol

/// A kind of message, for tests that go through all of them: random payloads, and what decoding makes of a payload.
struct Codec: Sendable {
    let name: String
    /// Whether it may have fields that release 0.1 did not know.
    var isExtensible: Bool { ["register", "proxyHeartbeat", "view", "peerHello"].contains(name) }
    /// A random message's payload.
    let sample: @Sendable (inout SeededRandom) -> [UInt8]
    /// Whether decoding this payload, encoding the result and decoding that gives the same value again.
    let isStable: @Sendable (_ payload: [UInt8]) throws(DecodingError) -> Bool

    init<Value: Equatable & Sendable>(
        _ name: String, _ make: @escaping @Sendable (inout SeededRandom) -> Value,
        encode: @escaping @Sendable (Value) -> ArraySlice<UInt8>,
        decode: @escaping @Sendable (ArraySlice<UInt8>) throws(DecodingError) -> Value
    ) {
        self.name = name
        sample = { random in
            let value = make(&random)
            let payload = [UInt8](encode(value))
            precondition(
                (try? decode(payload[...])) == value, "\(name) does not survive: \(value), seed \(random.seed)")
            return payload
        }
        isStable = { (payload: [UInt8]) throws(DecodingError) -> Bool in
            let value = try decode(payload[...])
            return try decode(encode(value)) == value
        }
    }

    static let all: [Codec] = [
        Codec("hello", { Hello(lowestVersion: $0.byte(), highestVersion: $0.byte(), agent: $0.text()) }) {
            $0.frame.payload
        } decode: { (payload) throws(DecodingError) in
            try Hello(payload)
        },
        Codec(
            "welcome",
            {
                Welcome(
                    version: $0.byte(), maximumPayloadBytes: UInt32($0.below(1 << 32)),
                    maximumRequestsInFlight: UInt32($0.below(1 << 32)))
            }
        ) {
            $0.frame.payload
        } decode: { (payload) throws(DecodingError) in
            try Welcome(payload)
        },
        Codec("refused", { Refused(message: $0.text()) }) {
            $0.frame.payload
        } decode: { (payload) throws(DecodingError) in
            try Refused(payload)
        },
        Codec("request", { Request(operatorName: $0.text(), payload: $0.term()) }) {
            $0.payloadBytes[...]
        } decode: { (payload) throws(DecodingError) in
            try Request(decoding: payload)
        },
        Codec("answer", { $0.answer() }) {
            $0.payloadBytes[...]
        } decode: { (payload) throws(DecodingError) in
            try Answer(decoding: payload)
        },
        Codec("operatorRequest", { OperatorRequest(command: $0.text(), argument: $0.term()) }) {
            $0.frame(sequence: .init(1)).payload
        } decode: { (payload) throws(DecodingError) in
            try OperatorRequest(payload)
        },
        Codec("operatorReply", { OperatorReply(status: $0.of(Status.allCases), message: $0.text(), result: $0.term()) })
        {
            $0.frame(sequence: .init(1)).payload
        } decode: { (payload) throws(DecodingError) in
            try OperatorReply(payload)
        },
        Codec(
            "register",
            {
                Register(
                    name: $0.node(), address: $0.text(), rule: $0.of(ElementRule.allCases),
                    activeEpoch: Epoch($0.number()),
                    position: $0.position(), record: $0.optionalRecord(), holdsCopy: $0.flag(),
                    lineage: $0.flag() ? $0.lineage() : nil, heartbeats: $0.flag() ? $0.heartbeats() : nil)
            }
        ) {
            $0.frame.payload
        } decode: { (payload) throws(DecodingError) in
            try Register(payload)
        },
        Codec(
            "proxyHeartbeat",
            {
                ProxyHeartbeat(
                    timeout: .milliseconds(1 + $0.below(100_000)), commit: $0.flag() ? LogIndex($0.number()) : nil)
            }
        ) {
            $0.frame(epoch: Epoch(7), sequence: .init(1)).payload
        } decode: { (payload) throws(DecodingError) in
            try ProxyHeartbeat(payload)
        },
        Codec("credit", { Credit(bytes: UInt32(1 + $0.below(1_000_000))) }) {
            $0.frame(for: Header(.request, session: SessionID(1), sequence: .init(1))).payload
        } decode: { (payload) throws(DecodingError) in
            try Credit(payload)
        },
        Codec("registerRefused", { RegisterRefused(isFinal: $0.flag(), message: $0.text()) }) {
            $0.frame.payload
        } decode: { (payload) throws(DecodingError) in
            try RegisterRefused(payload)
        },
        Codec(
            "view",
            { random in
                View(
                    record: random.optionalRecord(),
                    members: random.several { .init(name: $0.node(), address: $0.text()) }
                ).withHeartbeats(&random)
            }
        ) {
            $0.frame.payload
        } decode: { (payload) throws(DecodingError) in
            try View(payload)
        },
        switchRequest("takeOver", .takeOver) { .takeOver(epoch: Epoch(7), reason: $0.text()) },
        switchRequest("changeInSync", .changeInSync) { random in
            .changeInSync(epoch: Epoch(7), version: random.number(), inSync: random.several { $0.node() })
        },
        Codec(
            "switchReply",
            { SwitchReply(granted: $0.flag(), record: $0.optionalRecord(), message: $0.text()) }
        ) {
            $0.frame(sequence: .init(1)).payload
        } decode: { (payload) throws(DecodingError) in
            try SwitchReply(payload)
        },
        Codec(
            "statusReply",
            { random in
                ServerStatus(
                    role: random.text(), state: random.text(), position: random.position(), lag: random.next(),
                    pairs: random.next(), digest: random.next(),
                    followers: random.several { .init(name: $0.node(), index: LogIndex($0.next())) })
            }
        ) {
            $0.frame(sequence: .init(1)).payload
        } decode: { (payload) throws(DecodingError) in
            try ServerStatus(payload)
        },
        Codec(
            "peerHello",
            {
                PeerHello(
                    channel: $0.of([.heartbeats, .log]), name: $0.node(), cluster: ClusterID($0.next()),
                    position: $0.position(),
                    resume: $0.flag() ? SnapshotMark(position: $0.position(), key: [UInt8]($0.text().utf8)) : nil,
                    life: $0.flag() ? $0.next() : nil)
            }
        ) {
            $0.frame(epoch: Epoch(7)).payload
        } decode: { (payload) throws(DecodingError) in
            try PeerHello(payload)
        },
        Codec("peerRefused", { PeerRefused(message: $0.text()) }) {
            $0.frame(epoch: Epoch(7)).payload
        } decode: { (payload) throws(DecodingError) in
            try PeerRefused(payload)
        },
        Codec("heartbeat", { Heartbeat(index: LogIndex($0.next()), digest: $0.next()) }) {
            $0.frame(.heartbeat, epoch: Epoch(7), sequence: .init(1)).payload
        } decode: { (payload) throws(DecodingError) in
            try Heartbeat(payload)
        },
        Codec(
            "append",
            { random in
                Append(
                    previous: random.position(), commit: LogIndex(random.next()),
                    entries: random.several { $0.entry().encoded[...] })
            }
        ) {
            $0.frame(epoch: Epoch(7)).payload
        } decode: { (payload) throws(DecodingError) in
            try Append(payload)
        },
        Codec("appendReply", { AppendReply(durable: LogIndex($0.next())) }) {
            $0.frame(epoch: Epoch(7)).payload
        } decode: { (payload) throws(DecodingError) in
            try AppendReply(payload)
        },
        Codec("log entry", { $0.entry() }) {
            $0.encoded[...]
        } decode: { (payload) throws(DecodingError) in
            try LogEntry(decoding: payload)
        },
    ]

    private static func switchRequest(
        _ name: String, _ type: FrameType, _ make: @escaping @Sendable (inout SeededRandom) -> SwitchRequest
    ) -> Codec {
        Codec(name, make) {
            $0.frame(sequence: .init(1)).payload
        } decode: { (payload) throws(DecodingError) in
            try SwitchRequest(Frame(Header(type, epoch: Epoch(7)), payload: payload))
        }
    }
}

extension View {
    /// What a server registers goes with its name.
    fileprivate func withHeartbeats(_ random: inout SeededRandom) -> View {
        var known: [NodeID: HeartbeatSettings] = [:]
        for member in members where random.flag() { known[member.name] = random.heartbeats() }
        var view = self
        for number in members.indices { view.members[number].heartbeats = known[members[number].name] }
        return view
    }
}

extension Codec: CustomTestStringConvertible {
    var testDescription: String { name }
}

// MARK: Random values

extension SeededRandom {
    mutating func byte() -> UInt8 { UInt8(below(256)) }
    mutating func flag() -> Bool { below(2) == 0 }
    mutating func of<Value>(_ values: [Value]) -> Value { values[below(values.count)] }

    mutating func several<Value>(_ make: (inout SeededRandom) -> Value) -> [Value] {
        var values: [Value] = []
        for _ in 0..<below(4) { values.append(make(&self)) }
        return values
    }

    mutating func text() -> String {
        var text = ""
        for _ in 0..<below(12) { text += of(["a", "Z", "0", ",", " ", "\"", "\u{0}", "é", "漢", "😀"]) }
        return text
    }

    mutating func node() -> NodeID {
        guard let node = NodeID(of(["a", "b", "server-1", "A_b.c", String(repeating: "x", count: 64)])) else {
            preconditionFailure("a sound name")
        }
        return node
    }

    /// One that may be added to.
    mutating func number() -> UInt64 { next() % (Limits.maximumNumber + 1) }

    mutating func position() -> LogPosition { LogPosition(epoch: Epoch(number()), index: LogIndex(number())) }

    mutating func optionalRecord() -> SwitchRecord? {
        guard flag() else { return nil }
        let active = node()
        let inSync = Set(several { $0.node() } + [active])
        var record = SwitchRecord(
            cluster: ClusterID(max(1, next())), epoch: Epoch(max(1, number())), version: max(1, number()),
            active: active, inSync: inSync.sorted(), rule: of(ElementRule.allCases))
        for _ in 0..<below(3) { record.incarnations[node()] = lineage().incarnation }
        return record
    }

    mutating func lineage() -> Lineage {
        Lineage(
            incarnation: Incarnation(directory: next(), starts: max(1, number()), life: next()),
            earlierLives: several { $0.next() })
    }

    mutating func heartbeats() -> HeartbeatSettings {
        HeartbeatSettings(intervalMilliseconds: UInt32(1 + below(60_000)), misses: UInt32(1 + below(1_000)))
    }

    mutating func tuple() -> Tuple {
        let elements = (0...below(3)).map { _ in [UInt8]((text() + "x").utf8) }
        guard let tuple = try? Tuple(elements: elements, rule: .text) else { preconditionFailure("a sound tuple") }
        return tuple
    }

    mutating func pair() -> Pair { Pair(key: tuple(), value: tuple()) }

    mutating func term(depth: Int = 0) -> Term {
        switch below(depth < 4 ? 8 : 5) {
        case 0: .null
        case 1: .boolean(flag())
        case 2: .number(of(["0", "-1.5e3", "42", "1E400"]))
        case 3: .string([UInt8](text().utf8))
        case 4: .string(bytes(below(5)))
        case 5: .object(several { .init(name: $0.bytes($0.below(4)), value: $0.term(depth: depth + 1)) })
        default: .list(several { $0.term(depth: depth + 1) })
        }
    }

    mutating func answer() -> Answer {
        Answer(
            status: of(Status.allCases), message: text(), warning: text(), pairs: several { $0.pair() },
            rejected: several { Rejected(item: $0.term(), reason: $0.of(Reason.allCases)) },
            explanation: flag() ? "" : text())
    }

    mutating func entry() -> LogEntry {
        let time = Int64(truncatingIfNeeded: next())
        if below(4) == 0 { return LogEntry(position: position(), time: time, body: .epochBegun) }
        if below(4) == 0 {
            let sessions = Set(several { SessionID($0.next() | 1) }).sorted()
            let horizon = of([ForgettingHorizon.unknown, .nothingForgotten, .upTo(time)])
            return LogEntry(
                position: position(), time: time,
                body: .sessionsForgotten(.init(sessions: sessions, horizon: horizon)))
        }
        if flag() { return LogEntry(position: position(), time: time, body: .pairs(several { $0.pairUpdate() })) }
        let update = LogEntry.Update(
            session: SessionID(next()), sequence: RequestSequence(next()), lowWater: RequestSequence(next()),
            effects: several { random in
                switch random.below(3) {
                case 0: .added(random.pair())
                case 1: .replaced(random.pair())
                default: .removed(random.tuple())
                }
            }, outcome: flag() ? [] : answer().payloadBytes)
        return LogEntry(position: position(), time: time, body: .update(update))
    }

    mutating func pairUpdate() -> LogEntry.PairUpdate {
        LogEntry.PairUpdate(
            session: SessionID(next()), sequence: RequestSequence(next()), lowWater: RequestSequence(next()),
            replaces: flag(), pair: pair())
    }

    mutating func frame() -> Frame {
        let header = Header(
            of(FrameType.allCases), flags: of([[], .first, .more, [.first, .more], .explain]),
            session: SessionID(next()),
            sequence: RequestSequence(next()), epoch: Epoch(next()), connection: ConnectionIndicator(next()),
            lowWater: RequestSequence(next()))
        return Frame(header, payload: bytes(below(4) == 0 ? below(2_000) : below(60)))
    }

    /// Damages bytes as a hostile or broken sender would: other values, especially at the edges, bits, cuts, insertions.
    mutating func damage(_ bytes: inout [UInt8]) {
        for _ in 0...below(3) {
            let at = bytes.isEmpty ? 0 : below(bytes.count)
            switch below(5) {
            case 0 where !bytes.isEmpty: bytes[at] = of([0, 1, 0x7F, 0x80, 0xFF])
            case 1 where !bytes.isEmpty: bytes[at] ^= 1 << UInt8(below(8))
            case 2: bytes.removeLast(min(bytes.count, below(8)))
            case 3: bytes.insert(contentsOf: [UInt8](repeating: 0xFF, count: below(10)), at: at)
            default: bytes.insert(byte(), at: at)
            }
        }
    }
}
