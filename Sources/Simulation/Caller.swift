import Calling
package import TupleCore
import WireProtocol

/// A client: the session that real clients have, on a simulated network.
package final class Caller {
    private unowned let world: World
    private var session: ClientSession
    private var connection: ClientConnection?
    /// Counts the attempts to connect, so that what an earlier one brings is known.
    private var attempt = 0
    private var isGone = false
    /// A request's one end.
    package var onAnswer: ((RequestSequence, Answer) -> Void)?

    package init(_ world: World, session: UInt64, timeout: Duration) {
        self.world = world
        self.session = ClientSession(
            ClientSession.Settings(session: SessionID(session), proxies: 1, timeout: timeout, agent: "simulated"))
    }

    package var outstanding: Int { session.outstanding }

    package func submit(_ request: Request) -> RequestSequence {
        let (sequence, actions) = session.submit(request, at: world.now)
        carryOut(actions)
        return sequence
    }

    /// The process ends; nobody waits for answers any more.
    package func leave(silently: Bool) {
        isGone = true
        attempt += 1
        if silently { connection?.vanish() } else { connection?.close() }
        connection = nil
    }

    private func handle(_ event: ClientSession.Event) {
        guard !isGone else { return }
        carryOut(session.handle(event, at: world.now))
    }

    private func carryOut(_ actions: [ClientSession.Action]) {
        for action in actions {
            switch action {
            case .connect(_, let delay): connect(after: delay)
            case .send(let frame): connection?.send(frame)
            case .disconnect:
                attempt += 1
                connection?.close()
                connection = nil
            case .answer(let sequence, let answer): onAnswer?(sequence, answer)
            case .wake(let time):
                world.after(max(.zero, time.duration(since: world.now))) { [weak self] in self?.handle(.woken) }
            }
        }
    }

    private func connect(after delay: Duration) {
        attempt += 1
        let number = attempt
        world.after(delay) { [weak self] in
            guard let self, number == attempt else { return }
            let end = CallerEnd(self, number)
            world.callProxy(end) { [weak self] made in
                guard let self, number == attempt else {
                    made?.close()
                    return
                }
                connection = made
                if made == nil { handle(.disconnected("connection refused")) }
            }
        }
    }

    /// The end of one of the caller's connections.
    private final class CallerEnd: ClientEnd {
        private unowned let caller: Caller
        private let number: Int
        init(_ caller: Caller, _ number: Int) {
            self.caller = caller
            self.number = number
        }
        private var isCurrent: Bool { caller.attempt == number }
        func opened() { if isCurrent { caller.handle(.connected) } }
        func received(_ frame: Frame) { if isCurrent { caller.handle(.received(frame)) } }
        func closed() {
            guard isCurrent else { return }
            caller.connection = nil
            caller.handle(.disconnected("connection lost"))
        }
    }
}
