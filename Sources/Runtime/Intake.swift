import Synchronization
package import WireProtocol

/// What a connection may send, and what may be kept of it before it is whole.
package struct Intake: Sendable {
    package let limits: FrameLimits
    /// Where room for long frames comes from; nil where they need none.
    package let budget: IncomingBudget?
    /// Whether a frame that has begun must be whole within its time.
    package let isTimed: Bool

    /// For whoever was called upon by this side.
    package static let trusted = Intake(limits: .none, budget: nil, isTimed: false)
    package static let operatorLink = Intake(limits: .operatorLink, budget: nil, isTimed: true)
    package static let server = Intake(limits: .server, budget: nil, isTimed: true)
    package static let peer = Intake(limits: .peer, budget: nil, isTimed: true)

    package static func client(_ budget: IncomingBudget) -> Intake {
        Intake(limits: .client, budget: budget, isTimed: true)
    }

    /// How long a frame may take to come: a slow line gets a second more for each MiB.
    static func time(forFrameOf bytes: Int) -> Duration { .seconds(10) + .seconds(bytes / 1_048_576) }
    /// How long nothing may come of a frame that has a reservation, while others wait for one.
    static let stallTime = Duration.seconds(2)
}

/// Memory for frames that have begun to come and are long, shared by all clients' connections, whichever thread they are
/// on. Nothing is taken in of such a frame before there is room for all of it.
package final class IncomingBudget: Sendable {
    private struct State: Sendable {
        var queue: ReservationQueue<String>
        var granted: [UInt64: @Sendable () -> Void] = [:]
        var last: UInt64 = 0
    }
    private let state: Mutex<State>

    package init(bytes: Int) { state = Mutex(State(queue: ReservationQueue(capacity: bytes))) }

    /// Bytes that are reserved.
    package var used: Int { state.withLock { $0.queue.used } }
    /// Connections that wait for room.
    package var waitingCount: Int { state.withLock { $0.queue.waitingCount } }

    /// - Parameter granted: is called once there is room, on any thread; not where there is at once.
    /// - Returns: what holds the reservation, or the place in the queue, for as long as it lives.
    func ask(
        bytes: Int, from source: String, granted: @escaping @Sendable () -> Void
    ) -> (reservation: Reservation, isGranted: Bool) {
        state.withLock { state in
            state.last += 1
            let isGranted = state.queue.ask(state.last, bytes: bytes, from: source)
            if !isGranted { state.granted[state.last] = granted }
            return (Reservation(state.last, of: self), isGranted)
        }
    }

    private func end(_ id: UInt64) {
        let fortunate = state.withLock { state in
            state.granted[id] = nil
            return state.queue.end(id).compactMap { state.granted.removeValue(forKey: $0) }
        }
        for granted in fortunate { granted() }
    }

    final class Reservation: Sendable {
        private let id: UInt64
        private let budget: IncomingBudget

        fileprivate init(_ id: UInt64, of budget: IncomingBudget) {
            self.id = id
            self.budget = budget
        }

        deinit { budget.end(id) }
    }
}
