import Glibc
import Journal
import struct Replication.DurableCopy
import Routing
import TupleCore
import WireProtocol

/// The main of `twinspace-proxy`.
package enum ProxyProgram {
    static let program = "twinspace-proxy"

    static let specification = OptionsSpecification(
        program: program, version: Release.version,
        usage: "--data DIR [OPTION]…",
        summary:
            "Routes the clients' requests to the active server, and is the switch that decides, durably, which server that is.",
        groups: [
            OptionsSpecification.Group(
                "Service access points",
                [
                    Option("clients", .address(), default: "127.0.0.1:7400", help: "Where clients connect."),
                    Option("servers", .address(), default: "127.0.0.1:7401", help: "Where servers register."),
                    Option("operators", .address(), default: "127.0.0.1:7402", help: "Where operators connect."),
                    Option(
                        "http", .address(orWords: ["off"]), default: "127.0.0.1:7403",
                        help: "Where health and status are served over HTTP; 'off' for not at all."),
                ]),
            OptionsSpecification.Group(
                "Proxy",
                [
                    Option(
                        "data", .text(placeholder: "DIR"), isRequired: true,
                        help: "The directory of the switch's record; created where it is missing."),
                    Option(
                        "max-clients", .integer(1...1_000_000), default: "1000",
                        help: "Clients at once; one more is refused."),
                    Option(
                        "threads", .integer(1...64), default: "1",
                        help: "Event loops on threads of their own; all but one serve clients' connections only."),
                    Daemon.busyPoll,
                ]),
            Daemon.logOptions,
        ],
        example: "twinspace-proxy --clients 127.0.0.1:7400 --data ./proxy")

    package static func main() {
        ProcessStart.begin(as: .daemon)
        let values = specification.parseProcess()
        let logger = Daemon.logger(values, program: program)
        exit(run(values, logger))
    }

    private static func run(_ values: OptionValues, _ logger: Logger) -> Int32 {
        do throws(StartFailure) {
            let process = try ProxyProcess(values, logger: logger)
            return process.run()
        } catch {
            Daemon.fail(program, error.description)
        }
    }
}

/// Why a proxy cannot start.
struct StartFailure: Error {
    var description: String
}

/// The proxy: carries out what its router wants done, and tells it what happens.
final class ProxyProcess {
    private let loop: EventLoop
    private let logger: Logger
    private var router: Router
    private var record: DurableRecord
    private let data: String
    private var listeners: [Listener] = []
    private var http: HTTPServer?
    private var clients = IdentifierMap<FrameConnection>()
    /// Where the clients' connections are instead, with more than one thread.
    private var lanes: ClientLanes?
    private let incoming = IncomingBudget(bytes: Limits.maximumIncomingBytes)
    private let descriptors: DescriptorPlan
    private var servers: [ServerLink: FrameConnection] = [:]
    private var operators: [OperatorLink: FrameConnection] = [:]
    private var exchanges: [StatusToken: HTTPExchange] = [:]
    private var lastClient: UInt64 = 0
    private var lastNumber: UInt64 = 0
    private var signals: [SignalHandler] = []
    private var ticker: Timer?
    private var orphans: OrphanReaper?

    private var waiting: [Event] = []
    private var actions: [Action] = []
    private var isStepping = false
    /// Operators that are to be read from again, at most ``RouterSettings/maximumOperators``.
    private var resuming: [OperatorLink] = []
    private var isEnding = false
    private var exitCode: Int32 = 0

    /// What may be on its way to one client at the very most. The router keeps it at some megabytes; a server of release 0.1,
    /// which does not wait for credit, sends whole answers.
    private static let maximumClientBytes = 2 * Limits.maximumAnswerBytes
    private static let keepalive = Duration.seconds(1)
    /// Descriptors that clients and HTTP leave to servers, operators and files whatever happens.
    private static let keptFreeOfClients = 48
    private static let maximumServerBytes = 2_048 * 1_048_576
    /// Clients beyond the limit that are still being told so.
    private static let flushTime = Duration.milliseconds(200)
    /// How much later than that the clients' threads may end.
    private static let laneEndTime = Duration.seconds(1)

    init(_ values: OptionValues, logger: Logger) throws(StartFailure) {
        self.logger = logger
        data = values.text("data")
        let threads = values.integer("threads")
        descriptors = try DescriptorPlan.fit(
            clients: values.integer("max-clients"), isGiven: values.isGiven("max-clients"), threads: threads,
            limit: DescriptorLimit.current)
        let identity: UInt64
        do throws(SystemError) {
            loop = try EventLoop(busyPolling: values.duration("busy-poll"))
            identity = try randomUInt64()
        } catch { throw StartFailure(description: "\(error)") }
        let known: SwitchRecord?
        do throws(JournalError) {
            let storage: FileStorage
            do throws(StorageError) {
                storage = try FileStorage(path: data)
                try storage.lock()
            } catch { throw .storage(error) }
            record = try DurableRecord(storage: storage, name: "switch")
            known = try DurableCopy.switchRecord(in: record)
        } catch { throw StartFailure(description: "--data \(values.text("data")): \(error)") }
        router = Router(
            settings: RouterSettings(
                maximumClients: descriptors.clients, newCluster: ClusterID(max(1, identity))),
            record: known, at: loop.now)
        try startLanes(threads - 1)
        try listen(values)
    }

    private func startLanes(_ count: Int) throws(StartFailure) {
        guard count > 0 else { return }
        do throws(SystemError) {
            let lanes = try ClientLanes(
                count, on: loop, maximumOutgoingBytes: ProxyProcess.maximumClientBytes, incoming: incoming)
            lanes.onEvent = { [unowned self] in self.happened($0, at: $1) }
            self.lanes = lanes
        } catch { throw StartFailure(description: "--threads: \(error)") }
    }

    private func listen(_ values: OptionValues) throws(StartFailure) {
        let clients = Listener.Limits(
            connections: descriptors.clients + DescriptorPlan.clientsToldAndClosed,
            keptFree: ProxyProcess.keptFreeOfClients)
        let servers = Listener.Limits(
            connections: DescriptorPlan.servers, keptFree: 2, unidentifiedTime: Listener.unidentifiedTime)
        let operators = Listener.Limits(
            connections: DescriptorPlan.operators, keptFree: 2, unidentifiedTime: Listener.unidentifiedTime)
        try listen(values, "clients", clients) { [unowned self] in self.acceptedClient($0) }
        try listen(values, "servers", servers) { [unowned self] in self.acceptedServer($0) }
        try listen(values, "operators", operators) { [unowned self] in self.acceptedOperator($0) }
        guard let address = values.addressIfAny("http") else { return }
        do throws(ListenError) {
            var limits = HTTPServer.Limits()
            limits.connections = DescriptorPlan.http
            limits.keptFreeDescriptors = ProxyProcess.keptFreeOfClients
            let http = try HTTPServer(on: loop, address: address, limits: limits) { [unowned self] in self.serve($0) }
            http.onAcceptError = { [unowned self] in self.cannotAccept("http", $0) }
            self.http = http
        } catch { throw StartFailure(description: "--http: \(error)") }
    }

    private func listen(
        _ values: OptionValues, _ flag: String, _ limits: Listener.Limits, _ accept: @escaping (Connection) -> Void
    ) throws(StartFailure) {
        do throws(ListenError) {
            let listener = try Listener(on: loop, address: values.address(flag), limits: limits, onAccept: accept)
            listener.onError = { [unowned self] in self.cannotAccept(flag, $0) }
            listeners.append(listener)
        } catch { throw StartFailure(description: "--\(flag): \(error)") }
    }

    /// Whoever calls waits in the kernel.
    private func cannotAccept(_ flag: String, _ reason: String) {
        logger.log(LogLine(.warn, "accept-failed", [.init("at", flag), .init("reason", reason)]))
    }

    /// Runs until the service is shut down.
    ///
    /// - Returns: the process's exit code.
    func run() -> Int32 {
        signals = SignalHandler.ofDaemon(
            on: loop, logger, reopening: { [unowned self] in self.logger.reopen() },
            ending: { [unowned self] in self.happened(.terminated) })
        let ticker = Timer(on: loop) { [unowned self] in
            self.router.turns = self.loop.turns
            self.happened(.tick)
        }
        ticker.schedule(after: RouterSettings.tick, repeatingEvery: RouterSettings.tick)
        self.ticker = ticker
        orphans = OrphanReaper(ifNeededOn: loop)
        logger.log(
            .info, "started",
            [
                ("clients", "\(listeners[0].address)"), ("servers", "\(listeners[1].address)"),
                ("operators", "\(listeners[2].address)"), ("http", http.map { "\($0.address)" } ?? "off"),
                ("epoch", "\(router.record?.epoch.number ?? 0)"), ("version", Release.version),
            ])
        if descriptors.isLowered {
            logger.log(
                .warning, "clients-lowered",
                [("clients", "\(descriptors.clients)"), ("descriptors", "\(DescriptorLimit.current)")])
        }
        loop.run()
        if let lanes, !lanes.wait(atMost: ProxyProcess.laneEndTime) {
            logger.log(.warning, "threads-hang")
        }
        loop.close()
        return exitCode
    }

    // MARK: Events and actions

    private func happened(_ event: Event, at moment: Instant? = nil) {
        guard !isEnding else { return }
        guard !isStepping else {
            waiting.append(event)
            return
        }
        isStepping = true
        step(event, at: moment ?? loop.now)
        // What happened meanwhile.
        var next = 0
        while next < waiting.count {
            step(waiting[next], at: loop.now)
            next += 1
        }
        waiting.removeAll(keepingCapacity: next <= 1_024)
        isStepping = false
        // What an operator sent before it was paused is delivered one frame at a time: each may have it paused again.
        while let link = resuming.popLast() { operators[link]?.pause(false) }
    }

    private func step(_ event: Event, at moment: Instant) {
        router.step(event, at: moment, adding: &actions)
        for action in actions { carryOut(action) }
        actions.removeAll(keepingCapacity: true)
    }

    private func carryOut(_ action: Action) {
        switch action {
        case .persist(let record): persist(record)
        case .sendToClient(let client, let run):
            if let lanes { lanes.send(run, to: client) } else { clients[client.number]?.send(run) }
        case .closeClient(let client):
            if let lanes { lanes.close(client) } else { clients.removeValue(forKey: client.number)?.closeAfterFlush() }
        case .cutClient(let client):
            if let lanes { lanes.cut(client) } else { clients.removeValue(forKey: client.number)?.close() }
        case .reportDrained(let client, let rest):
            if let lanes {
                lanes.reportDrained(client, downTo: rest)
            } else {
                clients[client.number]?.connection.reportDrained(downTo: rest)
            }
        case .pauseClient(let client, let isPaused):
            if let lanes { lanes.pause(client, isPaused) } else { clients[client.number]?.pause(isPaused) }
        case .sendToServer(let link, let run): servers[link]?.send(run)
        case .closeServer(let link): servers.removeValue(forKey: link)?.closeAfterFlush()
        case .sendToOperator(let link, let frame): operators[link]?.send(frame)
        case .pauseOperator(let link, let isPaused):
            resuming.removeAll { $0 == link }
            if isPaused { operators[link]?.pause(true) } else { resuming.append(link) }
        case .closeOperator(let link): operators.removeValue(forKey: link)?.closeAfterFlush()
        case .status(let token, let term):
            exchanges.removeValue(forKey: token)?.respond(ProxyProcess.json(200, JSON.text(term)))
        case .log(let line): logger.log(line)
        case .stopListening:
            for listener in listeners { listener.close() }
        case .finish: end()
        }
    }

    /// The record counts only once it is durable: without that the proxy must not go on.
    private func persist(_ newer: SwitchRecord) {
        do throws(JournalError) { try DurableCopy.write(newer, to: &record) } catch {
            logger.log(.alert, "disk", [("data", data), ("reason", "\(error)")])
            exit(1)
        }
    }

    private func end() {
        guard !isEnding else { return }
        isEnding = true
        for (_, client) in clients.all { client.closeAfterFlush() }
        lanes?.end(flushingFor: ProxyProcess.flushTime)
        for server in servers.values { server.closeAfterFlush() }
        for link in operators.values { link.closeAfterFlush() }
        logger.log(.info, "stopped")
        loop.after(ProxyProcess.flushTime) { [unowned self] in self.loop.stop() }
    }

    // MARK: Connections

    private func acceptedClient(_ connection: Connection) {
        connection.endWhenThePeerVanishes()
        lastClient += 1
        let client = ConnectionIndicator(lastClient)
        let source = connection.source
        if let lanes {
            do throws(SystemError) { try lanes.adopt(connection, as: client) } catch {
                return cannotAccept("clients", "\(error)")
            }
            return happened(.clientConnected(client, source: source))
        }
        connection.maximumOutgoingBytes = ProxyProcess.maximumClientBytes
        connection.restingOutgoingBytes = ClientLanes.restingOutgoingBytes
        connection.onReport = { [unowned self] in self.happened(.clientDrained(client)) }
        let frames = FrameConnection(connection, intake: .client(incoming))
        frames.onRun = { [unowned self, unowned frames] in
            self.happened(.clientFrames(client, $0), at: frames.receivedAt)
        }
        frames.onClose = { [unowned self] _ in
            guard self.clients.removeValue(forKey: client.number) != nil else { return }
            self.happened(.clientClosed(client))
        }
        clients[client.number] = frames
        happened(.clientConnected(client, source: source))
    }

    private func acceptedServer(_ connection: Connection) {
        lastNumber += 1
        let link = ServerLink(lastNumber)
        connection.maximumOutgoingBytes = ProxyProcess.maximumServerBytes
        connection.isFlushedFirst = true
        connection.enableKeepalive(after: ProxyProcess.keepalive)
        let frames = FrameConnection(connection, intake: .server)
        frames.onRun = { [unowned self, unowned frames] in
            self.happened(.serverFrames(link, $0), at: frames.receivedAt)
        }
        frames.onClose = { [unowned self] _ in
            guard self.servers.removeValue(forKey: link) != nil else { return }
            self.happened(.serverClosed(link))
        }
        servers[link] = frames
        happened(.serverConnected(link))
    }

    private func acceptedOperator(_ connection: Connection) {
        lastNumber += 1
        let link = OperatorLink(lastNumber)
        connection.endWhenThePeerVanishes()
        let frames = FrameConnection(connection, intake: .operatorLink)
        frames.onFrame = { [unowned self] in self.happened(.operatorFrame(link, $0)) }
        frames.onClose = { [unowned self] _ in
            guard self.operators.removeValue(forKey: link) != nil else { return }
            self.happened(.operatorClosed(link))
        }
        operators[link] = frames
        happened(.operatorConnected(link))
    }

    // MARK: HTTP

    private static func json(_ status: Int, _ body: [UInt8]) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [(name: "Content-Type", value: "application/json")],
            body: body + [UInt8(ascii: "\n")])
    }

    private func serve(_ exchange: HTTPExchange) {
        let request = exchange.request
        switch (request.method, request.path) {
        case ("GET", "/healthz"): exchange.respond(.text(200, "ok\n"))
        case ("GET", "/readyz"):
            exchange.respond(
                router.isServing ? .text(200, "ready\n") : .text(503, "no active server: \(router.noActiveReason)\n"))
        case ("GET", "/v1/status"):
            lastNumber += 1
            let token = StatusToken(lastNumber)
            exchanges[token] = exchange
            happened(.statusAsked(token))
        case (_, "/healthz"), (_, "/readyz"), (_, "/v1/status"):
            exchange.respond(.text(501, "method \(request.method) is not implemented here; GET is\n"))
        default:
            exchange.respond(.text(404, "not found; /healthz, /readyz and /v1/status are served here\n"))
        }
    }
}
