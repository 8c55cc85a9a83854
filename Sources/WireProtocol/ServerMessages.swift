public import TupleCore

/// A server's sign of life to the proxy, which answers with an empty frame of the same sequence: each notices by it when
/// the other has fallen silent on a connection that nobody has closed.
public struct ProxyHeartbeat: Hashable, Sendable {
    /// Silence for longer than this makes the server count as lost, in milliseconds.
    public var timeoutMilliseconds: UInt32
    /// Up to where every server of the in-sync set holds the log, as the active server knows it; nil from others.
    public var commit: LogIndex?
    private static let commitTag: UInt64 = 1

    public init(timeout: Duration, commit: LogIndex? = nil) {
        timeoutMilliseconds = UInt32(clamping: max(1, timeout.wholeMilliseconds))
        self.commit = commit
    }

    public var timeout: Duration { .milliseconds(timeoutMilliseconds) }

    public func frame(epoch: Epoch, sequence: RequestSequence) -> Frame {
        var writer = ByteWriter()
        writer.fixed32(timeoutMilliseconds)
        if let commit {
            var field = ByteWriter()
            field.fixed64(commit.number)
            var extensions = Extensions()
            extensions.set(Self.commitTag, field.bytes)
            writer.extensions(extensions)
        }
        return Frame(Header(.proxyHeartbeat, sequence: sequence, epoch: epoch), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        timeoutMilliseconds = try reader.fixed32()
        guard timeoutMilliseconds > 0 else { throw .invalid("timeout") }
        if let field = try reader.extensions()[Self.commitTag] {
            var field = ByteReader(field)
            commit = LogIndex(try field.number("index"))
            try field.end()
        }
        try reader.end()
    }
}

/// From the proxy: so much of a streamed answer has reached its client, and as much more of it may be sent.
public struct Credit: Hashable, Sendable {
    /// Payload bytes of response frames; at least 1.
    public var bytes: UInt32
    public init(bytes: UInt32) { self.bytes = bytes }

    /// - Parameter request: the header of the request as the server got it: session, sequence, epoch and connection indicator
    ///   say which answer is meant.
    public func frame(for request: Header) -> Frame {
        var writer = ByteWriter()
        writer.fixed32(bytes)
        let header = Header(
            .credit, session: request.session, sequence: request.sequence, epoch: request.epoch,
            connection: request.connection)
        return Frame(header, payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        bytes = try reader.fixed32()
        guard bytes > 0 else { throw .invalid("credit") }
        try reader.end()
    }
}

/// A server's first frame on the proxy's servers' SAP.
public struct Register: Hashable, Sendable {
    public var name: NodeID
    /// Where the other servers reach it, `host:port`.
    public var address: String
    public var rule: ElementRule
    /// The epoch in which it is active right now; zero where it is not. A server that was started anew is not.
    public var activeEpoch: Epoch
    /// Its log's last entry.
    public var position: LogPosition
    /// The last record it saw; nil where it has never been in a cluster (its data directory is new).
    public var record: SwitchRecord?
    /// Whether its copy is what it should be: false where it is new, was lost to damage, or is known to differ.
    public var holdsCopy: Bool
    /// The start of which directory it is; nil from release 0.1.
    public var lineage: Lineage?
    /// How it looks out for silence; nil from release 0.1.
    public var heartbeats: HeartbeatSettings?
    private static let lineageTag: UInt64 = 1
    private static let heartbeatsTag: UInt64 = 2

    public init(
        name: NodeID, address: String, rule: ElementRule, activeEpoch: Epoch, position: LogPosition,
        record: SwitchRecord?, holdsCopy: Bool, lineage: Lineage? = nil, heartbeats: HeartbeatSettings? = nil
    ) {
        self.lineage = lineage
        self.heartbeats = heartbeats
        self.name = name
        self.address = address
        self.rule = rule
        self.activeEpoch = activeEpoch
        self.position = position
        self.record = record
        self.holdsCopy = holdsCopy
    }

    public var frame: Frame {
        var writer = ByteWriter()
        writer.node(name)
        writer.text(address)
        writer.byte(rule.rawValue)
        writer.fixed64(activeEpoch.number)
        writer.position(position)
        writer.optionalRecord(record)
        writer.flag(holdsCopy)
        var extensions = Extensions()
        if let lineage {
            var field = ByteWriter()
            field.lineage(lineage)
            extensions.set(Self.lineageTag, field.bytes)
        }
        if let heartbeats {
            var field = ByteWriter()
            field.heartbeats(heartbeats)
            extensions.set(Self.heartbeatsTag, field.bytes)
        }
        writer.extensions(extensions)
        return Frame(Header(.register), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        name = try reader.node()
        address = try reader.text(atMost: 512)
        rule = try reader.rule()
        activeEpoch = Epoch(try reader.number("epoch"))
        position = try reader.position()
        record = try reader.optionalRecord()
        holdsCopy = try reader.flag()
        let extensions = try reader.extensions()
        if let field = extensions[Self.lineageTag] {
            var field = ByteReader(field)
            lineage = try field.lineage()
            try field.end()
        }
        if let field = extensions[Self.heartbeatsTag] {
            var field = ByteReader(field)
            heartbeats = try field.heartbeats()
            try field.end()
        }
        try reader.end()
    }
}

/// The proxy's answer to a server that it does not take.
public struct RegisterRefused: Hashable, Sendable {
    /// Whether there is no use in trying again.
    public var isFinal: Bool
    public var message: String
    public init(isFinal: Bool, message: String) {
        self.isFinal = isFinal
        self.message = message
    }

    public var frame: Frame {
        var writer = ByteWriter()
        writer.flag(isFinal)
        writer.text(message)
        return Frame(Header(.registerRefused), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        isFinal = try reader.flag()
        message = try reader.text()
        try reader.end()
    }
}

/// What the proxy tells every registered server whenever the record or the membership changes.
public struct View: Hashable, Sendable {
    public var record: SwitchRecord?
    /// The registered servers, sorted by name.
    public var members: [Member]

    public struct Member: Hashable, Sendable {
        public var name: NodeID
        public var address: String
        /// As it registered them; nil of a server of release 0.1.
        public var heartbeats: HeartbeatSettings?
        public init(name: NodeID, address: String, heartbeats: HeartbeatSettings? = nil) {
            self.name = name
            self.address = address
            self.heartbeats = heartbeats
        }
    }

    private static let heartbeatsTag: UInt64 = 1

    public init(record: SwitchRecord?, members: [Member]) {
        self.record = record
        self.members = members
    }

    public var frame: Frame {
        var writer = ByteWriter()
        writer.optionalRecord(record)
        writer.length(members.count)
        for member in members {
            writer.node(member.name)
            writer.text(member.address)
        }
        var extensions = Extensions()
        if members.contains(where: { $0.heartbeats != nil }) {
            var field = ByteWriter()
            let known = members.filter { $0.heartbeats != nil }
            field.length(known.count)
            for member in known {
                field.node(member.name)
                if let heartbeats = member.heartbeats { field.heartbeats(heartbeats) }
            }
            extensions.set(Self.heartbeatsTag, field.bytes)
        }
        writer.extensions(extensions)
        return Frame(Header(.view, epoch: record?.epoch ?? .zero), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        record = try reader.optionalRecord()
        members = []
        for _ in 0..<(try reader.count(ofAtLeast: 3)) {
            let name = try reader.node()
            members.append(Member(name: name, address: try reader.text(atMost: 512)))
        }
        if let field = try reader.extensions()[Self.heartbeatsTag] {
            var field = ByteReader(field)
            var known: [NodeID: HeartbeatSettings] = [:]
            for _ in 0..<(try field.count(ofAtLeast: 10)) { known[try field.node()] = try field.heartbeats() }
            try field.end()
            for number in members.indices { members[number].heartbeats = known[members[number].name] }
        }
        try reader.end()
    }
}

/// A change of the switch that a server asks for, on the ground of the epoch and version it knows (compare-and-swap).
public enum SwitchRequest: Hashable, Sendable {
    /// The server wants to be active, at the epoch after `epoch`.
    case takeOver(epoch: Epoch, reason: String)
    /// The active server wants the in-sync set to be this.
    case changeInSync(epoch: Epoch, version: UInt64, inSync: [NodeID])

    public func frame(sequence: RequestSequence) -> Frame {
        var writer = ByteWriter()
        switch self {
        case .takeOver(let epoch, let reason):
            writer.text(reason)
            return Frame(Header(.takeOver, sequence: sequence, epoch: epoch), payload: writer.bytes)
        case .changeInSync(let epoch, let version, let inSync):
            writer.fixed64(version)
            writer.length(inSync.count)
            for name in inSync { writer.node(name) }
            return Frame(Header(.changeInSync, sequence: sequence, epoch: epoch), payload: writer.bytes)
        }
    }

    /// - Precondition: the frame's type is `takeOver` or `changeInSync`.
    public init(_ frame: Frame) throws(DecodingError) {
        var reader = ByteReader(frame.payload)
        switch frame.type {
        case .takeOver: self = .takeOver(epoch: frame.header.epoch, reason: try reader.text(atMost: 1_024))
        case .changeInSync:
            let version = try reader.number("version")
            self = .changeInSync(epoch: frame.header.epoch, version: version, inSync: try reader.nodes())
        default: throw .invalid("frame type")
        }
        try reader.end()
    }
}

/// What became of a ``SwitchRequest``; the record as it is now comes with it.
public struct SwitchReply: Hashable, Sendable {
    public var granted: Bool
    public var record: SwitchRecord?
    /// Why it was not granted.
    public var message: String
    public init(granted: Bool, record: SwitchRecord?, message: String = "") {
        self.granted = granted
        self.record = record
        self.message = message
    }

    public func frame(sequence: RequestSequence) -> Frame {
        var writer = ByteWriter()
        writer.flag(granted)
        writer.optionalRecord(record)
        writer.text(message)
        return Frame(
            Header(.switchReply, sequence: sequence, epoch: record?.epoch ?? .zero), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        granted = try reader.flag()
        record = try reader.optionalRecord()
        message = try reader.text()
        try reader.end()
    }
}

/// What a server says of itself when the proxy asks for `status`.
public struct ServerStatus: Hashable, Sendable {
    /// `active` or `passive`.
    public var role: String
    /// What it is doing, in a word: `serving`, `waiting`, `following`, `resyncing`, `joining`.
    public var state: String
    public var position: LogPosition
    /// How many entries it knows of that it does not hold yet.
    public var lag: UInt64
    public var pairs: UInt64
    public var digest: UInt64
    /// For each passive server that is connected to this active one: the last entry it holds durably.
    public var followers: [Follower]
    /// Of its event loop; nil where it does not say.
    public var turns: Turns?

    /// The longest turns of an event loop: so long everybody else has waited for one of them.
    public struct Turns: Hashable, Sendable {
        /// Since the process began.
        public var longestMilliseconds: UInt64
        /// Of the last 30 to 60 seconds.
        public var recentMilliseconds: UInt64

        public init(longestMilliseconds: UInt64, recentMilliseconds: UInt64) {
            self.longestMilliseconds = longestMilliseconds
            self.recentMilliseconds = recentMilliseconds
        }
    }

    private static let turnsTag: UInt64 = 30

    public struct Follower: Hashable, Sendable {
        public var name: NodeID
        public var index: LogIndex
        public init(name: NodeID, index: LogIndex) {
            self.name = name
            self.index = index
        }
    }

    public init(
        role: String, state: String, position: LogPosition, lag: UInt64, pairs: UInt64, digest: UInt64,
        followers: [Follower], turns: Turns? = nil
    ) {
        self.role = role
        self.state = state
        self.position = position
        self.lag = lag
        self.pairs = pairs
        self.digest = digest
        self.followers = followers
        self.turns = turns
    }

    public func frame(sequence: RequestSequence) -> Frame {
        var writer = ByteWriter()
        writer.text(role)
        writer.text(state)
        writer.position(position)
        writer.fixed64(lag)
        writer.fixed64(pairs)
        writer.fixed64(digest)
        writer.length(followers.count)
        for follower in followers {
            writer.node(follower.name)
            writer.fixed64(follower.index.number)
        }
        var extensions = Extensions()
        if let turns {
            var value = ByteWriter()
            value.fixed64(turns.longestMilliseconds)
            value.fixed64(turns.recentMilliseconds)
            extensions.set(Self.turnsTag, value.bytes)
        }
        writer.extensions(extensions)
        return Frame(Header(.statusReply, sequence: sequence), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        role = try reader.text(atMost: 64)
        state = try reader.text(atMost: 64)
        position = try reader.position()
        lag = try reader.fixed64()
        pairs = try reader.fixed64()
        digest = try reader.fixed64()
        followers = []
        for _ in 0..<(try reader.count(ofAtLeast: 10)) {
            let name = try reader.node()
            followers.append(Follower(name: name, index: LogIndex(try reader.fixed64())))
        }
        let extensions = try reader.extensions()
        try reader.end()
        guard let value = extensions[Self.turnsTag] else { return }
        var fields = ByteReader(value)
        turns = Turns(longestMilliseconds: try fields.fixed64(), recentMilliseconds: try fields.fixed64())
    }
}
