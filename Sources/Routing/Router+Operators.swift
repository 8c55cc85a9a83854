import TupleCore
import WireProtocol

/// A question to all servers about themselves, and who asked.
struct StatusQuery: Sendable {
    var asker: Asker
    var deadline: Instant
    var missing: Set<ServerLink>
    var replies: [ServerLink: ServerStatus] = [:]

    enum Asker: Sendable {
        case link(OperatorLink, RequestSequence)
        case token(StatusToken)
    }
}

extension Router {
    mutating func receive(_ frame: Frame, from link: OperatorLink) {
        guard let state = operators[link] else { return }
        switch frame.type {
        case .hello where !state.greeted:
            guard let version = (try? Hello(frame.payload))?.commonVersion else {
                dismiss(link, "the hello names no protocol version that is spoken here; \(Header.version) is")
                return
            }
            operators[link]?.greeted = true
            act(.sendToOperator(link, Router.welcome(version).frame))
        case .operatorRequest where state.greeted:
            guard let request = try? OperatorRequest(frame.payload) else {
                reply(link, frame.header.sequence, OperatorReply(status: .malformed, message: "unreadable request"))
                return
            }
            carryOut(request, link, frame.header.sequence)
        default: dismiss(link, "an operator may not send a frame of type \(frame.type) here")
        }
    }

    private mutating func dismiss(_ link: OperatorLink, _ message: String) {
        act(.sendToOperator(link, Refused(message: message).frame))
        act(.closeOperator(link))
        operators[link] = nil
    }

    private mutating func reply(_ link: OperatorLink, _ sequence: RequestSequence, _ reply: OperatorReply) {
        act(.sendToOperator(link, reply.frame(sequence: sequence)))
    }

    private mutating func carryOut(_ request: OperatorRequest, _ link: OperatorLink, _ sequence: RequestSequence) {
        switch request.command {
        case "status": askStatus(.link(link, sequence))
        case "shutdown": beginShutdown(asker: (link, sequence))
        case "switchover": switchOver(request.argument, link, sequence)
        case "resync": resync(request.argument, link, sequence)
        default:
            reply(
                link, sequence,
                OperatorReply(
                    status: .notImplemented,
                    message:
                        "command '\(request.command)' is not implemented; status, shutdown, switchover and resync are"))
        }
    }

    private mutating func switchOver(_ argument: Term, _ link: OperatorLink, _ sequence: RequestSequence) {
        let target = argument.text("to")
        if let target, NodeID(target) == nil {
            reply(link, sequence, OperatorReply(status: .malformed, message: "'\(target)' is no server's name"))
            return
        }
        let failure = switchOver(
            to: target.flatMap { NodeID($0) }, acceptDataLoss: argument.member("acceptDataLoss") == .boolean(true))
        reply(
            link, sequence,
            failure.map { OperatorReply(status: .unavailable, message: $0) } ?? OperatorReply())
    }

    private mutating func resync(_ argument: Term, _ link: OperatorLink, _ sequence: RequestSequence) {
        let wanted = argument.text("server")
        let targets = servers.filter { _, server in
            guard let name = server.name, name != record?.active else { return false }
            return wanted == nil || wanted == name.name
        }
        guard !targets.isEmpty else {
            reply(
                link, sequence,
                OperatorReply(status: .unavailable, message: "no passive server \(wanted ?? "") is registered"))
            return
        }
        for target in targets.keys.sorted() { act(.sendToServer(target, Frame(Header(.resync)))) }
        reply(link, sequence, OperatorReply())
    }

    // MARK: Status

    mutating func askStatus(_ asker: StatusQuery.Asker) {
        let sequence = nextSequence()
        let registered = servers.filter { $0.value.name != nil }.keys
        statusQueries[sequence] = StatusQuery(
            asker: asker, deadline: now.advanced(by: RouterSettings.statusTime), missing: Set(registered))
        for link in registered.sorted() {
            act(.sendToServer(link, Frame(Header(.statusQuery, sequence: sequence))))
        }
        settleStatus(sequence)
    }

    mutating func statusReply(_ frame: Frame, from link: ServerLink) {
        let sequence = frame.header.sequence
        guard statusQueries[sequence] != nil, let status = try? ServerStatus(frame.payload) else { return }
        statusQueries[sequence]?.replies[link] = status
        statusQueries[sequence]?.missing.remove(link)
        settleStatus(sequence)
    }

    private mutating func settleStatus(_ sequence: RequestSequence) {
        guard var query = statusQueries[sequence] else { return }
        query.missing.formIntersection(servers.keys)
        guard query.missing.isEmpty || now >= query.deadline else { return }
        statusQueries[sequence] = nil
        let term = statusTerm(query.replies)
        switch query.asker {
        case .link(let link, let sequence): reply(link, sequence, OperatorReply(result: term))
        case .token(let token): act(.status(token, term))
        }
    }

    private func statusTerm(_ replies: [ServerLink: ServerStatus]) -> Term {
        let activeStatus = route.flatMap { replies[$0] }
        let registered = servers.compactMap { link, server in server.name.map { (name: $0, link: link, server) } }
        let rows = registered.sorted { $0.name < $1.name }.map { name, link, server -> Term in
            let status = replies[link]
            let newest = activeStatus?.position.index.number ?? 0
            let index = status?.position.index.number ?? 0
            return .object([
                .init("name", .string(name.name)),
                .init("role", .string(link == route ? "active" : "passive")),
                .init("state", .string(status?.state ?? "silent")),
                .init("index", .number("\(index)")),
                .init("lag", .number("\(newest > index ? newest - index : 0)")),
                .init("address", .string(server.address)),
                .init("pairs", .number("\(status?.pairs ?? 0)")),
                .init("insync", .boolean(record?.inSync.contains(name) ?? false)),
            ])
        }
        let inSync = record?.inSync ?? []
        // Who is back without its copy does not hold what the record still says it does.
        let lost = Set(servers.values.filter { !$0.isEligible }.compactMap(\.name))
        return .object([
            .init("active", route == nil ? .null : .string(record?.active.name ?? "")),
            .init("epoch", .number("\(record?.epoch.number ?? 0)")),
            .init("redundant", .boolean(inSync.filter { !lost.contains($0) }.count > 1)),
            .init("insync", .list(inSync.map { .string($0.name) })),
            .init("servers", .list(rows)),
            .init("clients", .number("\(clients.count)")),
            .init("maxClients", .number("\(settings.maximumClients)")),
            .init("pairs", .number("\(activeStatus?.pairs ?? 0)")),
            .init("waiting", .number("\(parkedCount)")),
            .init("discarded", .number("\(discarded)")),
            .init("refused", .number("\(refused)")),
        ])
    }

    mutating func tickOperators() {
        for (link, state) in operators where !state.greeted {
            if now.duration(since: state.since) > RouterSettings.greetingTime {
                dismiss(link, "no hello came in time")
            }
        }
        for sequence in statusQueries.keys.sorted() { settleStatus(sequence) }
        if let shutdown, now >= shutdown.deadline { finishShutdown(isComplete: false) }
    }

    // MARK: Shutdown

    private mutating func beginShutdown(asker: (OperatorLink, RequestSequence)?) {
        guard shutdown == nil else {
            if let asker { reply(asker.0, asker.1, OperatorReply(message: "already shutting down")) }
            return
        }
        log(.info, "shutdown", [.init("by", asker == nil ? "signal" : "operator")])
        shutdown = Shutdown(deadline: now.advanced(by: RouterSettings.shutdownTime), asker: asker)
        act(.stopListening)
        if let route { act(.sendToServer(route, Frame(Header(.shutdown)))) }
        shutdownProgress()
    }

    /// The process alone ends; the servers go on without it and wait for it to return.
    mutating func beginTermination() {
        guard shutdown == nil else { return }
        log(.info, "terminated")
        shutdown = Shutdown(deadline: now, asker: nil)
        act(.stopListening)
        act(.finish)
    }

    mutating func activeIsGoing(_ link: ServerLink) {
        guard link == route else { return }
        shutdown?.activeIsGoing = true
        routeLost()
        shutdownProgress()
    }

    /// Once the active server has given its last answers, the others are stopped, and all is over when all are gone.
    mutating func shutdownProgress() {
        guard shutdown != nil, route == nil else { return }
        for link in servers.keys.sorted() where servers[link]?.name != nil {
            act(.sendToServer(link, Frame(Header(.stop))))
        }
        if !servers.values.contains(where: { $0.name != nil }) { finishShutdown(isComplete: true) }
    }

    private mutating func finishShutdown(isComplete: Bool) {
        guard let shutdown else { return }
        giveUpAll()
        if let (link, sequence) = shutdown.asker {
            let late = servers.values.compactMap(\.name).sorted().map(\.name).joined(separator: ", ")
            reply(
                link, sequence,
                isComplete
                    ? OperatorReply()
                    : OperatorReply(status: .unknown, message: "these servers did not end in time: \(late)"))
            act(.closeOperator(link))
        }
        self.shutdown?.deadline = Instant(nanoseconds: .max)
        self.shutdown?.asker = nil
        act(.finish)
    }
}

extension Term {
    func member(_ name: String) -> Term? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.elementsEqual(name.utf8) }?.value
    }

    func text(_ name: String) -> String? {
        guard case .string(let bytes)? = member(name) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Term.Member {
    init(_ name: String, _ value: Term) { self.init(name: [UInt8](name.utf8), value: value) }
}
