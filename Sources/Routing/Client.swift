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

extension Router {
    /// What goes on in a client's requests when one has been answered, given up, or is gone.
    ///
    /// - Parameter request: a place in the client's requests.
    mutating func remove(_ request: Int, of id: ConnectionIndicator, _ place: Int) {
        let before = clients[at: place].requests.bytes
        let removed = clients[at: place].requests[request]
        if removed.state == .passed {
            release(Int(removed.reserved), at: place)
            inFlight -= 1
            passedBytes -= removed.count
        }
        if removed.losses > 0 { suspects.ended(id, removed) }
        clients[at: place].requests.remove(at: request)
        waitingBytes -= before - clients[at: place].requests.bytes
        parkedCount -= 1
        if clients[at: place].requests.hasWaiting { enqueue(id, place) }
        updatePause(id, place)
    }

    /// A client that has as much on its way as it may is not read from: it is slowed down, not refused.
    mutating func updatePause(_ id: ConnectionIndicator, _ place: Int) {
        let isFull = isFull(place)
        guard isFull != clients[at: place].isPaused else { return }
        clients[at: place].isPaused = isFull
        act(.pauseClient(id, isFull))
    }

    private func isFull(_ place: Int) -> Bool {
        let span = clients[at: place].requests.span
        if span >= RouterSettings.maximumRequestsPerClient || clients[at: place].unread > flow.unreadBytes {
            return true
        }
        guard span > 0 else { return false }
        let bytes = clients[at: place].requests.bytes
        return bytes >= flow.clientRequestBytes
            || bytes > max(0, flow.requestBytes - waitingBytes) / Router.requestShare
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
