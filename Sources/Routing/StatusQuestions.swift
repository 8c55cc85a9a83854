import TupleCore
import WireProtocol

/// Who asks for the status, and the one question to all servers that is open.
///
/// A question serves all who asked before it was put; who asks meanwhile waits for the next one.
struct StatusQuestions: Sendable {
    enum Asker: Sendable {
        case link(OperatorLink, RequestSequence)
        case token(StatusToken)
    }

    struct Open: Sendable {
        var sequence: RequestSequence
        var askers: [Asker]
        var deadline: Instant
        var missing: Set<ServerLink>
        var replies: [ServerLink: ServerStatus] = [:]
    }

    var open: Open?
    /// They are served by the next one.
    var askers: [Asker] = []
    /// Of ``askers``, those that are tokens.
    var tokens = 0
    var lastPut: Instant?
    /// What was told last.
    var lastTerm: Term?

    /// - Returns: false where too many wait already.
    mutating func add(_ asker: Asker) -> Bool {
        if case .token = asker {
            guard tokens < RouterSettings.maximumStatusTokens else { return false }
            tokens += 1
        }
        askers.append(asker)
        return true
    }

    mutating func takeAskers() -> [Asker] {
        defer {
            askers = []
            tokens = 0
        }
        return askers
    }
}

extension Router {
    mutating func askStatus(_ asker: StatusQuestions.Asker) {
        guard statusQuestions.add(asker) else {
            if case .token(let token) = asker { act(.status(token, statusQuestions.lastTerm ?? statusTerm([:]))) }
            return
        }
        putStatusQuestion()
    }

    /// Asks the servers, where somebody wants to know and they were not asked just now.
    mutating func putStatusQuestion() {
        guard statusQuestions.open == nil, !statusQuestions.askers.isEmpty,
            statusQuestions.lastPut.map({ now.duration(since: $0) >= RouterSettings.statusInterval }) ?? true
        else { return }
        statusQuestions.lastPut = now
        let sequence = nextSequence()
        let registered = servers.filter { $0.value.name != nil }.keys
        statusQuestions.open = StatusQuestions.Open(
            sequence: sequence, askers: statusQuestions.takeAskers(),
            deadline: now.advanced(by: RouterSettings.statusTime), missing: Set(registered))
        for link in registered.sorted() {
            act(.sendToServer(link, Frame(Header(.statusQuery, sequence: sequence))))
        }
        settleStatus()
    }

    mutating func statusReply(_ frame: Frame, from link: ServerLink) {
        guard statusQuestions.open?.sequence == frame.header.sequence, let status = try? ServerStatus(frame.payload)
        else { return }
        statusQuestions.open?.replies[link] = status
        statusQuestions.open?.missing.remove(link)
        settleStatus()
    }

    mutating func settleStatus() {
        guard var open = statusQuestions.open else { return }
        open.missing.formIntersection(servers.keys)
        guard open.missing.isEmpty || now >= open.deadline else { return }
        statusQuestions.open = nil
        let term = statusTerm(open.replies)
        statusQuestions.lastTerm = term
        for asker in open.askers {
            switch asker {
            case .link(let link, let sequence): finish(link, sequence, OperatorReply(result: term))
            case .token(let token): act(.status(token, term))
            }
        }
    }

    private func statusTerm(_ replies: [ServerLink: ServerStatus]) -> Term {
        let activeStatus = route.flatMap { replies[$0] }
        let inSync = record?.inSync ?? []
        // Who is back without its copy does not hold what the record still says it does.
        let lost = Set(servers.values.filter { !$0.isEligible }.compactMap(\.name))
        return .object(
            [
                .init("active", route == nil ? .null : .string(record?.active.name ?? "")),
                .init("epoch", .number("\(record?.epoch.number ?? 0)")),
                .init("redundant", .boolean(inSync.filter { !lost.contains($0) }.count > 1)),
                .init("insync", .list(inSync.map { .string($0.name) })),
                .init("servers", .list(serverRows(replies, activeStatus))),
                .init("clients", .number("\(clients.count)")),
                .init("maxClients", .number("\(settings.maximumClients)")),
                .init("pairs", .number("\(activeStatus?.pairs ?? 0)")),
                .init("waiting", .number("\(parkedCount)")),
                .init("discarded", .number("\(discarded)")),
                .init("refused", .number("\(refused)")),
            ] + Router.members(of: turns))
    }

    private func serverRows(_ replies: [ServerLink: ServerStatus], _ activeStatus: ServerStatus?) -> [Term] {
        let registered = servers.compactMap { link, server in server.name.map { (name: $0, link: link, server) } }
        return registered.sorted { $0.name < $1.name }.map { name, link, server -> Term in
            let status = replies[link]
            let newest = activeStatus?.position.index.number ?? 0
            let index = status?.position.index.number ?? 0
            return .object(
                [
                    .init("name", .string(name.name)),
                    .init("role", .string(link == route ? "active" : "passive")),
                    .init("state", .string(status?.state ?? "silent")),
                    .init("index", .number("\(index)")),
                    .init("lag", .number("\(newest > index ? newest - index : 0)")),
                    .init("address", .string(server.address)),
                    .init("pairs", .number("\(status?.pairs ?? 0)")),
                    .init("insync", .boolean(record?.inSync.contains(name) ?? false)),
                ] + Router.members(of: status?.turns))
        }
    }

    private static func members(of turns: ServerStatus.Turns?) -> [Term.Member] {
        guard let turns else { return [] }
        return [
            .init("longest_turn_ms", .number("\(turns.longestMilliseconds)")),
            .init("recent_turn_ms", .number("\(turns.recentMilliseconds)")),
        ]
    }
}
