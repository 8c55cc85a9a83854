import Routing
import Testing
import TupleCore
import WireProtocol

/// A router with those around it played by the test: what it does is collected, by whom it concerns.
struct RouterFixture {
    var router: Router
    var now = Instant(nanoseconds: 1_000_000_000)
    var persisted: [SwitchRecord] = []
    var toServer: [ServerLink: [Frame]] = [:]
    var toClient: [ConnectionIndicator: [Frame]] = [:]
    var toOperator: [OperatorLink: [Frame]] = [:]
    var closedServers: [ServerLink] = []
    var closedClients: [ConnectionIndicator] = []
    var pauses: [ConnectionIndicator: Bool] = [:]
    var lines: [String] = []
    /// Clients that were ended at once.
    var cutClients: [ConnectionIndicator] = []
    /// Questions about clients' sockets, and the rest that was asked for.
    var reports: [ConnectionIndicator: Int] = [:]
    var closedOperators: [OperatorLink] = []
    var operatorPauses: [OperatorLink: Bool] = [:]
    var statuses: [StatusToken: Term] = [:]
    /// Records that were persisted and views that were sent, in order.
    var order: [String] = []
    var isFinished = false
    /// What a step did at most: requests to servers, and actions of any kind.
    var mostRequestsInAStep = 0
    var mostActionsInAStep = 0
    /// Whether each step is checked; what has thousands of clients checks now and then.
    var checksEachStep = true

    init(record: SwitchRecord? = nil, maximumClients: Int = 4, flow: FlowLimits = .standard) {
        router = Router(
            settings: RouterSettings(maximumClients: maximumClients, newCluster: ClusterID(9), flow: flow),
            record: record, at: now)
    }

    mutating func happen(_ event: Event) {
        let actions = router.step(event, at: now)
        mostActionsInAStep = max(mostActionsInAStep, actions.count)
        var requests = 0
        for action in actions {
            switch action {
            case .persist(let record):
                persisted.append(record)
                order.append("persist")
            case .sendToClient(let client, let run): toClient[client, default: []] += run
            case .closeClient(let client): closedClients.append(client)
            case .pauseClient(let client, let isPaused): pauses[client] = isPaused
            case .sendToServer(let link, let run):
                toServer[link, default: []] += run
                requests += run.count { $0.type == .request }
                order += run.filter { $0.type == .view }.map { _ in "view" }
            case .cutClient(let client): cutClients.append(client)
            case .reportDrained(let client, let rest): reports[client] = rest
            case .pauseOperator(let link, let isPaused): operatorPauses[link] = isPaused
            case .closeOperator(let link): closedOperators.append(link)
            case .status(let token, let term): statuses[token] = term
            case .closeServer(let link): closedServers.append(link)
            case .sendToOperator(let link, let frame): toOperator[link, default: []].append(frame)
            case .stopListening: break
            case .log(let line): lines.append(line.event)
            case .finish: isFinished = true
            }
        }
        mostRequestsInAStep = max(mostRequestsInAStep, requests)
        if checksEachStep { check() }
    }

    func check() { #expect(router.checkInvariants() == []) }

    /// Lets time pass, in ticks.
    mutating func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while now < end {
            now = now.advanced(by: RouterSettings.tick)
            happen(.tick)
        }
    }

    // MARK: Servers

    mutating func register(
        _ number: UInt64, _ name: String, activeEpoch: UInt64 = 0, record: SwitchRecord? = nil,
        rule: ElementRule = .alphanumeric, holdsCopy: Bool? = nil, lineage: Lineage? = nil,
        position: LogPosition = .zero, address: String? = nil
    ) {
        let link = ServerLink(number)
        happen(.serverConnected(link))
        let register = Register(
            name: server(name), address: address ?? "\(name):1", rule: rule, activeEpoch: Epoch(activeEpoch),
            position: position, record: record, holdsCopy: holdsCopy ?? (record != nil), lineage: lineage)
        happen(.serverFrame(link, register.frame))
    }

    /// A heartbeat, with the silence that makes the server suspect.
    mutating func beat(_ number: UInt64, timeout: Duration, epoch: UInt64 = 1, commit: UInt64? = nil) {
        let beat = ProxyHeartbeat(timeout: timeout, commit: commit.map { LogIndex($0) })
        happen(.serverFrame(ServerLink(number), beat.frame(epoch: Epoch(epoch), sequence: RequestSequence(1))))
    }

    mutating func takeOver(_ number: UInt64, from epoch: UInt64, sequence: UInt64 = 1) {
        let request = SwitchRequest.takeOver(epoch: Epoch(epoch), reason: "a test")
        happen(.serverFrame(ServerLink(number), request.frame(sequence: RequestSequence(sequence))))
    }

    mutating func changeInSync(_ number: UInt64, epoch: UInt64, version: UInt64, _ names: [String]) {
        let request = SwitchRequest.changeInSync(epoch: Epoch(epoch), version: version, inSync: names.map(server))
        happen(.serverFrame(ServerLink(number), request.frame(sequence: RequestSequence(77))))
    }

    /// What an operator is told who moves the service.
    mutating func switchOver(to name: String?, acceptDataLoss: Bool) throws -> OperatorReply {
        let console = OperatorLink(50)
        if toOperator[console] == nil {
            happen(.operatorConnected(console))
            happen(.operatorFrame(console, Hello(agent: "test").frame))
        }
        var words = [Term.Member(name: Array("acceptDataLoss".utf8), value: .boolean(acceptDataLoss))]
        if let name { words.append(Term.Member(name: Array("to".utf8), value: .string(Array(name.utf8)))) }
        let request = OperatorRequest(command: "switchover", argument: .object(words))
        happen(.operatorFrame(console, request.frame(sequence: RequestSequence(1))))
        let reply = try #require(toOperator[console]?.last { $0.type == .operatorReply })
        return try OperatorReply(reply.payload)
    }

    /// The last word on a question to the switch.
    func reply(to number: UInt64) -> SwitchReply? {
        toServer[ServerLink(number)]?.last { $0.type == .switchReply }.flatMap { try? SwitchReply($0.payload) }
    }

    /// The requests that a server was sent, with their clients.
    func askers(at number: UInt64) -> [UInt64] {
        (toServer[ServerLink(number)] ?? []).filter { $0.type == .request }.map(\.header.connection.number)
    }

    /// Credit that a server was given for a client's request, in bytes.
    func credit(at number: UInt64, for client: UInt64, _ sequence: UInt64) throws -> [Int] {
        try (toServer[ServerLink(number)] ?? []).filter {
            $0.type == .credit && $0.header.connection.number == client && $0.header.sequence.number == sequence
        }.map { Int(try Credit($0.payload).bytes) }
    }

    func requests(at number: UInt64) -> [UInt64] {
        (toServer[ServerLink(number)] ?? []).filter { $0.type == .request }.map(\.header.sequence.number)
    }

    // MARK: Clients

    mutating func connect(_ number: UInt64, source: UInt32 = 1) {
        happen(.clientConnected(ConnectionIndicator(number), source: source))
        happen(.clientFrame(ConnectionIndicator(number), Hello(agent: "test").frame))
    }

    mutating func ask(
        _ number: UInt64, _ sequence: UInt64, session: UInt64 = 5, operatorName: String = "PUT", bytes: Int = 0
    ) {
        let header = Header(.request, session: SessionID(session), sequence: RequestSequence(sequence))
        let filling = bytes > 0 ? [Term.string([UInt8](repeating: 120, count: bytes))] : []
        let request = Request(operatorName: operatorName, payload: .list(filling))
        happen(.clientFrame(ConnectionIndicator(number), Frame(header, payload: request.payloadBytes)))
    }

    /// A server answers a client's request.
    mutating func respond(
        from number: UInt64, to client: UInt64, _ sequence: UInt64, session: UInt64 = 5, epoch: UInt64,
        flags: Header.Flags = [.first], bytes: Int? = nil
    ) {
        let header = Header(
            .response, flags: flags, session: SessionID(session), sequence: RequestSequence(sequence),
            epoch: Epoch(epoch), connection: ConnectionIndicator(client))
        happen(
            .serverFrame(
                ServerLink(number),
                Frame(header, payload: bytes.map { [UInt8](repeating: 0, count: $0) } ?? Answer().payloadBytes)))
    }

    /// A client's socket has taken what was asked about.
    mutating func drain(_ number: UInt64) {
        guard reports.removeValue(forKey: ConnectionIndicator(number)) != nil else { return }
        happen(.clientDrained(ConnectionIndicator(number)))
    }

    func answers(to number: UInt64) -> [UInt64] {
        (toClient[ConnectionIndicator(number)] ?? []).filter { $0.type == .response }.map(\.header.sequence.number)
    }

    func lastStatus(to number: UInt64) -> Status? {
        toClient[ConnectionIndicator(number)]?.last { $0.type == .response }
            .flatMap { try? Answer(decoding: $0.payload).status }
    }
}

func server(_ name: String) -> NodeID {
    guard let node = NodeID(name) else { preconditionFailure("\(name) is no server's name") }
    return node
}

func record(_ epoch: UInt64, version: UInt64, _ active: String, _ inSync: [String]) -> SwitchRecord {
    SwitchRecord(
        cluster: ClusterID(9), epoch: Epoch(epoch), version: version, active: server(active),
        inSync: inSync.map(server), rule: .alphanumeric)
}
