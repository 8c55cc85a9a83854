public import TupleCore
public import TupleStore
public import WireProtocol

/// One server's part in the replication of the space, as a state machine: it is told what happens and says what is to be
/// done; it does nothing itself.
///
/// The rules it keeps are those of `specs/0001-system-model.md`; its parts are in the files beside this one: the switch,
/// the active role, the active server's followers, the passive role.
public struct Replica {
    public internal(set) var settings: ReplicaSettings
    /// The space as this server has it.
    public internal(set) var state: ReplicatedState
    /// What the process says of its event loop.
    public var turns: ServerStatus.Turns?
    /// The switch's record as this server last saw it.
    public internal(set) var record: SwitchRecord?
    /// This server's own journal holds the log durably up to here.
    public internal(set) var durable: LogIndex
    /// Which start of which directory this is; nil where nobody counts them.
    let lineage: Lineage?

    var proxy = ProxyLink.down
    /// The registered servers and where they are reached.
    var members: [NodeID: String] = [:]
    /// How they look out for silence; none of servers of release 0.1.
    var heartbeats: [NodeID: HeartbeatSettings] = [:]
    /// Servers of which it was said that their settings differ.
    var differing: Set<NodeID> = []
    /// A request to the switch that is on its way; one at a time.
    var pendingSwitch: PendingSwitch?
    /// Whom this server has asked the switch to take into the set, and nothing has told yet whether it did. The record
    /// on disk counts them, and so does the one that this server registers with; ``record`` does not.
    var newcomersInDoubt: [NodeID] = []
    var lastTakeOverAsked: Instant?
    /// Set while this server is the active one.
    var active: Active?
    /// Set while this server follows, or tries to follow, an active one. Never together with ``active``.
    var passive: Passive?
    /// Whether it may become a follower by itself; an operator's word sets it where ``ReplicaSettings/resync`` is manual.
    var mayFollow: Bool
    /// This copy must be replaced by a snapshot before it may serve: it was found damaged, or to differ from the active
    /// server's. The data directory says so too, so that a restart changes nothing about it.
    var isSuspect: Bool
    /// How this server's disk is.
    var disk = DiskCondition.well
    /// The journal is on its way back to a position that it shares with the active server's.
    var isRewinding = false
    /// What has come of a snapshot that broke off, until something better comes.
    var partialSnapshot: SnapshotDecoder?
    /// The journal could not be taken back so far: everything is asked for.
    var wantsSnapshot = false
    /// Its data directory is new and no copy of the cluster has come into it yet. So long it keeps no record, and
    /// shows none: whoever has a record counts as a server that has its data.
    var isBlank: Bool

    /// Entries that wait for the next flush, or for the installation of a snapshot.
    var unjournaled: [JournalEntry] = []
    var isInstalling = false
    var isFinished = false

    /// How long silence may last, by what was seen of late on all links.
    var pace = ArrivalPace()
    var proxyHearing: Hearing
    var lastProxyBeat: Instant?
    var lastTick: Instant?
    /// When this process was last found to have been stopped itself.
    var stalledAt: Instant?

    let matcher = Matcher()
    var moment: Moment
    /// What has passed since the last entry.
    var clock: LoggedClock
    var actions: [Action] = []
    private var lastSequence: UInt64 = 0
    private var lastPeer: UInt64 = 0
    var lastSearch: UInt64 = 0

    enum ProxyLink: Hashable, Sendable {
        case down
        /// Registered, but no view has come yet.
        case registering
        case registered
    }

    struct PendingSwitch: Sendable {
        var sequence: RequestSequence
        var kind: Kind
        var askedAt: Instant
        enum Kind: Hashable, Sendable {
            case takeOver
            case changeInSync([NodeID])
        }
    }

    /// A server as recovered from its data directory.
    ///
    /// - Parameters:
    ///   - state: what snapshot and journal gave; all of it durable.
    ///   - record: the last record it saw; nil where the directory is new.
    ///   - isSuspect: the copy must not serve before it is replaced: see ``DurableCopy``.
    ///   - lineage: this start, counted durably.
    public init(
        settings: ReplicaSettings, state: ReplicatedState, record: SwitchRecord?, isSuspect: Bool = false,
        lineage: Lineage? = nil, at moment: Moment
    ) {
        self.lineage = lineage
        self.settings = settings
        self.state = state
        self.record = record
        self.moment = moment
        clock = LoggedClock(at: moment.instant)
        proxyHearing = Hearing(at: moment.instant)
        durable = state.position.index
        mayFollow = settings.resync == .auto || record == nil
        isBlank = record == nil
        self.isSuspect = isSuspect
    }

    var name: NodeID { settings.name }

    /// Takes in what has happened, and gives what is to be done about it, in order.
    public mutating func step(_ event: Event, at moment: Moment) -> [Action] {
        var actions: [Action] = []
        step(event, at: moment, adding: &actions)
        return actions
    }

    /// The same; what is to be done is added to `given`, which can be used again and again.
    public mutating func step(_ event: Event, at moment: Moment, adding given: inout [Action]) {
        guard !isFinished else { return }
        swap(&actions, &given)
        defer { swap(&actions, &given) }
        self.moment = moment
        noteStall()
        switch event {
        case .reachable(let address): settings.address = address
        case .proxyConnected: registerWithProxy()
        case .proxyLost(let reason): proxyLost(reason)
        case .proxyFrames(let run):
            heardProxy()
            serve(run)
        case .peerAccepted(let peer): accepted(peer)
        case .peerFrame(let peer, let frame): receive(frame, from: peer)
        case .peerLost(let peer): peerLost(peer)
        case .dialed(let peer): greet(peer)
        case .peerDrained(let peer): sendMore(to: peer)
        case .durable(let index): durable(upTo: index)
        case .snapshotInstalled(let position): snapshotInstalled(position)
        case .searched(let id, let outcome): searched(id, outcome)
        case .disk(let condition): diskChanged(condition)
        case .journalRead(let peer, let run): journalRead(run, for: peer)
        case .rewound(let state): rewound(state)
        case .flush(let isEarly): flush(isEarly: isEarly)
        case .tick: tick()
        }
    }

    /// Who is not active says so at once: a caller that it kept would still be there, and known to nobody, when it
    /// becomes active.
    private mutating func accepted(_ peer: PeerID) {
        guard active != nil else {
            refuse(peer, "\(name) is not active")
            return
        }
        active?.strangers[peer] = moment.instant
    }

    private mutating func receive(_ frame: Frame, from peer: PeerID) {
        if active != nil {
            receiveAsActive(frame, from: peer)
        } else if passive != nil {
            receiveAsPassive(frame, from: peer)
        } else {
            refuse(peer, "\(name) is not active")
        }
    }

    private mutating func peerLost(_ peer: PeerID) {
        if active != nil { followerConnectionLost(peer) }
        if passive?.owns(peer) == true { linkLost("the connection was closed") }
    }

    private mutating func tick() {
        lastTick = moment.instant
        if let pending = pendingSwitch, moment.instant.duration(since: pending.askedAt) > Timing.switchReplyTimeout {
            log(.warn, "switch-timeout", [.init("after", Timing.switchReplyTimeout)])
            proxyLost("it does not answer")
            actions.append(.reconnectToProxy)
        }
        tickProxy()
        if active != nil { tickAsActive() }
        if passive != nil { tickAsPassive() }
        considerTakeOver()
    }

    /// Everything that was decided in this step goes out: journal and followers in parallel, then the answers whose
    /// entries are safe.
    private mutating func flush(isEarly: Bool) {
        if active != nil { forgetExcessSessions() }
        if !isInstalling, !isRewinding, let first = unjournaled.first {
            actions.append(.appendToJournal(first: first.position, entries: unjournaled))
            unjournaled = []
        }
        if active != nil { flushAsActive() }
        // Only then heartbeats have had their turn.
        if !isEarly { active?.workOnTheSpot = Bounds.workPerFlush }
    }

    private mutating func durable(upTo index: LogIndex) {
        guard !isInstalling, !isRewinding, index > durable, index <= state.position.index else { return }
        durable = index
        if active != nil { advanceCommit() }
        acknowledge()
    }

    private mutating func snapshotInstalled(_ position: LogPosition) {
        guard isInstalling else { return }
        isInstalling = false
        durable = position.index
        wantsSnapshot = false
        if isBlank, let record {
            isBlank = false
            actions.append(.remember(record))
        }
        if isSuspect {
            isSuspect = false
            actions.append(.markCopy(isSuspect: false))
            log(.alert, "repaired", [.init("server", name), .init("from", passive?.target.name.name ?? "")])
        }
        if proxy != .down { actions.append(.sendToProxy(Frame(Header(.holding)))) }
        acknowledge()
    }

    mutating func nextSequence() -> RequestSequence {
        lastSequence += 1
        return RequestSequence(lastSequence)
    }

    /// Peers that this server dials are numbered here, downwards from the top; those that it accepts, by the runtime.
    mutating func nextPeer() -> PeerID {
        lastPeer += 1
        return PeerID(UInt64.max - lastPeer)
    }

    mutating func log(_ level: LogLine.Level, _ event: String, _ fields: [LogLine.Field] = []) {
        actions.append(.log(LogLine(level, event, fields)))
    }

    mutating func refuse(_ peer: PeerID, _ message: String) {
        actions.append(.sendToPeer(peer, PeerRefused(message: message).frame(epoch: record?.epoch ?? .zero)))
        actions.append(.closePeer(peer))
    }

    mutating func finish(_ ending: Ending) {
        isFinished = true
        actions.append(.finish(ending))
    }

    /// Whether the proxy has taken this server in.
    public var isRegistered: Bool { proxy == .registered }

    var role: String { active != nil ? "active" : "passive" }

    /// What it says of itself.
    public var status: ServerStatus {
        let followers = (active?.followers ?? [:]).values.sorted { $0.name < $1.name }
        return ServerStatus(
            role: role, state: activity, position: state.position, lag: 0, pairs: UInt64(state.space.count),
            digest: state.space.digest.value,
            followers: followers.map { .init(name: $0.name, index: $0.durable) }, turns: turns)
    }

    /// States of the space that are held for answers on their way; at most sixteen.
    public var heldStates: Int { active?.searches.snapshotCount ?? 0 }

    private var activity: String {
        if let active { return active.stopping == nil ? "serving" : "stopping" }
        guard let passive else { return "waiting" }
        if isInstalling || isRewinding { return "resyncing" }
        return switch passive.phase {
        case .waiting: mayFollow ? "joining" : "waiting"
        case .dialing, .joining: "joining"
        case .receiving: "resyncing"
        case .following: "following"
        }
    }
}
