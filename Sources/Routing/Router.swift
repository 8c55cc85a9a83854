public import TupleCore
public import WireProtocol

/// The proxy as a state machine: it is told what happens and says what is to be done; it does nothing itself.
///
/// It knows of the service only who is active and which servers hold every acknowledged write: the switch. Its parts are
/// in the files beside this one: clients, the switch, servers, operators.
public struct Router: Sendable {
    public let settings: RouterSettings
    /// The switch; nil before the first server has founded the cluster, and while a lost record is rebuilt.
    public internal(set) var record: SwitchRecord?

    var clients = IdentifierMap<Client>()
    var servers: [ServerLink: Server] = [:]
    var operators: [OperatorLink: OperatorState] = [:]
    /// Where requests go: the active server's link, while it is there.
    var route: ServerLink?
    /// The one direct question to a silent active server, while it is open.
    var probe: Probe?
    /// The server that founded the cluster, until a sign of it comes that it knows: till then nothing can have been
    /// acknowledged, and it may ask again though its data directory is new.
    var unconfirmedFounder: NodeID?
    /// Records that servers brought while this proxy has none: what it is rebuilt from.
    var isRebuilding = false
    var statusQuestions = StatusQuestions()
    /// The cluster of the last record, also while that is rebuilt.
    var knownCluster: ClusterID?
    /// Every member of the in-sync set held the log up to here when the active server said so; nil where that is not known.
    var acknowledged: LogPosition?
    var shutdown: Shutdown?

    /// All clients, in any order: what is to be done with each goes down it, a part a turn.
    var roster: [ConnectionIndicator] = []
    /// How many sources clients come from, and which has most.
    var sources = SourceTable()
    /// What keeping all unanswered requests takes, in bytes.
    var waitingBytes = 0
    /// Requests that wait for an answer.
    public internal(set) var parkedCount = 0

    /// Counts the times that requests were to be passed on anew: each time there was another active server.
    var generation: UInt64 = 0
    var losses = LossHistory()
    /// Clients with requests that wait, in turns.
    var waiting = FIFO<ConnectionIndicator>()
    /// Requests that the active server has and has not answered, and their payloads in bytes.
    var inFlight = 0
    var passedBytes = 0
    var suspects = Suspects()
    /// How much of the roster is still to be looked at: for requests to be sent again, for such as are late, for unread bytes.
    var replayCursor = 0
    var replayed = 0
    var sweepCursor = 0
    var askCursor = 0

    var budget: AnswerBudget
    /// Questions to the runtime about clients' sockets, oldest first; settled ones among them.
    var reports = FIFO<(client: ConnectionIndicator, number: UInt64, askedAt: Instant)>()
    var lastReport: UInt64 = 0
    /// Clients whose stream found no room for credit.
    var starved = FIFO<ConnectionIndicator>()
    /// Responses that were ill-formed, of an older epoch, or for clients that had left.
    public internal(set) var discarded: UInt64 = 0
    public internal(set) var refused: UInt64 = 0
    /// What the process says of its event loop.
    public var turns: ServerStatus.Turns?

    /// How long silence may last, by what was seen of late on the servers' connections.
    var pace = ArrivalPace()
    /// When this process was last found to have been stopped itself: silence before that is its own.
    var awakeSince: Instant
    private var lastTick: Instant

    var now: Instant
    private var actions: [Action] = []
    /// Frames that go to the same connection leave as one run: what has come together so far, and where it goes.
    private var passing = FrameRun()
    private var destination: Destination?
    var routeLostAt: Instant
    /// When something came from the active server last; nil where that is not known.
    var routeHeardAt: Instant?
    /// Connections that have not said hello, and since when; the oldest first, gone ones among them.
    var greeting = FIFO<(client: ConnectionIndicator, since: Instant)>()
    var noActiveAlerted = false
    private var lastSweep: Instant
    private var lastSequence: UInt64 = 0
    /// Commands of operators in this tick.
    var commandsThisTick = 0

    struct Shutdown: Sendable {
        var deadline: Instant
        var asker: (OperatorLink, RequestSequence)?
        /// The active server has said that it is going.
        var activeIsGoing = false
        /// Clients are told; whether all servers had ended before.
        var isEnding: Bool?
    }

    /// - Parameter record: what the data directory held; nil where it is new.
    public init(settings: RouterSettings, record: SwitchRecord?, at now: Instant) {
        self.settings = settings
        self.record = record
        knownCluster = record?.cluster
        self.now = now
        awakeSince = now
        lastTick = now
        routeLostAt = now
        lastSweep = now
        budget = AnswerBudget(limit: settings.flow.answerBytes, clientLimit: settings.flow.clientAnswerBytes)
    }

    var flow: FlowLimits { settings.flow }

    /// Takes in what has happened, and gives what is to be done about it, in order.
    public mutating func step(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        step(event, at: now, adding: &actions)
        return actions
    }

    /// The same; what is to be done is added to `given`, which can be used again and again.
    public mutating func step(_ event: Event, at now: Instant, adding given: inout [Action]) {
        swap(&actions, &given)
        defer { swap(&actions, &given) }
        // What came in one read has the moment of that read; something else may have happened in between.
        self.now = max(now, self.now)
        if now.duration(since: lastTick) > RouterSettings.tick * RouterSettings.stallTicks {
            awakeSince = now
            restartProbe()
        }
        switch event {
        case .clientConnected(let client, let source): connected(client, source: source)
        case .clientFrames(let client, let run): receive(run, from: client)
        case .clientClosed(let client): closed(client)
        case .clientDrained(let client): drained(client)
        case .serverConnected(let link): servers[link] = Server(since: now)
        case .serverFrames(let link, let run): receive(run, from: link)
        case .serverClosed(let link): closed(link)
        case .operatorConnected(let link): connected(link)
        case .operatorFrame(let link, let frame): receive(frame, from: link)
        case .operatorClosed(let link): closed(link)
        case .statusAsked(let token): askStatus(.token(token))
        case .terminated: beginTermination()
        case .tick: tick()
        }
        passWaiting()
        if suspects.isBusy { trySuspects() }
        passOn()
    }

    private mutating func tick() {
        lastTick = now
        tickGreeting()
        tickReading()
        tickServers()
        tickOperators()
        if now.duration(since: lastSweep) >= RouterSettings.sweep, sweepCursor == 0 {
            lastSweep = now
            sweepCursor = roster.count
        }
        sweepRequests()
        if route == nil, !noActiveAlerted, shutdown == nil,
            now.duration(since: routeLostAt) >= RouterSettings.noActiveTime
        {
            noActiveAlerted = true
            log(.alert, "no-active", [.init("reason", noActiveReason), .init("parked", parkedCount)])
        }
    }

    /// Why there is no active server, in words for an operator.
    public var noActiveReason: String {
        guard let record else {
            return isRebuilding ? rebuildingReason : "no server has registered yet"
        }
        if let stale = staleReason(record) { return stale }
        let present = Set(servers.values.compactMap(\.name))
        let missing = record.inSync.filter { !present.contains($0) }
        return missing.count == record.inSync.count
            ? "none of the servers that hold every acknowledged write is registered: "
                + record.inSync.map(\.name).joined(separator: ",")
            : "no server has taken over yet"
    }

    public var isServing: Bool { route != nil }
    public var clientCount: Int { clients.count }
    /// What clients' answers are charged with, in bytes: what servers may still send of them, and what is not known to have
    /// been written.
    public var answerBytes: Int { budget.charged }

    enum Destination: Hashable, Sendable {
        case client(ConnectionIndicator)
        case server(ServerLink)
    }

    /// Passes a request or a response on, after all that was to be done before.
    ///
    /// - Parameter expected: how many bytes are going to come to the same destination, if that is known.
    mutating func pass(
        _ header: Header, payloadOf frame: FrameInPlace, to destination: Destination, expecting expected: Int
    ) {
        prepare(destination, expected)
        passing.append(header, payloadOf: frame)
    }

    /// The same with a payload that was kept.
    mutating func pass(_ header: Header, payload: ArraySlice<UInt8>, to destination: Destination) {
        prepare(destination, 0)
        passing.append(header, payload: payload)
    }

    private mutating func prepare(_ destination: Destination, _ expected: Int) {
        if destination != self.destination {
            passOn()
            self.destination = destination
            passing.reserveCapacity(expected)
        }
    }

    private mutating func passOn() {
        switch destination {
        case nil: return
        case .client(let id): actions.append(.sendToClient(id, passing))
        case .server(let link): actions.append(.sendToServer(link, passing))
        }
        destination = nil
        passing = FrameRun()
    }

    /// Has something done, after all that was to be done before.
    mutating func act(_ action: Action) {
        passOn()
        actions.append(action)
    }

    mutating func log(_ level: LogLine.Level, _ event: String, _ fields: [LogLine.Field] = []) {
        act(.log(LogLine(level, event, fields)))
    }

    mutating func nextSequence() -> RequestSequence {
        lastSequence += 1
        return RequestSequence(lastSequence)
    }
}
