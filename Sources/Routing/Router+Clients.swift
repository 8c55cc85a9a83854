import TupleCore
import WireProtocol

/// What clients send, and what is answered to them.
extension Router {
    mutating func receive(_ run: FrameRun, from id: ConnectionIndicator) {
        run.forEachInPlace { frame in
            guard let place = clients.place(of: id.number) else { return false }
            switch frame.header.type {
            case .request: park(frame, of: run, id, place)
            case .hello where clients[id.number]?.greeted == false: greet(run.frame(at: frame.offset), id)
            default: misplaced(frame, id)
            }
            return true
        }
    }

    private mutating func misplaced(_ frame: FrameInPlace, _ id: ConnectionIndicator) {
        dismiss(id, "a client may not send a frame of type \(frame.header.type) here")
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
        let bytes = frame.payload.count
        var intake = clients[at: place].intake(header, generation, allowance: settings.flow.reportBytes)
        guard intake.isGreeted, header.session != .none, !intake.isKnown, shutdown == nil,
            waitingBytes + bytes + RequestsInFlight.overhead <= settings.flow.requestBytes
        else { return turnDown(frame, id, place, intake) }
        if intake.isStale {
            renew(id, place)
            intake = clients[at: place].intake(header, generation, allowance: settings.flow.reportBytes)
        }
        let reservation = AnswerBudget.reservation(frame.payload, atMost: settings.flow.directAnswerBytes)
        let goesOn = mayPass(bytes, reserving: reservation, intake)
        if goesOn, let route, let epoch = record?.epoch {
            pass(
                header.tagged(id, epoch, source: intake.source), payloadOf: frame, to: .server(route),
                expecting: run.byteCount)
        }
        let pause = clients[at: place].keep(frame, now, reserving: goesOn ? reservation : nil, pauseLimits)
        waitingBytes += bytes + RequestsInFlight.overhead
        parkedCount += 1
        if goesOn {
            budget.charge(reservation)
            inFlight += 1
            passedBytes += bytes
        } else {
            enqueue(id, place)
        }
        if let pause { act(.pauseClient(id, pause)) }
    }

    /// A request that is not taken: it ends the connection, or is answered here.
    private mutating func turnDown(
        _ frame: FrameInPlace, _ id: ConnectionIndicator, _ place: Int, _ intake: Client.Intake
    ) {
        let (session, sequence) = (frame.header.session, frame.header.sequence)
        guard intake.isGreeted else { return misplaced(frame, id) }
        guard session != .none else {
            return dismiss(id, "a request must carry a session other than 0, or a retry of it could not be recognised")
        }
        guard !intake.isKnown else {
            return dismiss(id, "request \(sequence.number) of its session is on its way already")
        }
        let message =
            shutdown == nil ? "too many requests are waiting; try again later" : "the service is shutting down"
        respond(session, sequence, to: id, place, Answer(status: .unavailable, message: message))
    }

    /// The active server's response, or a part of it, goes to its client without the indicator.
    ///
    /// - Parameter expected: as in ``pass(_:payloadOf:to:expecting:)``.
    mutating func relay(_ frame: FrameInPlace, _ expected: Int) {
        let id = frame.header.connection
        guard let place = clients.place(of: id.number),
            let request = clients[at: place].answerable(frame.header, generation)
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
        if remove(request, sending: bytes, of: id, place) { giveCredit(id, place) }
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
