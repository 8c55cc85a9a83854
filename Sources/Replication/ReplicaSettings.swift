public import TupleCore
import TupleStore
import WireProtocol

/// What an operator can set of a server.
public struct ReplicaSettings: Sendable {
    public var name: NodeID
    /// Where other servers reach this one.
    public var address: String
    public var rule: ElementRule
    /// How often a heartbeat is sent.
    public var heartbeatInterval: Duration
    /// How many heartbeats in a row may be missed before the peer counts as lost.
    public var heartbeatMisses: Int
    public var resync: Resync
    /// Pairs that the founder of a new cluster begins with.
    public var imported: [Pair]
    /// What a search may cost between two other requests, in units of about ten nanoseconds; one that costs more is handed
    /// out as an ``Action/search(_:_:)``.
    public var workOnTheSpot = Search.Work.inline
    /// What a step of a search that is handed out may cost, in the same units; see ``Search/Work/slice``.
    public var searchSliceWork = Search.Work.slice
    /// Payload bytes of an answer that is sent at once, in one frame.
    public var directAnswerBytes = Limits.directAnswerBytes
    /// Payload bytes of a larger answer that are sent before there is credit for more.
    public var answerWindowBytes = Limits.answerWindowBytes
    /// Payload bytes that a frame of a larger answer aims at.
    public var answerChunkBytes = Limits.preferredChunkBytes
    /// Bytes of entries kept in memory for followers that are behind; what is older they get from the journal.
    public var tailBytes = 256 * 1_048_576
    /// Bytes of entries kept in memory when no follower needs any: for one that returns within moments. The journal has
    /// more.
    public var restBytes = 4 * 1_048_576
    /// Bytes of a snapshot that are sent before the connection must have drained. More than what a connection counts as
    /// drained: of less nobody is told that it has left.
    public var snapshotBurstBytes = 524_288
    /// What is remembered of clients' sessions while this server is active.
    public var sessions = SessionLimits()
    /// Keys and values of the whole space may take so many bytes while this server is active: beyond, updates that
    /// make it grow are refused.
    public var maximumSpaceBytes = Int.max
    /// Bytes of entries that are sent to a follower before it must have acknowledged some.
    public var windowBytes = 32 * 1_048_576
    /// How long a snapshot that broke off may go on where it stopped: so long its state is kept.
    public var pausedSnapshotPatience = Duration.seconds(60)

    /// How a server that has failed comes back.
    public enum Resync: String, Sendable, CaseIterable {
        /// By itself.
        case auto
        /// When an operator says so (`twinspace resync NAME`).
        case manual
    }

    public init(
        name: NodeID, address: String, rule: ElementRule, heartbeatInterval: Duration, heartbeatMisses: Int,
        resync: Resync, imported: [Pair] = []
    ) {
        self.name = name
        self.address = address
        self.rule = rule
        self.heartbeatInterval = heartbeatInterval
        self.heartbeatMisses = heartbeatMisses
        self.resync = resync
        self.imported = imported
    }

    /// The least silence that makes a peer count as lost; see ``ArrivalPace``.
    var heartbeatTimeout: Duration { heartbeatInterval * heartbeatMisses }

    /// The same as others are told it.
    var heartbeats: HeartbeatSettings { HeartbeatSettings(interval: heartbeatInterval, misses: heartbeatMisses) }
    var streamSizes: StreamSizes {
        StreamSizes(slice: searchSliceWork, direct: directAnswerBytes, chunk: answerChunkBytes)
    }
}

/// What the active server keeps of clients' sessions, and for how long. Only it decides what is forgotten.
public struct SessionLimits: Sendable {
    /// So many are remembered; beyond, the source with the most of them loses first.
    public var sessions = Limits.maximumSessions
    /// One that was idle for so long is forgotten, in milliseconds of logged time.
    public var idleMilliseconds: Int64 = 10 * 60 * 1_000
    /// One entry of the log forgets so many at most.
    public var forgottenAtOnce = Limits.maximumSessionsForgottenAtOnce
    public var outcomeBytesPerSession = Limits.maximumOutcomeBytesPerSession
    public var outcomeBytes = Limits.maximumOutcomeBytes
    /// Where all outcomes together take too much, sessions that were idle for so long may be forgotten, in milliseconds of
    /// logged time.
    public var restMilliseconds: Int64 = 60 * 1_000
    /// So many new sessions a second may come from one source, …
    public var newPerSecond: Int64 = 1_000
    /// … and so many at once.
    public var newAtOnce: Int64 = 20_000

    public init() {}
}

/// Constants of the replication protocol that are not the operator's to set.
enum Timing {
    /// How long a passive server that hears the active one waits before it asks for the switch, when the proxy has lost
    /// the active server (time for that one to reconnect).
    static let proxyLostActivePatience = Duration.milliseconds(1_000)
    /// How long after a refused takeover it is asked for again, while the reason lasts.
    static let takeOverRetry = Duration.milliseconds(100)
    /// How long between attempts to reach the active server, at first and at most.
    static let redial = Duration.milliseconds(100)
    static let longestRedial = Duration.seconds(1)
    /// How long a switch request may go unanswered before the connection to the proxy counts as dead.
    static let switchReplyTimeout = Duration.milliseconds(2_000)
    /// So many times as long as another server may the proxy be silent.
    static let proxyTimeouts = 3
    /// How long a member of the in-sync set may confirm nothing of what it was sent, while its heartbeats go on. Longer
    /// than a sync of a busy disk takes: it costs the service its redundancy.
    static let confirmationPatience = Duration.milliseconds(2_000)
    /// The same for a server that is not in the set: nobody waits for it.
    static let catchUpPatience = Duration.milliseconds(30_000)
    /// The same for one that has been sent a snapshot and writes it to its disk.
    static let installationPatience = Duration.seconds(600)
    /// How long a passive server that waits for the log's beginning, or for a snapshot's next part, hears nothing on the
    /// log connection before it dials anew.
    static let logPatience = Duration.milliseconds(2_000)
    /// How long a peer may take to say hello.
    static let helloTimeout = Duration.milliseconds(2_000)
    /// How long an answer waits for credit before nobody is thought to want it.
    static let streamPatience = Duration.seconds(60)
    /// How long an answer may take that is held up by its reader while others wait for the room that it takes.
    static let streamPatienceInACrowd = Duration.seconds(10)
    /// How long shutdown waits for answers and passive servers.
    static let shutdownPatience = Duration.milliseconds(3_000)
}

/// Bounds of the replication protocol.
enum Bounds {
    /// Bytes of entries in one append frame.
    static let appendBytes = 1_048_576
    /// Packed bytes of an import that go into one log entry; a larger pair has one of its own.
    static let importBytesPerEntry = 65_536
    /// What all searches between two flushes may cost on the spot, in units of about ten nanoseconds: five milliseconds.
    static let workPerFlush: UInt64 = 500_000
    /// Entries that forget sessions beyond the limit, between two flushes.
    static let forgettingEntriesPerFlush = 16
    /// Sessions that are looked at for one entry that forgets some.
    static let sessionsLookedAt = 1_024
    /// What compiling a request's expressions may cost on the spot, in the same units: half a millisecond.
    static let compileWorkOnTheSpot: UInt64 = 50_000
    /// A value of a pair that was looked up is not counted as work up to so many bytes; of a longer one, so many bytes are one
    /// unit.
    static let valueBytesForFree = 1_024
    static let answerBytesPerUnit = 16
    /// The payload of a GET or DELETE that is read on the spot.
    static let payloadReadOnTheSpot = 4_096
    /// What expressions that were compiled on the spot may take in memory where they are kept for a search elsewhere.
    static let expressionBytesKept = 4_096
    /// Pairs of a DELETE that are made ready for the log on the spot where they were found elsewhere.
    static let pairsRemovedOnTheSpot = 256
}
