import TupleCore
import WireProtocol

/// A client's connection.
struct Client: Sendable {
    var since: Instant
    var greeted = false
    var isPaused = false
    /// Requests that have not been answered, by their sequence.
    var requests: [RequestSequence: Waiting] = [:]
    var bytes = 0

    /// A request that waits for its answer.
    struct Waiting: Sendable {
        /// Tagged with the connection indicator.
        var frame: Frame
        var order: UInt64
        var since: Instant
        /// Whether some active server was sent it: then it may have been carried out.
        var wasSent = false
    }
}

extension Router {
    mutating func connected(_ id: ConnectionIndicator) {
        guard clients.count < settings.maximumClients else {
            refused += 1
            let message = "service refused: the limit of \(settings.maximumClients) clients is reached"
            actions.append(.sendToClient(id, Refused(message: message).frame))
            actions.append(.closeClient(id))
            return
        }
        clients[id] = Client(since: now)
    }

    mutating func receive(_ frame: Frame, from id: ConnectionIndicator) {
        guard let client = clients[id] else { return }
        switch frame.type {
        case .hello where !client.greeted: greet(frame, id)
        case .request where client.greeted: park(frame, id)
        default:
            dismiss(id, "a client may not send a frame of type \(frame.type) here")
        }
    }

    private mutating func greet(_ frame: Frame, _ id: ConnectionIndicator) {
        guard let version = (try? Hello(frame.payload))?.commonVersion else {
            dismiss(id, "the hello names no protocol version that is spoken here; \(Header.version) is")
            return
        }
        clients[id]?.greeted = true
        actions.append(.sendToClient(id, Router.welcome(version).frame))
    }

    static func welcome(_ version: UInt8) -> Welcome {
        Welcome(
            version: version, maximumPayloadBytes: UInt32(Limits.maximumPayloadBytes),
            maximumRequestsInFlight: UInt32(RouterSettings.maximumRequestsPerClient))
    }

    private mutating func dismiss(_ id: ConnectionIndicator, _ message: String) {
        log(.info, "client-dismissed", [.init("client", id.number), .init("reason", message)])
        actions.append(.sendToClient(id, Refused(message: message).frame))
        actions.append(.closeClient(id))
        closed(id)
    }

    private mutating func park(_ frame: Frame, _ id: ConnectionIndicator) {
        guard frame.header.session != .none else {
            dismiss(id, "a request must carry a session other than 0, or a retry of it could not be recognised")
            return
        }
        let sequence = frame.header.sequence
        guard clients[id]?.requests[sequence] == nil else {
            dismiss(id, "request \(sequence.number) is on its way already")
            return
        }
        guard shutdown == nil, waitingBytes + frame.payload.count <= RouterSettings.maximumBytes else {
            let message =
                shutdown == nil
                ? "too many requests are waiting; try again later" : "the service is shutting down"
            respond(frame.header, to: id, Answer(status: .unavailable, message: message))
            return
        }
        lastOrder += 1
        var tagged = frame
        tagged.header.connection = id
        var waiting = Client.Waiting(frame: tagged, order: lastOrder, since: now)
        if let route, let record {
            forward(&waiting, to: route, epoch: record.epoch)
        }
        clients[id]?.requests[sequence] = waiting
        clients[id]?.bytes += frame.payload.count
        waitingBytes += frame.payload.count
        updatePause(id)
    }

    private mutating func forward(_ waiting: inout Client.Waiting, to link: ServerLink, epoch: Epoch) {
        waiting.frame.header.epoch = epoch
        waiting.wasSent = true
        actions.append(.sendToServer(link, waiting.frame))
    }

    /// A client that has as much on its way as it may is not read from: it is slowed down, not refused.
    private mutating func updatePause(_ id: ConnectionIndicator) {
        guard let client = clients[id] else { return }
        let isFull =
            client.requests.count >= RouterSettings.maximumRequestsPerClient
            || client.bytes >= RouterSettings.maximumBytesPerClient
        if isFull != client.isPaused {
            clients[id]?.isPaused = isFull
            actions.append(.pauseClient(id, isFull))
        }
    }

    private mutating func remove(_ sequence: RequestSequence, of id: ConnectionIndicator) {
        guard let waiting = clients[id]?.requests.removeValue(forKey: sequence) else { return }
        clients[id]?.bytes -= waiting.frame.payload.count
        waitingBytes -= waiting.frame.payload.count
        updatePause(id)
    }

    /// The active server's response, or a part of it, goes to its client without the indicator.
    mutating func relay(_ frame: Frame) {
        let id = frame.header.connection
        guard clients[id]?.requests[frame.header.sequence]?.frame.header.session == frame.header.session else {
            discarded += 1
            return
        }
        var stripped = frame
        stripped.header.connection = .none
        actions.append(.sendToClient(id, stripped))
        if !frame.header.flags.contains(.more) { remove(frame.header.sequence, of: id) }
    }

    /// Everything that is unanswered goes to the new active server, in the order in which it came. What an earlier one
    /// carried out already is recognised by session and sequence.
    mutating func replay() {
        guard let route, let record else { return }
        var waiting: [(order: UInt64, id: ConnectionIndicator, sequence: RequestSequence)] = []
        for (id, client) in clients {
            for (sequence, request) in client.requests { waiting.append((request.order, id, sequence)) }
        }
        waiting.sort { $0.order < $1.order }
        for item in waiting {
            guard var request = clients[item.id]?.requests[item.sequence] else { continue }
            forward(&request, to: route, epoch: record.epoch)
            clients[item.id]?.requests[item.sequence] = request
        }
        if !waiting.isEmpty { log(.info, "replayed", [.init("requests", waiting.count)]) }
    }

    mutating func closed(_ id: ConnectionIndicator) {
        guard let client = clients.removeValue(forKey: id) else { return }
        waitingBytes -= client.bytes
        if let route, let record, client.requests.values.contains(where: \.wasSent) {
            let cancel = Header(.cancel, epoch: record.epoch, connection: id)
            actions.append(.sendToServer(route, Frame(cancel)))
        }
    }

    private mutating func respond(_ header: Header, to id: ConnectionIndicator, _ answer: Answer) {
        var response = Header(.response, flags: [.first], session: header.session, sequence: header.sequence)
        response.epoch = record?.epoch ?? .zero
        actions.append(.sendToClient(id, Frame(response, payload: answer.payloadBytes)))
    }

    mutating func tickClients() {
        for (id, client) in clients where !client.greeted {
            if now.duration(since: client.since) > RouterSettings.greetingTime {
                dismiss(id, "no hello came within \(RouterSettings.greetingTime)")
            }
        }
    }

    /// Gives up requests that have waited for too long, with a clear error.
    mutating func sweepRequests() {
        let limit = route == nil ? RouterSettings.parkingTime : RouterSettings.servingTime
        for (id, client) in clients where !client.requests.isEmpty {
            for (sequence, request) in client.requests where now.duration(since: request.since) > limit {
                give(up: request, after: limit, to: id)
                remove(sequence, of: id)
            }
        }
    }

    /// Whether it may have been carried out for all that is known here.
    private func isInDoubt(_ request: Client.Waiting) -> Bool {
        request.wasSent && (try? Request(decoding: request.frame.payload))?.mayChange == true
    }

    private mutating func give(up request: Client.Waiting, after limit: Duration, to id: ConnectionIndicator) {
        let why = "no active server answered within \(limit)"
        let answer =
            isInDoubt(request)
            ? Answer(status: .unknown, message: "\(why); the request may or may not have been carried out")
            : Answer(status: .unavailable, message: "\(why); the request was not carried out: try again later")
        respond(request.frame.header, to: id, answer)
    }

    /// The service ends: whoever still waits is told.
    mutating func giveUpAll() {
        for (id, client) in clients {
            for request in client.requests.values.sorted(by: { $0.order < $1.order }) {
                let status: Status = isInDoubt(request) ? .unknown : .unavailable
                respond(
                    request.frame.header, to: id,
                    Answer(status: status, message: "the service has been shut down"))
            }
            actions.append(.closeClient(id))
            closed(id)
        }
    }
}
