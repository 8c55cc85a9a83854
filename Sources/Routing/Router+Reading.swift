import TupleCore
import WireProtocol

/// What clients are sent and read: credit for streams, and an end for who does not read.
extension Router {
    /// A part of an answer goes to its client.
    mutating func noteSent(_ bytes: Int, to id: ConnectionIndicator, _ place: Int) {
        budget.charge(bytes)
        if clients[at: place].sent(bytes, reportBytes: settings.flow.reportBytes) { askReport(id, place) }
    }

    mutating func askReport(_ id: ConnectionIndicator, _ place: Int) {
        askReport(id, place, downTo: max(flow.reportBytes / 4, clients[at: place].unread - flow.progressBytes))
    }

    /// Asks the runtime to tell when no more than so many bytes wait for the client's socket.
    private mutating func askReport(_ id: ConnectionIndicator, _ place: Int, downTo rest: Int) {
        lastReport += 1
        let report = Client.Report(covers: clients[at: place].unread - rest, number: lastReport)
        clients[at: place].report = report
        // What was settled meanwhile does not gather.
        for _ in 0..<2 {
            guard let oldest = reports.first, clients[oldest.client.number]?.report?.number != oldest.number else {
                break
            }
            reports.popFirst()
        }
        reports.append((client: id, number: lastReport, askedAt: now))
        act(.reportDrained(id, downTo: rest))
    }

    /// What the last report was asked for has been written.
    mutating func drained(_ id: ConnectionIndicator) {
        guard let place = clients.place(of: id.number), let report = clients[at: place].report else { return }
        clients[at: place].report = nil
        clients[at: place].unread -= report.covers
        budget.release(report.covers)
        if clients[at: place].unread > flow.reportBytes {
            askReport(id, place)
        }
        updatePause(id, place)
        giveCredit(id, place)
        if clients[at: place].requests.hasWaiting { enqueue(id, place) }
    }

    // MARK: Streams

    /// A part of an answer has come, and more is to follow: it uses up what was reserved for it.
    mutating func noteStreamed(_ bytes: Int, _ request: Int, _ id: ConnectionIndicator, _ place: Int) {
        let used = min(bytes, Int(clients[at: place].requests[request].reserved))
        clients[at: place].requests[request].reserved -= Int32(used)
        clients[at: place].requests[request].isStreaming = true
        // Its time is counted from what came last: a long answer to a slow reader may take longer than a request may.
        clients[at: place].requests[request].since = now
        release(used, at: place)
    }

    /// Lets the oldest of a client's streams go on, where the client reads and there is room. One stream a client: the
    /// others have come as far as what was reserved for them at first.
    mutating func giveCredit(_ id: ConnectionIndicator, _ place: Int) {
        guard clients[at: place].unread <= flow.unreadBytes, clients[at: place].generation == generation, let route,
            let epoch = record?.epoch, let request = clients[at: place].requests.oldestStream,
            // One of release 0.1 sends all at once and knows no such frame.
            servers[route]?.lineage != nil
        else { return }
        let reserved = Int(clients[at: place].requests[request].reserved)
        guard reserved <= flow.answerWindowBytes / 2 else { return }
        let credit = budget.credit(
            wanted: flow.answerWindowBytes - reserved, least: min(flow.directAnswerBytes, flow.answerWindowBytes / 2),
            // What is left of its own credit does not stand in a stream's way.
            chargedAlready: max(0, clients[at: place].charged(beyond: flow.reportBytes) - reserved))
        guard credit > 0 else {
            // It goes on when a tick finds room.
            if !clients[at: place].isStarved { starved.append(id) }
            clients[at: place].isStarved = true
            return
        }
        clients[at: place].requests[request].reserved += Int32(credit)
        clients[at: place].reserved += credit
        budget.charge(credit)
        var header = clients[at: place].requests.header(at: request)
        header.epoch = epoch
        header.connection = id
        act(.sendToServer(route, Credit(bytes: UInt32(credit)).frame(for: header)))
    }

    // MARK: Ticks

    mutating func tickReading() {
        endWhoDoesNotRead()
        for _ in 0..<min(starved.count, flow.requestsPerTurn) {
            guard let id = starved.popFirst(), let place = clients.place(of: id.number) else { continue }
            clients[at: place].isStarved = false
            giveCredit(id, place)
        }
        if budget.isTight { askAround() }
    }

    private mutating func endWhoDoesNotRead() {
        // Where nobody else finds room any more, whoever holds it has less time.
        let patience = budget.room < flow.directAnswerBytes ? flow.progressTimeWithoutRoom : flow.progressTime
        for _ in 0..<flow.requestsPerTurn {
            guard let oldest = reports.first else { return }
            let isOpen = clients[oldest.client.number]?.report?.number == oldest.number
            if isOpen {
                // What this process itself missed does not count.
                guard now.duration(since: max(oldest.askedAt, awakeSince)) >= patience else { return }
                cut(oldest.client, "it does not read")
            }
            reports.popFirst()
        }
    }

    /// Asks those who were sent little whether they have read it: nobody asked about it so far, and much is in use.
    private mutating func askAround() {
        if askCursor == 0 { askCursor = roster.count }
        var cursor = askCursor
        walk(&cursor, atMost: flow.clientsPerTurn) { router, id, place in
            if router.clients[at: place].unread > 0, router.clients[at: place].report == nil {
                router.askReport(id, place, downTo: 0)
            }
            return true
        }
        askCursor = cursor
    }

    /// Ends a client at once; what was not written to its socket is lost.
    mutating func cut(_ id: ConnectionIndicator, _ reason: String) {
        log(.info, "client-dismissed", [.init("client", id.number), .init("reason", reason)])
        act(.cutClient(id))
        closed(id)
    }
}
