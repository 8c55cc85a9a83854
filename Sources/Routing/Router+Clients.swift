import TupleCore
import WireProtocol

/// What clients send, and what is answered to them.
extension Router {
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

    /// Ends a client and tells it why. Where much is unread it would not hear of it, and what waits would be held for nothing.
    mutating func dismiss(_ id: ConnectionIndicator, _ message: String) {
        guard let place = clients.place(of: id.number), clients[at: place].unread <= flow.reportBytes else {
            return cut(id, message)
        }
        log(.info, "client-dismissed", [.init("client", id.number), .init("reason", message)])
        act(.sendToClient(id, Refused(message: message).frame))
        act(.closeClient(id))
        closed(id)
    }

    private mutating func park(_ frame: FrameInPlace, of run: FrameRun, _ id: ConnectionIndicator, _ place: Int) {
        let header = frame.header
        guard header.session != .none else {
            dismiss(id, "a request must carry a session other than 0, or a retry of it could not be recognised")
            return
        }
        guard clients[at: place].requests.place(of: header.session, header.sequence) == nil else {
            dismiss(id, "request \(header.sequence.number) of its session is on its way already")
            return
        }
        guard shutdown == nil,
            waitingBytes + frame.payload.count + RequestsInFlight.overhead <= flow.requestBytes
        else {
            let message =
                shutdown == nil
                ? "too many requests are waiting; try again later" : "the service is shutting down"
            respond(header.session, header.sequence, to: id, place, Answer(status: .unavailable, message: message))
            return
        }
        if clients[at: place].generation != generation { renew(id, place) }
        let reservation = AnswerBudget.reservation(frame.payload, atMost: flow.directAnswerBytes)
        let goesOn = mayPass(frame.payload.count, reserving: reservation, at: place)
        if goesOn, let route, let epoch = record?.epoch {
            pass(
                header.tagged(id, epoch, source: clients[at: place].source), payloadOf: frame, to: .server(route),
                expecting: run.byteCount)
        }
        keep(frame, place)
        if goesOn {
            notePassed(clients[at: place].requests.end - 1, reserving: reservation, at: place)
        } else {
            enqueue(id, place)
        }
        updatePause(id, place)
    }

    private mutating func keep(_ frame: FrameInPlace, _ place: Int) {
        let before = clients[at: place].requests.bytes
        clients[at: place].requests.append(frame.header, frame.payload, since: now)
        clients[at: place].lastActive = now
        waitingBytes += clients[at: place].requests.bytes - before
        parkedCount += 1
    }

    /// The active server's response, or a part of it, goes to its client without the indicator.
    ///
    /// - Parameter expected: as in ``pass(_:payloadOf:to:expecting:)``.
    mutating func relay(_ frame: FrameInPlace, _ expected: Int) {
        let id = frame.header.connection
        guard let place = clients.place(of: id.number), clients[at: place].generation == generation,
            let request = clients[at: place].requests.place(of: frame.header.session, frame.header.sequence),
            clients[at: place].requests[request].state == .passed
        else {
            discarded += 1
            return
        }
        var stripped = frame.header
        stripped.connection = .none
        pass(stripped, payloadOf: frame, to: .client(id), expecting: expected)
        let bytes = Header.byteCount + frame.payload.count
        if frame.header.flags.contains(.more) {
            noteStreamed(bytes, request, id, place)
            noteSent(bytes, to: id, place)
            updatePause(id, place)
            giveCredit(id, place)
            return
        }
        let isStream = clients[at: place].requests[request].isStreaming
        remove(request, of: id, place)
        noteSent(bytes, to: id, place)
        if isStream {
            updatePause(id, place)
            giveCredit(id, place)
        }
    }

    mutating func closed(_ id: ConnectionIndicator) {
        guard let client = clients.removeValue(forKey: id.number) else { return }
        strike(client)
        sources.remove(of: client.source)
        budget.release(client.reserved + client.unread)
        waitingBytes -= client.requests.bytes
        parkedCount -= client.requests.count
        suspects.left(id)
        guard client.generation == generation, client.requests.passed > 0 else { return }
        inFlight -= client.requests.passed
        passedBytes -= client.requests.passedBytes
        suspects.leftGhost(at: now)
        if let route, let record {
            let cancel = Header(.cancel, epoch: record.epoch, connection: id)
            act(.sendToServer(route, Frame(cancel)))
        }
    }
}
