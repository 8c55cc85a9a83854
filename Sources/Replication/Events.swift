public import TupleCore
public import TupleStore
public import WireProtocol

/// A connection between this server and another one, numbered by the runtime; a number is never used again.
public struct PeerID: Hashable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
}

/// When something happened.
public struct Moment: Hashable, Sendable {
    /// By the monotonic clock: for timeouts.
    public var instant: Instant
    /// By the wall clock, in milliseconds since 1970: what logged time begins with when a cluster is founded.
    public var wallMilliseconds: Int64
    public init(instant: Instant, wallMilliseconds: Int64) {
        self.instant = instant
        self.wallMilliseconds = wallMilliseconds
    }
}

/// What happens to a replica.
public enum Event: Sendable {
    /// Where other servers reach this one, where that is known better than by the settings; told before
    /// ``proxyConnected``.
    case reachable(at: String)
    /// The connection to the proxy's servers' SAP stands.
    case proxyConnected
    case proxyLost(reason: String)
    /// What came from the proxy in one read.
    case proxyFrames(FrameRun)
    /// A server has connected to this one.
    case peerAccepted(PeerID)
    case peerFrame(PeerID, Frame)
    case peerLost(PeerID)
    /// A connection that ``Action/dial(_:address:channel:)`` asked for stands.
    case dialed(PeerID)
    /// What was sent to the peer has left this process for the most part; more may be sent.
    case peerDrained(PeerID)
    /// This server's own journal holds the log durably up to here.
    case durable(LogIndex)
    /// The journal now begins with the snapshot that ``Action/installSnapshot(_:)`` handed over.
    case snapshotInstalled(LogPosition)
    /// A search that ``Action/search(_:_:)`` handed out has ended, if only because it was cancelled.
    case searched(SearchID, SearchOutcome)
    /// How this server's own disk is, where that has changed.
    case disk(DiskCondition)
    /// What ``Action/readJournal(_:after:bytes:)`` has found for the peer.
    case journalRead(PeerID, JournalRun)
    /// What ``Action/rewind(to:)`` has come to: the state at that position, of which the journal is the log now; nil
    /// where the journal does not reach back there.
    case rewound(ReplicatedState?)
    /// Everything that had arrived has been handed in, or so much of it that the rest may wait (`isEarly`):
    /// time to write, send and answer in one go.
    case flush(isEarly: Bool)
    /// A regular tick, a few for each heartbeat interval.
    case tick
}

/// What a replica wants done, in this order.
public enum Action: Sendable {
    /// Keep the switch's record, durably, before any later action.
    case remember(SwitchRecord)
    /// Append the encoded entries to the journal, beginning at this index, and make them durable; report ``Event/durable(_:)``.
    case appendToJournal(first: LogPosition, entries: [JournalEntry])
    /// Make this state the beginning of the journal, durably, in place of all that was there.
    case installSnapshot(ReplicatedState)
    /// Keep, durably and before any later action, whether this copy is known to differ from what it should be.
    case markCopy(isSuspect: Bool)
    /// Read about so many bytes of the entries after this position from the journal, for this peer; report
    /// ``Event/journalRead(_:_:)``.
    case readJournal(PeerID, after: LogPosition, bytes: Int)
    /// Drop all entries after this position, durably, and report ``Event/rewound(_:)``.
    case rewind(to: LogPosition)
    case sendToProxy(FrameRun)
    /// Close the connection to the proxy and connect anew.
    case reconnectToProxy
    case sendToPeer(PeerID, Frame)
    case closePeer(PeerID)
    /// Connect to a server; report ``Event/dialed(_:)`` or ``Event/peerLost(_:)`` under this identifier.
    case dial(PeerID, address: String, channel: PeerHello.Channel)
    /// Run the task on another thread, where it holds up nobody, and report ``Event/searched(_:_:)``.
    case search(SearchID, SearchTask)
    /// Nobody waits for the search any more: it should end soon.
    case cancelSearch(SearchID)
    case log(LogLine)
    /// Run the operator's fence command against a deposed server.
    case fence(NodeID, address: String, epoch: Epoch)
    /// The active server is without its passive one: start it where that is asked for.
    case passiveMissing
    /// Leave: the space is final.
    case finish(Ending)
}

extension Event {
    public static func proxyFrame(_ frame: Frame) -> Event { .proxyFrames(FrameRun(frame)) }
}

extension Action {
    static func sendToProxy(_ frame: Frame) -> Action { .sendToProxy(FrameRun(frame)) }
}

/// An entry with its bytes, so that it is encoded once for the journal and all peers.
public struct JournalEntry: Sendable {
    public var position: LogPosition
    public var bytes: ArraySlice<UInt8>
    public init(position: LogPosition, bytes: ArraySlice<UInt8>) {
        self.position = position
        self.bytes = bytes
    }
}

/// How a server's disk is.
public enum DiskCondition: Hashable, Sendable {
    case well
    /// There is room for no more log than what is prepared: what was taken in still fits, no further update may be. The
    /// text says what there is too little of: room, descriptors.
    case full(String)
    /// Entries wait that cannot be written, for the reason that the text gives.
    case stuck(String)
}

/// What was read of the journal for a follower.
public enum JournalRun: Sendable {
    /// The entries after the position that was asked for; none where they are not written yet.
    case entries([JournalEntry])
    /// The journal does not hold that position. `common` is the last one that it shares with any log that does, where
    /// it reaches back that far.
    case lacking(common: LogPosition?)
}

/// Why a server stops.
public enum Ending: Hashable, Sendable {
    /// An operator asked for it.
    case shutdown
    /// It cannot do its work; the message says why and what to do.
    case failed(String)
}
