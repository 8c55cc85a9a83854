import TupleCore
import WireProtocol

/// A client's connection.
struct Client: Sendable {
    var greeted = false
    var isPaused = false
    var requests = RequestsInFlight()

    /// It has as much on its way as one client may.
    var isFull: Bool {
        requests.span >= RouterSettings.maximumRequestsPerClient
            || requests.bytes >= RouterSettings.maximumBytesPerClient
    }
}

extension Router {
    mutating func connected(_ id: ConnectionIndicator) {
        guard clients.count < settings.maximumClients else {
            refused += 1
            let message = "service refused: the limit of \(settings.maximumClients) clients is reached"
            act(.sendToClient(id, Refused(message: message).frame))
            act(.closeClient(id))
            return
        }
        clients[id.number] = Client()
        greeting.append((id, now))
    }

    mutating func receive(_ run: FrameRun, from id: ConnectionIndicator) {
        run.forEachInPlace { frame in
            guard let place = clients.place(of: id.number) else { return false }
            let greeted = clients[at: place].greeted
            switch frame.header.type {
            case .request where greeted: park(frame, of: run, id, place)
            case .hello where !greeted: greet(run.frame(at: frame.offset), id)
            default:
                dismiss(id, "a client may not send a frame of type \(frame.header.type) here")
            }
            return true
        }
    }

    private mutating func greet(_ frame: Frame, _ id: ConnectionIndicator) {
        guard let version = (try? Hello(frame.payload))?.commonVersion else {
            dismiss(id, "the hello names no protocol version that is spoken here; \(Header.version) is")
            return
        }
        clients[id.number]?.greeted = true
        act(.sendToClient(id, Router.welcome(version).frame))
    }

    static func welcome(_ version: UInt8) -> Welcome {
        Welcome(
            version: version, maximumPayloadBytes: UInt32(Limits.maximumPayloadBytes),
            maximumRequestsInFlight: UInt32(RouterSettings.maximumRequestsPerClient))
    }

    private mutating func dismiss(_ id: ConnectionIndicator, _ message: String) {
        log(.info, "client-dismissed", [.init("client", id.number), .init("reason", message)])
        act(.sendToClient(id, Refused(message: message).frame))
        act(.closeClient(id))
        closed(id)
    }

    private mutating func park(_ frame: FrameInPlace, of run: FrameRun, _ id: ConnectionIndicator, _ place: Int) {
        guard frame.header.session != .none else {
            dismiss(id, "a request must carry a session other than 0, or a retry of it could not be recognised")
            return
        }
        let sequence = frame.header.sequence
        guard clients[at: place].requests.place(of: sequence) == nil else {
            dismiss(id, "request \(sequence.number) is on its way already")
            return
        }
        guard shutdown == nil, waitingBytes + frame.payload.count <= RouterSettings.maximumBytes else {
            let message =
                shutdown == nil
                ? "too many requests are waiting; try again later" : "the service is shutting down"
            respond(frame.header.session, sequence, to: id, Answer(status: .unavailable, message: message))
            return
        }
        lastOrder += 1
        if let route, let epoch = record?.epoch {
            pass(frame.header.tagged(id, epoch), payloadOf: frame, to: .server(route), expecting: run.byteCount)
        }
        clients[at: place].requests.append(
            frame.header, frame.payload, order: lastOrder, since: now, wasSent: route != nil)
        waitingBytes += frame.payload.count
        updatePause(id, place)
    }

    /// A client that has as much on its way as it may is not read from: it is slowed down, not refused.
    private mutating func updatePause(_ id: ConnectionIndicator, _ place: Int) {
        let isFull = clients[at: place].isFull
        guard isFull != clients[at: place].isPaused else { return }
        clients[at: place].isPaused = isFull
        act(.pauseClient(id, isFull))
    }

    private mutating func remove(_ request: Int, of id: ConnectionIndicator, _ place: Int) {
        let before = clients[at: place].requests.bytes
        clients[at: place].requests.remove(at: request)
        waitingBytes -= before - clients[at: place].requests.bytes
        updatePause(id, place)
    }

    /// The active server's response, or a part of it, goes to its client without the indicator.
    ///
    /// - Parameter expected: as in ``pass(_:payloadOf:to:expecting:)``.
    mutating func relay(_ frame: FrameInPlace, _ expected: Int) {
        let id = frame.header.connection
        guard let place = clients.place(of: id.number),
            let request = clients[at: place].requests.place(of: frame.header.sequence),
            clients[at: place].requests[request].session == frame.header.session
        else {
            discarded += 1
            return
        }
        var stripped = frame.header
        stripped.connection = .none
        pass(stripped, payloadOf: frame, to: .client(id), expecting: expected)
        if frame.header.flags.contains(.more), let route, !frame.payload.isEmpty {
            act(.sendToServer(route, Credit(bytes: UInt32(frame.payload.count)).frame(for: frame.header)))
        }
        if !frame.header.flags.contains(.more) { remove(request, of: id, place) }
    }

    /// Everything that is unanswered goes to the new active server, in the order in which it came. What an earlier one
    /// carried out already is recognised by session and sequence.
    mutating func replay() {
        guard let route, let epoch = record?.epoch else { return }
        var waiting: [(order: UInt64, id: ConnectionIndicator, frame: Frame)] = []
        for (number, client) in clients.all {
            guard let place = clients.place(of: number) else { continue }
            for request in client.requests.places {
                clients[at: place].requests[request].wasSent = true
                waiting.append(
                    (client.requests[request].order, ConnectionIndicator(number), client.requests.frame(at: request)))
            }
        }
        waiting.sort { $0.order < $1.order }
        for item in waiting {
            pass(item.frame.header.tagged(item.id, epoch), payload: item.frame.payload, to: .server(route))
        }
        if !waiting.isEmpty { log(.info, "replayed", [.init("requests", waiting.count)]) }
    }

    mutating func closed(_ id: ConnectionIndicator) {
        guard let client = clients.removeValue(forKey: id.number) else { return }
        waitingBytes -= client.requests.bytes
        if let route, let record, client.requests.places.contains(where: { client.requests[$0].wasSent }) {
            let cancel = Header(.cancel, epoch: record.epoch, connection: id)
            act(.sendToServer(route, Frame(cancel)))
        }
    }

    private mutating func respond(
        _ session: SessionID, _ sequence: RequestSequence, to id: ConnectionIndicator, _ answer: Answer
    ) {
        var response = Header(.response, flags: [.first], session: session, sequence: sequence)
        response.epoch = record?.epoch ?? .zero
        act(.sendToClient(id, Frame(response, payload: answer.payloadBytes)))
    }

    mutating func tickClients() {
        while let first = greeting.first {
            let isLate = now.duration(since: first.since) > RouterSettings.greetingTime
            guard isLate || clients[first.client.number]?.greeted ?? true else { return }
            greeting.removeFirst()
            if isLate, clients[first.client.number]?.greeted == false {
                dismiss(first.client, "no hello came within \(RouterSettings.greetingTime)")
            }
        }
    }

    /// Gives up requests that have waited for too long, with a clear error.
    mutating func sweepRequests() {
        let limit = route == nil ? RouterSettings.parkingTime : RouterSettings.servingTime
        for (number, client) in clients.all {
            let id = ConnectionIndicator(number)
            for at in client.requests.places {
                let request = client.requests[at]
                guard now.duration(since: request.since) > limit else { continue }
                give(up: request, client.requests.payload(at: at), after: limit, to: id)
                guard let place = clients.place(of: number),
                    let found = clients[at: place].requests.place(of: request.sequence)
                else { continue }
                remove(found, of: id, place)
            }
        }
    }

    /// Whether it may have been carried out for all that is known here.
    private func isInDoubt(_ request: RequestsInFlight.Request, _ payload: ArraySlice<UInt8>) -> Bool {
        #if PLANTED_BUGS
            if PlantedBug.sayNotDone.isOn { return false }
        #endif
        return request.wasSent && (try? Request(decoding: payload))?.mayChange == true
    }

    private mutating func give(
        up request: RequestsInFlight.Request, _ payload: ArraySlice<UInt8>, after limit: Duration,
        to id: ConnectionIndicator
    ) {
        let why = "no active server answered within \(limit)"
        let answer =
            isInDoubt(request, payload)
            ? Answer(status: .unknown, message: "\(why); the request may or may not have been carried out")
            : Answer(status: .unavailable, message: "\(why); the request was not carried out: try again later")
        respond(request.session, request.sequence, to: id, answer)
    }

    /// The service ends: whoever still waits is told.
    mutating func giveUpAll() {
        for (number, client) in clients.all {
            let id = ConnectionIndicator(number)
            for place in client.requests.places {
                let request = client.requests[place]
                let status: Status = isInDoubt(request, client.requests.payload(at: place)) ? .unknown : .unavailable
                respond(
                    request.session, request.sequence, to: id,
                    Answer(status: status, message: "the service has been shut down"))
            }
            act(.closeClient(id))
            closed(id)
        }
    }
}

extension Header {
    /// The same, with the client that it comes from and the epoch that it goes to.
    fileprivate func tagged(_ id: ConnectionIndicator, _ epoch: Epoch) -> Header {
        var tagged = self
        tagged.connection = id
        tagged.epoch = epoch
        return tagged
    }
}
