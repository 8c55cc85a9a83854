import TupleCore
import WireProtocol

/// A client's connection.
struct Client: Sendable {
    /// Where it comes from, see ``SourceTable``.
    let source: UInt32
    /// Where it is in ``Router/roster``.
    var rosterIndex: Int
    var greeted = false
    var isPaused = false
    /// When a request of it came last, or it itself.
    var lastActive: Instant
    var requests = RequestsInFlight()

    /// The ``Router/generation`` up to which its requests are seen as passed on.
    var generation: UInt64
    /// It is in ``Router/waiting``.
    var isWaiting = false
    /// It is in ``Router/starved``.
    var isStarved = false

    /// What the active server may still send for the requests that it has, in bytes.
    var reserved = 0
    /// What was sent to it and is not known to have been written to its socket, in bytes.
    var unread = 0
    /// What was asked about its socket and has no answer.
    var report: Report?

    struct Report: Sendable {
        /// So many bytes will have been written when the answer comes.
        var covers: Int
        /// Counts the reports of all clients.
        var number: UInt64
    }

    /// What counts against its share: a little that is unread does not, since nobody asks about it.
    func charged(beyond allowance: Int) -> Int { reserved + max(0, unread - allowance) }
}

/// What each request and each answer goes through. All of it is `mutating`, also what only looks: a client is changed where
/// it lies, but looked at in a copy.
extension Client {
    /// What is to be known of a client when a request of it comes.
    struct Intake {
        var isGreeted: Bool
        var isKnown: Bool
        var isStale: Bool
        var hasWaiting: Bool
        var charged: Int
        var source: UInt32
    }

    @inline(__always)
    mutating func intake(_ header: Header, _ generation: UInt64, allowance: Int) -> Intake {
        Intake(
            isGreeted: greeted, isKnown: requests.place(of: header.session, header.sequence) != nil,
            isStale: self.generation != generation, hasWaiting: requests.hasWaiting,
            charged: charged(beyond: allowance), source: source)
    }

    /// Keeps a request.
    ///
    /// - Parameter reservation: what is reserved for its answer, where the active server has been sent it; else nil.
    /// - Returns: whether it is to be read from no more, or again, as ``pauseChange(_:)``.
    @inline(__always)
    mutating func keep(
        _ frame: FrameInPlace, _ now: Instant, reserving reservation: Int?, _ limits: PauseLimits
    ) -> Bool? {
        requests.append(frame.header, frame.payload, since: now)
        lastActive = now
        if let reservation {
            requests.pass(requests.end - 1, reserving: reservation)
            reserved += reservation
        }
        return pauseChange(limits)
    }

    /// The active server is sent a request.
    ///
    /// - Returns: its payload bytes.
    @inline(__always)
    mutating func pass(_ place: Int, reserving reservation: Int) -> Int {
        requests.pass(place, reserving: reservation)
        reserved += reservation
        return requests[place].count
    }

    /// The place of a request that the active server may answer.
    @inline(__always)
    mutating func answerable(_ header: Header, _ generation: UInt64) -> Int? {
        guard self.generation == generation, let place = requests.place(of: header.session, header.sequence),
            requests[place].state == .passed
        else { return nil }
        return place
    }

    /// What has become free with a request, and what is to be done.
    struct Removal {
        var reserved = 0
        var payloadBytes: Int
        var bytes: Int
        var wasPassed: Bool
        var wasStream: Bool
        var isToBeQueued: Bool
        var isToBeAsked = false
        var pauseChange: Bool?
    }

    /// A request ends, with so many bytes of an answer that are sent.
    @inline(__always)
    mutating func remove(_ place: Int, sending bytes: Int, reportBytes: Int, _ limits: PauseLimits) -> Removal {
        let before = requests.bytes
        var removal = Removal(
            payloadBytes: requests[place].count, bytes: 0, wasPassed: requests[place].state == .passed,
            wasStream: requests[place].isStreaming, isToBeQueued: false)
        if removal.wasPassed {
            removal.reserved = Int(requests[place].reserved)
            reserved -= removal.reserved
        }
        requests.remove(at: place)
        removal.bytes = before - requests.bytes
        removal.isToBeQueued = requests.hasWaiting && !isWaiting
        removal.isToBeAsked = sent(bytes, reportBytes: reportBytes)
        removal.pauseChange = pauseChange(limits)
        return removal
    }

    /// So many bytes are sent to it.
    ///
    /// - Returns: whether its socket is to be asked about.
    @inline(__always)
    mutating func sent(_ bytes: Int, reportBytes: Int) -> Bool {
        unread += bytes
        return unread > reportBytes && report == nil
    }

    /// Beyond so many unread bytes, or so many of its requests, a client is not read from.
    struct PauseLimits {
        var unread: Int
        var requests: Int
    }

    /// Whether it is to be read from no more, or again; nil where nothing changes.
    @inline(__always)
    mutating func pauseChange(_ limits: PauseLimits) -> Bool? {
        let span = requests.span
        let isFull =
            span >= RouterSettings.maximumRequestsPerClient || unread > limits.unread
            || span > 0 && requests.bytes > limits.requests
        guard isFull != isPaused else { return nil }
        isPaused = isFull
        return isFull
    }
}

extension Router {
    /// A request has been answered, or is given up: its client is sent so much.
    ///
    /// - Parameter request: a place in the client's requests.
    /// - Returns: whether it was a stream.
    @discardableResult
    mutating func remove(_ request: Int, sending bytes: Int, of id: ConnectionIndicator, _ place: Int) -> Bool {
        noteEnd(of: request, id, place)
        let removal = clients[at: place].remove(
            request, sending: bytes, reportBytes: settings.flow.reportBytes, pauseLimits)
        if removal.wasPassed {
            budget.release(removal.reserved)
            inFlight -= 1
            passedBytes -= removal.payloadBytes
        }
        budget.charge(bytes)
        waitingBytes -= removal.bytes
        parkedCount -= 1
        if removal.isToBeQueued { enqueue(id, place) }
        if removal.isToBeAsked { askReport(id, place) }
        if let isPaused = removal.pauseChange { act(.pauseClient(id, isPaused)) }
        return removal.wasStream
    }

    /// The one suspect that is tried may have come to its end.
    @inline(__always)
    private mutating func noteEnd(of request: Int, _ id: ConnectionIndicator, _ place: Int) {
        guard suspects.isTrying else { return }
        suspects.ended(id, clients[at: place].requests[request])
    }

    /// A client that has as much on its way as it may is not read from: it is slowed down, not refused.
    mutating func updatePause(_ id: ConnectionIndicator, _ place: Int) {
        if let isPaused = clients[at: place].pauseChange(pauseLimits) { act(.pauseClient(id, isPaused)) }
    }

    @inline(__always)
    var pauseLimits: Client.PauseLimits {
        Client.PauseLimits(
            unread: settings.flow.unreadBytes,
            requests: min(
                settings.flow.clientRequestBytes,
                max(0, settings.flow.requestBytes - waitingBytes) / Router.requestShare))
    }

    /// A client's requests may take one part of so many of the room that is left, as in ``AnswerBudget``.
    private static let requestShare = 16

    /// Nothing of these requests, or of what was sent, is charged any more.
    mutating func release(_ reserved: Int, at place: Int) {
        clients[at: place].reserved -= reserved
        budget.release(reserved)
    }

    // MARK: All clients, a part of them a turn

    mutating func enroll(_ id: ConnectionIndicator) -> Int {
        roster.append(id)
        return roster.count - 1
    }

    /// Takes a client off the roster. Walks go down the roster, so that they miss nobody by it: the last one, who takes the
    /// place, was looked at already, or is looked at twice.
    mutating func strike(_ client: Client) {
        let last = roster.removeLast()
        guard client.rosterIndex < roster.count else { return }
        roster[client.rosterIndex] = last
        clients[last.number]?.rosterIndex = client.rosterIndex
    }

    /// Goes on with a walk over all clients.
    ///
    /// - Parameters:
    ///   - cursor: how many are left, from the roster's beginning.
    ///   - body: what is done with each, where it is; false ends this turn's part after it.
    mutating func walk(
        _ cursor: inout Int, atMost count: Int, _ body: (inout Router, ConnectionIndicator, Int) -> Bool
    ) {
        for _ in 0..<count {
            cursor = min(cursor, roster.count)
            guard cursor > 0 else { return }
            cursor -= 1
            let id = roster[cursor]
            guard let place = clients.place(of: id.number) else {
                preconditionFailure("the roster names a client that is gone")
            }
            guard body(&self, id, place) else { return }
        }
    }
}
