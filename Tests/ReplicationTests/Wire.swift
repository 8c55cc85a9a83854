import Replication
import Routing
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// A whole suite in memory: one proxy, some servers with their disks, clients, and the connections between them.
/// Nothing happens but by `settle`, `run` and `stir`; messages of a connection arrive in their order or not at all.
///
/// It carries out what the two state machines ask for in the way the daemons do, and checks at every answer what must
/// hold for it.
final class Wire {
    var now = Instant(nanoseconds: 1_000_000_000)
    var router: Router?
    /// What the proxy has made durable.
    var proxyDisk: SwitchRecord?
    var maximumClients: Int
    var nodes: [String: Node] = [:]
    var names: [String] { nodes.keys.sorted() }

    /// Open connections, in the order in which they were opened.
    var links: [Link] = []
    var linkOfPort: [Port: Link] = [:]
    /// Directions in which nothing arrives.
    var cuts: Set<Cut> = []
    /// Connections from a side of which nothing arrives, though all others do.
    var silenced: [(link: Link, side: Int)] = []
    var dials: [Dial] = []
    var lastNumber: UInt64 = 0

    var clients: [UInt64: WireClient] = [:]
    var pausedClients: Set<UInt64> = []
    var statuses: [UInt64: Term] = [:]
    var operatorReplies: [UInt64: [OperatorReply]] = [:]
    /// What was logged: `proxy ALERT takeover server=b …`.
    var story: [String] = []
    /// What must never be and was.
    var violations: [String] = []
    /// Who answered clients in each epoch.
    var answeredIn: [UInt64: Set<String>] = [:]

    var nextRouterTick = Instant(nanoseconds: 0)
    private var isProxyEnded = false
    /// Where clients connect from, by their connection indicators, where a test says so.
    var sources: [UInt64: UInt32] = [:]
    private let adjust: (inout ReplicaSettings) -> Void
    /// Response frames that reached the proxy.
    private(set) var responses = 0

    static let interval = Duration.milliseconds(100)
    static let misses = 3
    static let reconnectDelay = Duration.milliseconds(50)
    static let connectTimeout = Duration.milliseconds(1_000)

    /// - Parameter names: servers that there are; none of them runs yet. The proxy does.
    init(
        _ names: [String] = ["a", "b"], maximumClients: Int = 16, rule: ElementRule = .alphanumeric,
        adjusting adjust: @escaping (inout ReplicaSettings) -> Void = { _ in }
    ) {
        self.maximumClients = maximumClients
        self.adjust = adjust
        for name in names { add(name, rule: rule) }
        startProxy()
    }

    /// A suite of which the servers run and are all in sync, the first one active.
    static func running(
        _ names: [String] = ["a", "b"], maximumClients: Int = 16,
        adjusting adjust: @escaping (inout ReplicaSettings) -> Void = { _ in }
    ) -> Wire {
        let wire = Wire(names, maximumClients: maximumClients, adjusting: adjust)
        for name in names {
            wire.start(name)
            wire.run(.ms(500))
        }
        precondition(wire.record.story == "epoch 1 \(names[0]) [\(names.joined(separator: ","))]", wire.record.story)
        return wire
    }

    func add(
        _ name: String, as alias: String? = nil, rule: ElementRule = .alphanumeric,
        resync: ReplicaSettings.Resync = .auto, imported: [Pair] = []
    ) {
        var settings = ReplicaSettings(
            name: nodeID(alias ?? name), address: "\(name):1", rule: rule, heartbeatInterval: Wire.interval,
            heartbeatMisses: Wire.misses, resync: resync, imported: imported)
        // A few pairs: so that also small spaces make searches that are handed out.
        settings.workOnTheSpot = 16
        adjust(&settings)
        nodes[name] = Node(settings)
    }

    func node(_ name: String) -> Node {
        guard let node = nodes[name] else { preconditionFailure("there is no server \(name)") }
        return node
    }

    /// The switch's record as the proxy holds it.
    var record: SwitchRecord {
        guard let record = router?.record ?? proxyDisk else { preconditionFailure("no cluster was founded") }
        return record
    }

    func moment(of node: Node) -> Moment {
        Moment(instant: now, wallMilliseconds: now.nanoseconds / 1_000_000 + node.wallOffsetMilliseconds)
    }

    /// The moment for a server whose clock is right.
    var moment: Moment { Moment(instant: now, wallMilliseconds: now.nanoseconds / 1_000_000) }

    func number() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    // MARK: Servers

    /// Starts a server from what its disk holds.
    func start(_ name: String) {
        let node = node(name)
        precondition(node.replica == nil, "\(name) runs already")
        node.ended = nil
        node.isFrozen = false
        node.replica = Replica(
            settings: node.settings, state: node.disk.recovered(node.settings.rule), record: node.disk.record,
            isSuspect: node.disk.isSuspect, at: moment(of: node))
        node.connectAt = now
        node.tickAt = now.advanced(by: Wire.interval / 4)
    }

    /// kill -9: what was not durable is gone, connections close.
    ///
    /// - Parameter keeping: how many entries that were written but not synced survive nevertheless.
    func crash(_ name: String, keeping: Int = 0) {
        let node = node(name)
        node.disk.take(node.unsynced.prefix(keeping))
        drop(name)
    }

    /// SIGSTOP: connections stand, nothing is read, written or timed.
    func freeze(_ name: String) { node(name).isFrozen = true }
    func thaw(_ name: String) { node(name).isFrozen = false }

    /// The data directory of a server that does not run is deleted.
    func wipe(_ name: String) {
        precondition(node(name).replica == nil, "\(name) runs")
        node(name).disk = Disk()
    }

    private func drop(_ name: String) {
        let node = node(name)
        node.replica = nil
        node.unsynced = []
        node.installing = nil
        node.searches = []
        node.cancelled = []
        node.connectAt = nil
        node.needsFlush = false
        dials.removeAll { $0.node == name }
        for link in links { for side in 0...1 where link.ports[side].node == name { end(link, side) } }
    }

    func happen(_ node: Node, _ event: ReplicaEvent) {
        guard node.replica != nil else { return }
        if case .flush = event { node.needsFlush = false } else { node.needsFlush = true }
        for action in node.replica?.step(event, at: moment(of: node)) ?? [] { carryOut(action, node) }
    }

    private func carryOut(_ action: ReplicaAction, _ node: Node) {
        guard node.ended == nil else { return }
        let name = node.name
        switch action {
        case .remember(let record): node.disk.record = record
        case .appendToJournal(_, let entries): node.unsynced += entries
        case .installSnapshot(let state):
            node.unsynced = []
            node.installing = state
        case .markCopy(let isSuspect): node.disk.isSuspect = isSuspect
        case .readJournal(let peer, let position, _): happen(node, .journalRead(peer, node.disk.run(after: position)))
        // What is dropped from this disk's log is fetched with everything else.
        case .rewind: happen(node, .rewound(nil))
        case .sendToProxy(let run):
            for frame in run {
                if frame.type == .changeInSync { checkQuestion(frame, node) }
                send(frame, from: .nodeToProxy(name))
            }
        case .reconnectToProxy:
            close(.nodeToProxy(name))
            node.connectAt = now.advanced(by: Wire.reconnectDelay)
            happen(node, .proxyLost(reason: "the connection was closed"))
        case .sendToPeer(let peer, let frame): send(frame, from: .nodeToPeer(name, peer.number))
        case .closePeer(let peer):
            dials.removeAll { $0.node == name && $0.peer == peer }
            close(.nodeToPeer(name, peer.number))
        case .dial(let peer, let address, _):
            let target = nodes.keys.first { "\($0):1" == address } ?? "nowhere"
            dials.append(
                Dial(node: name, peer: peer, target: target, deadline: now.advanced(by: Wire.connectTimeout)))
        case .search(let id, let task): node.searches.append((id, task))
        case .cancelSearch(let id): node.cancelled.insert(id)
        case .log(let line): story.append("\(name) \(line.story)")
        case .fence(let server, _, let epoch): story.append("\(name) fences \(server) at epoch \(epoch.number)")
        case .passiveMissing: story.append("\(name) misses its passive")
        case .finish(let ending):
            // What was written is synced before the process ends, unless it ends because it failed.
            if ending == .shutdown { node.disk.take(node.unsynced[...]) }
            drop(name)
            node.ended = ending
        }
    }

    /// What was written becomes durable.
    func sync(_ node: Node) {
        if let state = node.installing {
            node.installing = nil
            node.disk.install(state)
            happen(node, .snapshotInstalled(state.position))
        } else if let last = node.unsynced.last {
            node.disk.take(node.unsynced[...])
            node.unsynced = []
            happen(node, .durable(last.position.index))
        }
        if let problem = node.disk.problem { violate("\(node.name)'s disk: \(problem)") }
    }

    // MARK: The proxy

    func startProxy() {
        precondition(router == nil, "the proxy runs already")
        isProxyEnded = false
        pausedClients = []
        router = Router(
            settings: RouterSettings(maximumClients: maximumClients, newCluster: ClusterID(77)), record: proxyDisk,
            at: now)
        nextRouterTick = now
    }

    func crashProxy() {
        router = nil
        for link in links { for side in 0...1 where link.ports[side].isProxy { end(link, side) } }
    }

    private var askedAbout: [ConnectionIndicator] = []

    func happen(_ event: RouterEvent) {
        for action in router?.step(event, at: now) ?? [] { carryOut(action) }
        // Clients here read at once.
        while let client = askedAbout.popLast() { happen(.clientDrained(client)) }
        if isProxyEnded { crashProxy() }
    }

    private func carryOut(_ action: RouterAction) {
        switch action {
        case .persist(let record):
            if let before = proxyDisk, before.cluster == record.cluster, record.version < before.version {
                violate("the switch went back from version \(before.version) to \(record.version)")
            }
            proxyDisk = record
        case .sendToClient(let client, let run):
            for frame in run {
                if frame.type == .response { checkAnswer(frame, client) }
                send(frame, from: .proxyToClient(client.number))
            }
        case .closeClient(let client): close(.proxyToClient(client.number))
        case .cutClient(let client): close(.proxyToClient(client.number))
        case .reportDrained(let client, _): askedAbout.append(client)
        // Operators here give one command at a time.
        case .pauseOperator: break
        case .pauseClient(let client, let isPaused):
            if isPaused { pausedClients.insert(client.number) } else { pausedClients.remove(client.number) }
        case .sendToServer(let link, let run):
            for var frame in run {
                if let source = sources[frame.header.connection.number] { frame.header.source = source }
                send(frame, from: .proxyToServer(link.number))
            }
        case .closeServer(let link): close(.proxyToServer(link.number))
        case .sendToOperator(let link, let frame): send(frame, from: .proxyToOperator(link.number))
        case .closeOperator(let link): close(.proxyToOperator(link.number))
        case .status(let token, let term): statuses[token.number] = term
        case .log(let line): story.append("proxy \(line.story)")
        case .stopListening: story.append("proxy takes no more connections")
        case .finish:
            story.append("proxy ends")
            isProxyEnded = true
        }
    }

    // MARK: What must always hold

    func violate(_ what: String) {
        if violations.count < 20 { violations.append(what) }
    }

    /// The answer to an update is on the disk of every server that the switch may promote, at the moment it goes out.
    private func checkAnswer(_ frame: Frame, _ client: ConnectionIndicator) {
        guard let answer = try? Answer(decoding: frame.payload) else {
            violate("an answer cannot be decoded")
            return
        }
        let header = frame.header
        guard answer.status == .ok, frame.header.flags.contains(.first),
            clients[client.number]?.isUpdate(header.sequence) == true, let record = router?.record
        else { return }
        for member in record.inSync {
            guard let node = nodes.values.first(where: { $0.settings.name == member && !$0.disk.isWiped }) else {
                continue
            }
            if node.disk.state?.sessions.standing(of: header.sequence, in: header.session) ?? .fresh == .fresh {
                let what = "session \(header.session.number) request \(header.sequence.number)"
                violate("\(what) was answered, and \(member) does not hold it (\(record.story))")
            }
        }
    }

    /// Whom an active server asks to be taken in is noted on its disk before.
    private func checkQuestion(_ frame: Frame, _ node: Node) {
        guard case .changeInSync(_, _, let wanted)? = try? SwitchRequest(frame) else {
            violate("\(node.name) asks for a set in a frame that cannot be read")
            return
        }
        for member in wanted where node.disk.record?.inSync.contains(member) != true {
            violate("\(node.name) asks for \(member) before it has noted it on its disk")
        }
    }

    /// Two servers never answer in the same epoch.
    func noteResponse(_ frame: Frame, from name: String) {
        let epoch = frame.header.epoch.number
        responses += 1
        answeredIn[epoch, default: []].insert(name)
        if answeredIn[epoch, default: []].count > 1 { violate("epoch \(epoch) was answered in by two servers") }
    }

    /// Whether a line of the log begins with these words.
    func told(_ words: String) -> Bool { story.contains { $0.hasPrefix(words) } }

    func times(_ words: String) -> Int { story.count { $0.hasPrefix(words) } }
}

/// A failed expectation prints what it looked at: without this the whole suite, from its connections to its logs.
extension Wire: CustomReflectable {
    var customMirror: Mirror { Mirror(self, children: ["situation": situation, "story": story.suffix(12)]) }

    private var situation: String {
        let roles = names.map { "\($0) \(node($0).role) \(node($0).state)" }
        return "\((router?.record ?? proxyDisk)?.story ?? "no record") \(roles)"
    }
}
