import Glibc
import Journal
import Replication
import TupleCore
import TupleStore
import WireProtocol

/// A server: carries out what its replica wants done, and tells it what happens.
final class ServerProcess {
    private let options: ServerOptions
    private let loop: EventLoop
    private let logger: Logger
    private let journal: ServerJournal
    private let searches: SearchThreads
    private var replica: Replica
    private var listener: Listener?
    private var proxy: FrameConnection?
    private var peers: [PeerID: FrameConnection] = [:]
    private var lastPeer: UInt64 = 0
    private var companion: Companion?
    private var signals: [SignalHandler] = []
    private var ticker: Timer?
    private var orphans: OrphanReaper?

    private var waiting: [Event] = []
    private var actions: [Action] = []
    /// The moment of what came last: frames of one read have the same.
    private var moment = Moment(instant: Instant(nanoseconds: 0), wallMilliseconds: 0)
    private var isStepping = false
    private var needsFlush = false
    private var exitCode: Int32 = 0
    private var isEnding = false

    /// A proxy that returns is found within a second.
    private var reconnect = Backoff(first: .milliseconds(50), longest: .seconds(1))
    private var proxyConnectedAt: Instant?
    /// A registration that lasts for so long has succeeded.
    private static let registrationTime = Duration.seconds(1)
    /// Other servers' connections, those that have not said who they are among them.
    private static let maximumPeers = 96
    private static let keptFreeOfPeers = 32
    private static let connectTimeout = Duration.milliseconds(1_000)
    /// A link that was silent for this long is probed by the kernel: a host that vanished without a word is noticed.
    private static let keepalive = Duration.seconds(1)
    private static let longestTick = Duration.milliseconds(50)
    private static let fenceTimeout = Duration.seconds(30)
    /// What may be on its way to the proxy or a peer; the protocol's own windows keep it far below: of large answers no more
    /// is sent than the proxy has given credit for (specs/0005, section 9), of the log and snapshots no more than followers
    /// have confirmed. Beyond, the other side does not keep to the protocol.
    private static let maximumOutgoingBytes = 1_024 * 1_048_576

    init(
        _ options: ServerOptions, loop: EventLoop, logger: Logger, journal: ServerJournal,
        copy: DurableCopy, searches: SearchThreads, imported: [Pair]
    ) throws(ListenError) {
        self.options = options
        self.searches = searches
        self.loop = loop
        self.logger = logger
        self.journal = journal
        var accept: ((Connection) -> Void)?
        let limits = Listener.Limits(
            connections: ServerProcess.maximumPeers, keptFree: ServerProcess.keptFreeOfPeers,
            unidentifiedTime: Listener.unidentifiedTime)
        let listener = try Listener(on: loop, address: options.listen, limits: limits) { accept?($0) }
        self.listener = listener
        var settings = ReplicaSettings(
            name: options.name, address: "\(options.advertise ?? listener.address)", rule: options.rule,
            heartbeatInterval: options.heartbeatInterval, heartbeatMisses: options.heartbeatMisses,
            resync: options.resync, imported: imported)
        settings.maximumSpaceBytes =
            options.maximumSpaceBytes ?? MemoryLimit().bytes.map { $0 / 100 * ServerOptions.spacePercent } ?? .max
        precondition(
            settings.snapshotBurstBytes > Connection.lowWaterMark,
            "a burst of \(settings.snapshotBurstBytes) bytes never counts as drained, and the snapshot would stop there: the low-water mark is \(Connection.lowWaterMark)"
        )
        replica = Replica(
            settings: settings, state: copy.state, record: copy.record, isSuspect: copy.isSuspect,
            lineage: copy.lineage, at: Moment(instant: loop.now, wallMilliseconds: loop.wallClockMilliseconds()))
        accept = { [unowned self] in self.accepted($0) }
        listener.onError = { [unowned self] in self.warn("accept-failed", [.init("reason", $0)]) }
        if options.spawnsPassive {
            companion = Companion(options, on: loop, logger: logger)
        }
    }

    /// Runs until the server is shut down.
    ///
    /// - Returns: the process's exit code.
    func run() -> Int32 {
        journal.onDurable = { [unowned self] in self.happened(.durable($0)) }
        journal.onInstalled = { [unowned self] in self.happened(.snapshotInstalled($0)) }
        searches.onEnd = { [unowned self] in self.happened(.searched($0, $1)) }
        let server = ("server", options.name.name)
        journal.onDamage = { [unowned self] file, what in
            self.logger.log(.alert, "corruption", [server, ("file", file), ("reason", what)])
        }
        journal.onMended = { [unowned self] file in
            self.logger.log(.alert, "repaired", [server, ("file", file), ("from", "memory")])
        }
        journal.onWarning = { [unowned self] event, what in
            self.warn(event, [.init("server", self.options.name), .init("reason", what)])
        }
        journal.onDisk = { [unowned self] in self.happened(.disk($0)) }
        journal.onRead = { [unowned self] in self.happened(.journalRead($0, $1)) }
        journal.onRewound = { [unowned self] in self.happened(.rewound($0)) }
        journal.onFailure = { [unowned self] reason in
            self.logger.log(.alert, "disk", [("server", self.options.name.name), ("reason", reason)])
            // What was written may or may not be durable: this copy is not used any further, the other takes over.
            self.end(.failed("the data directory \(self.options.data) cannot be written: \(reason)"))
        }
        signals = SignalHandler.ofDaemon(
            on: loop, logger, reopening: { [unowned self] in self.logger.reopen() },
            ending: { [unowned self] in self.end(.shutdown) })
        loop.afterEvents { [unowned self] in self.flush(isEarly: $0) }
        let ticker = Timer(on: loop) { [unowned self] in
            self.replica.turns = self.loop.turns
            self.happened(.tick)
        }
        let period = min(options.heartbeatInterval / 4, ServerProcess.longestTick)
        ticker.schedule(after: period, repeatingEvery: period)
        self.ticker = ticker
        orphans = OrphanReaper(ifNeededOn: loop)
        logger.log(
            .info, "started",
            [
                ("server", options.name.name), ("listening", "\(listener?.address ?? options.listen)"),
                ("index", "\(replica.state.position.index.number)"), ("pairs", "\(replica.state.space.count)"),
                ("version", Release.version),
            ])
        connectToProxy()
        loop.run()
        loop.close()
        return exitCode
    }

    // MARK: Events and actions

    private func happened(_ event: Event, at instant: Instant? = nil) {
        guard !isEnding else { return }
        needsFlush = true
        guard !isStepping else {
            waiting.append(event)
            return
        }
        isStepping = true
        step(event, at: instant ?? loop.now)
        // What happened meanwhile.
        var next = 0
        while next < waiting.count {
            step(waiting[next], at: loop.now)
            next += 1
        }
        waiting.removeAll(keepingCapacity: next <= 1_024)
        isStepping = false
    }

    private func step(_ event: Event, at instant: Instant) {
        if instant > moment.instant {
            moment = Moment(instant: instant, wallMilliseconds: loop.wallClockMilliseconds())
        }
        replica.step(event, at: moment, adding: &actions)
        for action in actions { carryOut(action) }
        actions.removeAll(keepingCapacity: true)
    }

    private func flush(isEarly: Bool) {
        // What is written on the spot may let answers go: once more, then; whatever is left waits for the next iteration.
        for _ in 0..<2 where needsFlush {
            happened(.flush(isEarly: isEarly))
            needsFlush = false
            // Followers have the entries before this journal does: both work side by side.
            loop.flushConnections()
            journal.flush(replica.state, neededAfter: replica.journalNeededAfter)
        }
    }

    private func carryOut(_ action: Action) {
        switch action {
        case .remember(let record): journal.remember(record)
        case .appendToJournal(_, let entries): journal.append(entries)
        case .installSnapshot(let state): journal.install(state)
        case .markCopy(let isSuspect): journal.markCopy(isSuspect: isSuspect)
        case .readJournal(let peer, let position, let bytes): journal.read(for: peer, after: position, bytes: bytes)
        case .rewind(let position): journal.rewind(to: position)
        case .sendToProxy(let run): proxy?.send(run)
        case .reconnectToProxy: proxy?.close()
        case .sendToPeer(let peer, let frame): peers[peer]?.send(frame)
        case .closePeer(let peer): peers.removeValue(forKey: peer)?.closeAfterFlush()
        case .dial(let peer, let address, _): dial(peer, address)
        case .search(let id, let task): searches.start(id, task)
        case .cancelSearch(let id): searches.cancel(id)
        case .log(let line): logger.log(line)
        case .fence(let server, let address, let epoch): fence(server, address, epoch)
        case .passiveMissing: companion?.start(listening: listener?.address ?? options.listen)
        case .finish(let ending): end(ending)
        }
    }

    // MARK: Connections

    private func connectToProxy() {
        guard !isEnding else { return }
        let connection = Connection(on: loop)
        connection.maximumOutgoingBytes = ServerProcess.maximumOutgoingBytes
        let frames = FrameConnection(connection, allowsSource: true)
        frames.onRun = { [unowned self, unowned frames] in self.happened(.proxyFrames($0), at: frames.receivedAt) }
        frames.onClose = { [unowned self, unowned frames] reason in
            guard self.proxy === frames else { return }
            self.proxy = nil
            self.lostProxy(reason)
        }
        proxyConnectedAt = nil
        connection.onConnected = { [unowned self, unowned connection] in
            self.proxyConnectedAt = self.loop.now
            connection.enableKeepalive(after: ServerProcess.keepalive)
            guard self.knowsItsAddress(by: connection) else { return }
            self.happened(.proxyConnected)
        }
        proxy = frames
        connection.connect(to: options.proxy, timeout: ServerProcess.connectTimeout)
    }

    /// A server that listens on all addresses of its machine is reached at the one that it reaches the proxy from.
    ///
    /// - Returns: false where that cannot be: the server ends.
    private func knowsItsAddress(by connection: Connection) -> Bool {
        guard options.advertise == nil, let listener, listener.address.isWildcard else { return true }
        guard let local = connection.local, let address = local.reachable(listening: listener.address) else {
            end(
                .failed(
                    "--listen \(listener.address) does not say where other servers reach this one, nor does the connection to the proxy: say it with --advertise HOST:PORT"
                ))
            return false
        }
        happened(.reachable(at: "\(address)"))
        return true
    }

    private func lostProxy(_ reason: String) {
        if let since = proxyConnectedAt {
            let hasLasted = loop.now.duration(since: since) >= ServerProcess.registrationTime
            if replica.isRegistered, hasLasted { reconnect.reset() }
        } else {
            warn("proxy-unreachable", [.init("address", options.proxy), .init("reason", reason)])
        }
        happened(.proxyLost(reason: reason))
        let wait = reconnect.wait(random: .random(in: 0 ... .max))
        loop.after(wait) { [weak self] in self?.connectToProxy() }
    }

    /// Says it, unless it goes on and on.
    private func warn(_ event: String, _ fields: [LogLine.Field]) { logger.log(LogLine(.warn, event, fields)) }

    private func accepted(_ connection: Connection) {
        lastPeer += 1
        let peer = PeerID(lastPeer)
        adopt(connection, as: peer, intake: .peer)
        happened(.peerAccepted(peer))
    }

    private func dial(_ peer: PeerID, _ text: String) {
        guard let address = try? Address(parsing: text) else {
            logger.log(LogLine(.error, "bad-address", [.init("address", text)]))
            happened(.peerLost(peer))
            return
        }
        let connection = Connection(on: loop)
        var isConnected = false
        adopt(connection, as: peer, intake: .trusted) { [unowned self] reason in
            guard !isConnected else { return }
            self.warn("peer-unreachable", [.init("address", text), .init("reason", reason)])
        }
        connection.onConnected = { [unowned self, unowned connection] in
            isConnected = true
            connection.enableKeepalive(after: ServerProcess.keepalive)
            self.happened(.dialed(peer))
        }
        connection.connect(to: address, timeout: ServerProcess.connectTimeout)
    }

    private func adopt(
        _ connection: Connection, as peer: PeerID, intake: Intake, onClose: @escaping (String) -> Void = { _ in }
    ) {
        connection.maximumOutgoingBytes = ServerProcess.maximumOutgoingBytes
        connection.enableKeepalive(after: ServerProcess.keepalive)
        let frames = FrameConnection(connection, intake: intake)
        frames.onFrame = { [unowned self, unowned frames] in self.happened(.peerFrame(peer, $0), at: frames.receivedAt)
        }
        frames.onClose = { [unowned self] reason in
            guard self.peers.removeValue(forKey: peer) != nil else { return }
            onClose(reason)
            self.happened(.peerLost(peer))
        }
        connection.onDrained = { [unowned self] in self.happened(.peerDrained(peer)) }
        peers[peer] = frames
    }

    // MARK: Fencing and ending

    private func fence(_ server: NodeID, _ address: String, _ epoch: Epoch) {
        guard let command = options.fenceCommand else { return }
        var environment = ProcessEnvironment.variables()
        environment["TWINSPACE_FENCE_SERVER"] = server.name
        environment["TWINSPACE_FENCE_ADDRESS"] = address
        environment["TWINSPACE_FENCE_EPOCH"] = "\(epoch.number)"
        let fields = [("server", server.name), ("epoch", "\(epoch.number)")]
        do throws(SystemError) {
            _ = try ChildProcess(
                on: loop, ["/bin/sh", "-c", command], environment: environment, timeout: ServerProcess.fenceTimeout
            ) { [unowned self] ending in
                if ending.isSuccess {
                    self.logger.log(.info, "fenced", fields)
                } else {
                    self.logger.log(.alert, "fence-failed", fields + [("reason", "\(ending)")])
                }
            }
        } catch {
            logger.log(.alert, "fence-failed", fields + [("reason", "\(error)")])
        }
    }

    private func end(_ ending: Ending) {
        guard !isEnding else { return }
        isEnding = true
        searches.stop()
        switch ending {
        case .shutdown:
            exportIfAsked()
            journal.close()
            logger.log(.info, "stopped", [("server", options.name.name)])
        case .failed(let reason):
            logger.log(.error, "failed", [("server", options.name.name), ("reason", reason)])
            exitCode = 1
        }
        companion?.forget()
        // The last frames leave before the process does.
        proxy?.closeAfterFlush()
        for peer in peers.values { peer.closeAfterFlush() }
        loop.after(.milliseconds(100)) { [unowned self] in self.loop.stop() }
    }

    private func exportIfAsked() {
        guard let file = options.exportFile else { return }
        do throws(TupleFile.Failure) {
            try TupleFile.write(replica.state.space, to: file)
            logger.log(.info, "exported", [("file", file), ("pairs", "\(replica.state.space.count)")])
        } catch {
            logger.log(.error, "export-failed", [("file", file), ("reason", "\(error)")])
            exitCode = 1
        }
    }
}
