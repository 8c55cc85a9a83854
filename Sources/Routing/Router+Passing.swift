import TupleCore
import WireProtocol

/// Requests on their way to the active server: at once where there is room for their answers, else in their turn.
extension Router {
    /// Whether a request that comes now may be passed on at once.
    @inline(__always)
    func mayPass(_ bytes: Int, reserving reservation: Int, _ intake: Client.Intake) -> Bool {
        route != nil && !suspects.isHolding && !intake.hasWaiting
            && (passedBytes + bytes <= settings.flow.passedBytes || inFlight == 0)
            && budget.verdict(on: reservation, chargedAlready: intake.charged) == .fits
    }

    /// Books that the active server has a request.
    mutating func notePassed(_ request: Int, reserving reservation: Int, at place: Int) {
        passedBytes += clients[at: place].pass(request, reserving: reservation)
        budget.charge(reservation)
        inFlight += 1
    }

    /// The client has requests that wait: it gets its turn.
    mutating func enqueue(_ id: ConnectionIndicator, _ place: Int) {
        guard !clients[at: place].isWaiting else { return }
        clients[at: place].isWaiting = true
        waiting.append(id)
    }

    /// There is an active server: everything that is unanswered goes there, a part of it a turn. What an earlier one carried
    /// out already is recognised by session and sequence.
    mutating func replay() {
        guard route != nil else { return }
        generation += 1
        losses.begin()
        inFlight = 0
        passedBytes = 0
        replayCursor = roster.count
        replayed = 0
    }

    /// Sees a client's requests as not passed on, where another server has become active since.
    mutating func renew(_ id: ConnectionIndicator, _ place: Int) {
        let seen = clients[at: place].generation
        guard seen != generation else { return }
        clients[at: place].generation = generation
        release(clients[at: place].reserved, at: place)
        let isLoss = losses.contains(seen, present: generation)
        var held: [Suspects.Entry] = []
        clients[at: place].requests.rewind(isLoss: isLoss, threshold: RouterSettings.suspectLosses) {
            held.append(Suspects.Entry(client: id, session: $0.session, sequence: $0.sequence))
        }
        for entry in held { suspects.hold(entry) }
        guard clients[at: place].requests.count > 0 else { return }
        replayed += clients[at: place].requests.count
        if clients[at: place].requests.hasWaiting { enqueue(id, place) }
    }

    /// Passes on what waits, as far as there is room, and no more than is fit for one turn.
    mutating func passWaiting() {
        guard route != nil, replayCursor > 0 || !waiting.isEmpty else { return }
        walkReplay()
        guard !suspects.isHolding else { return }
        var rest = Turn(requests: flow.requestsPerTurn, bytes: flow.bytesPerTurn)
        var looks = flow.requestsPerTurn
        while rest.requests > 0, rest.bytes > 0, looks > 0, let id = waiting.first {
            looks -= 1
            guard let place = clients.place(of: id.number) else {
                waiting.popFirst()
                continue
            }
            renew(id, place)
            switch passSome(of: id, place, &rest) {
            case .room: return
            case .turn:
                waiting.popFirst()
                waiting.append(id)
            case .nothing:
                waiting.popFirst()
                clients[at: place].isWaiting = false
            }
        }
    }

    private struct Turn {
        var requests: Int
        var bytes: Int
    }

    /// What a client's next request waits for.
    private enum Obstacle {
        /// Room for all.
        case room
        /// Its next turn.
        case turn
        /// There is none, or it waits for something that is to happen to this client.
        case nothing
    }

    /// Requests of one client in a row.
    private static let requestsInARow = 16

    private mutating func passSome(of id: ConnectionIndicator, _ place: Int, _ rest: inout Turn) -> Obstacle {
        for _ in 0..<Router.requestsInARow {
            guard let request = clients[at: place].requests.nextWaiting() else { return .nothing }
            guard rest.requests > 0, rest.bytes > 0 else { return .turn }
            let payload = clients[at: place].requests.payload(at: request)
            guard passedBytes + payload.count <= flow.passedBytes || inFlight == 0 else { return .room }
            let reservation = reservation(payload)
            switch budget.verdict(
                on: reservation, chargedAlready: clients[at: place].charged(beyond: flow.reportBytes))
            {
            case .exceedsRoom: return .room
            case .exceedsShare: return .nothing
            case .fits: break
            }
            pass(request, payload, reserving: reservation, of: id, place)
            rest.requests -= 1
            rest.bytes -= payload.count
        }
        return .turn
    }

    func reservation(_ payload: ArraySlice<UInt8>) -> Int {
        payload.withUnsafeBytes { AnswerBudget.reservation($0, atMost: flow.directAnswerBytes) }
    }

    /// Passes a request on that has waited.
    mutating func pass(
        _ request: Int, _ payload: ArraySlice<UInt8>, reserving reservation: Int, of id: ConnectionIndicator,
        _ place: Int
    ) {
        guard let route, let epoch = record?.epoch else { return }
        let header = clients[at: place].requests.header(at: request)
        pass(header.tagged(id, epoch, source: clients[at: place].source), payload: payload, to: .server(route))
        notePassed(request, reserving: reservation, at: place)
    }

    private mutating func walkReplay() {
        guard replayCursor > 0 else { return }
        var cursor = replayCursor
        walk(&cursor, atMost: flow.clientsPerTurn) { router, id, place in
            router.renew(id, place)
            return true
        }
        replayCursor = cursor
        if cursor == 0, replayed > 0 { log(.info, "replayed", [.init("requests", replayed)]) }
    }
}

extension Header {
    /// The same, with the client that it comes from and the epoch that it goes to.
    func tagged(_ id: ConnectionIndicator, _ epoch: Epoch, source: UInt32) -> Header {
        var tagged = self
        tagged.connection = id
        tagged.epoch = epoch
        tagged.source = source
        return tagged
    }
}
