public import TupleCore

/// How far a server has received a snapshot that broke off.
public struct SnapshotMark: Hashable, Sendable {
    /// Where the snapshot stands in the log: two of the same position are the same.
    public var position: LogPosition
    /// The packed key of the last pair that came.
    public var key: [UInt8]
    public init(position: LogPosition, key: [UInt8]) {
        self.position = position
        self.key = key
    }
}

/// A passive server's first frame on a connection to the active one.
public struct PeerHello: Hashable, Sendable {
    public var channel: Channel
    public var name: NodeID
    public var cluster: ClusterID
    /// Its log's last entry; zero where it wants everything.
    public var position: LogPosition
    /// What it has of a snapshot that broke off.
    public var resume: SnapshotMark?
    /// The start that says so, as ``Incarnation/life``; nil where it is not told.
    public var life: UInt64?
    private static let lifeTag: UInt64 = 1

    /// What the connection is for. Bulk data never delays a heartbeat, because heartbeats have a connection of their own.
    public enum Channel: UInt8, Sendable {
        case heartbeats = 0
        case log = 1
    }

    public init(
        channel: Channel, name: NodeID, cluster: ClusterID, position: LogPosition, resume: SnapshotMark? = nil,
        life: UInt64? = nil
    ) {
        self.life = life
        self.resume = resume
        self.channel = channel
        self.name = name
        self.cluster = cluster
        self.position = position
    }

    /// - Parameter epoch: the epoch of the active server that is meant.
    public func frame(epoch: Epoch) -> Frame {
        var writer = ByteWriter()
        writer.byte(channel.rawValue)
        writer.node(name)
        writer.fixed64(cluster.number)
        writer.position(position)
        writer.flag(resume != nil)
        if let resume {
            writer.position(resume.position)
            writer.run(resume.key)
        }
        if let life {
            var field = ByteWriter()
            field.fixed64(life)
            var extensions = Extensions()
            extensions.set(Self.lifeTag, field.bytes)
            writer.extensions(extensions)
        }
        return Frame(Header(.peerHello, epoch: epoch), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        guard let channel = Channel(rawValue: try reader.byte()) else { throw .invalid("channel") }
        self.channel = channel
        name = try reader.node()
        cluster = ClusterID(try reader.fixed64())
        position = try reader.position()
        if try reader.flag() {
            resume = SnapshotMark(position: try reader.position(), key: [UInt8](try reader.run()))
        }
        if let field = try reader.extensions()[Self.lifeTag] {
            var field = ByteReader(field)
            life = try field.fixed64()
            try field.end()
        }
        try reader.end()
    }
}

/// Why the server that was dialled does not take the peer: it is not active, at another epoch, of another cluster.
public struct PeerRefused: Hashable, Sendable {
    public var message: String
    public init(message: String) { self.message = message }
    public func frame(epoch: Epoch) -> Frame {
        var frame = Refused(message: message).frame(.peerRefused)
        frame.header.epoch = epoch
        return frame
    }
    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) { message = try Refused(payload).message }
}

/// A sign of life. The reply carries the same sequence, and the replier's own position and digest.
public struct Heartbeat: Hashable, Sendable {
    /// The last entry applied to the space, …
    public var index: LogIndex
    /// … and the space's digest at that entry.
    public var digest: UInt64
    public init(index: LogIndex, digest: UInt64) {
        self.index = index
        self.digest = digest
    }

    public func frame(_ type: FrameType, epoch: Epoch, sequence: RequestSequence) -> Frame {
        var writer = ByteWriter()
        writer.fixed64(index.number)
        writer.fixed64(digest)
        return Frame(Header(type, sequence: sequence, epoch: epoch), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        index = LogIndex(try reader.fixed64())
        digest = try reader.fixed64()
        try reader.end()
    }
}

/// A run of log entries on their way to a passive server, and how far the log is committed. Without entries it tells the
/// latter alone.
public struct Append: Hashable, Sendable {
    /// The entry before the first of `entries`.
    public var previous: LogPosition
    public var commit: LogIndex
    /// Encoded entries (``LogEntry/encoded``), consecutive.
    public var entries: [ArraySlice<UInt8>]
    public init(previous: LogPosition, commit: LogIndex, entries: [ArraySlice<UInt8>]) {
        self.previous = previous
        self.commit = commit
        self.entries = entries
    }

    public func frame(epoch: Epoch) -> Frame {
        var writer = ByteWriter()
        writer.bytes.reserveCapacity(entries.reduce(40) { $0 + $1.count + 5 })
        writer.position(previous)
        writer.fixed64(commit.number)
        writer.length(entries.count)
        for entry in entries { writer.run(entry) }
        return Frame(Header(.append, epoch: epoch), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        previous = try reader.position()
        commit = LogIndex(try reader.fixed64())
        entries = []
        let count = try reader.count()
        entries.reserveCapacity(min(count, 4_096))
        for _ in 0..<count { entries.append(try reader.run()) }
        try reader.end()
    }
}

/// How far the passive server holds the log durably.
public struct AppendReply: Hashable, Sendable {
    public var durable: LogIndex
    public init(durable: LogIndex) { self.durable = durable }
    public func frame(epoch: Epoch) -> Frame {
        var writer = ByteWriter()
        writer.fixed64(durable.number)
        return Frame(Header(.appendReply, epoch: epoch), payload: writer.bytes)
    }
    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        durable = LogIndex(try reader.fixed64())
        try reader.end()
    }
}
