import TupleCore
import WireProtocol

/// Requests that end without a server's answer: always with words, and a part of them a turn.
extension Router {
    /// Gives up requests that have waited for too long. Of a client's requests the first is the oldest.
    mutating func sweepRequests() {
        guard sweepCursor > 0 else { return }
        let limit = route == nil ? RouterSettings.parkingTime : RouterSettings.servingTime
        var rest = RouterSettings.givenUpPerTurn
        var cursor = sweepCursor
        walk(&cursor, atMost: flow.clientsPerTurn) { router, id, place in
            router.giveUpLate(id, place, after: limit, &rest)
            return rest > 0
        }
        sweepCursor = cursor
    }

    private mutating func giveUpLate(_ id: ConnectionIndicator, _ place: Int, after limit: Duration, _ rest: inout Int)
    {
        while rest > 0, let oldest = clients[at: place].requests.oldest,
            now.duration(since: clients[at: place].requests[oldest].since) > limit
        {
            rest -= 1
            renew(id, place)
            if clients[at: place].requests[oldest].state == .passed { suspects.leftGhost(at: now) }
            give(
                up: oldest, of: id, place, "no active server answered within \(limit)",
                unchanged: "the request was not carried out: try again later")
        }
    }

    /// Answers a request in a server's stead, and forgets it.
    mutating func give(
        up request: Int, of id: ConnectionIndicator, _ place: Int, _ why: String, unchanged: String
    ) {
        let given = clients[at: place].requests[request]
        let answer =
            isInDoubt(given, clients[at: place].requests.payload(at: request))
            ? Answer(status: .unknown, message: "\(why); the request may or may not have been carried out")
            : Answer(status: .unavailable, message: "\(why); \(unchanged)")
        remove(request, sending: 0, of: id, place)
        respond(given.session, given.sequence, to: id, place, answer)
    }

    /// Whether it may have been carried out for all that is known here.
    private func isInDoubt(_ request: RequestsInFlight.Request, _ payload: ArraySlice<UInt8>) -> Bool {
        #if PLANTED_BUGS
            if PlantedBug.sayNotDone.isOn { return false }
        #endif
        return request.wasSent
            && Request(operatorName: Router.operatorName(payload), payload: .null).mayChange
    }

    /// Empty where it cannot be read.
    static func operatorName(_ payload: ArraySlice<UInt8>) -> String {
        var reader = ByteReader(payload)
        return (try? reader.text(atMost: 256)) ?? ""
    }

    mutating func respond(
        _ session: SessionID, _ sequence: RequestSequence, to id: ConnectionIndicator, _ place: Int, _ answer: Answer
    ) {
        var response = Header(.response, flags: [.first], session: session, sequence: sequence)
        response.epoch = record?.epoch ?? .zero
        let payload = answer.payloadBytes
        act(.sendToClient(id, Frame(response, payload: payload)))
        noteSent(Header.byteCount + payload.count, to: id, place)
        updatePause(id, place)
    }

    /// The service ends: whoever still waits is told, a part of them a turn.
    ///
    /// - Returns: whether all have been told.
    mutating func giveUpSome() -> Bool {
        var rest = RouterSettings.givenUpPerTurn
        while rest > 0, let id = roster.last, let place = clients.place(of: id.number) {
            rest -= 1 + clients[at: place].requests.count
            while let request = clients[at: place].requests.oldest {
                give(
                    up: request, of: id, place, "the service has been shut down",
                    unchanged: "the request was not carried out")
            }
            act(.closeClient(id))
            closed(id)
        }
        return roster.isEmpty
    }
}
