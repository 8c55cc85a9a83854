import TupleCore
import WireProtocol

/// Who is served when more want to be than may.
///
/// Only when all slots are taken does it matter where somebody comes from: a source that has less than its share of the slots
/// gets one of those that are used least.
extension Router {
    mutating func connected(_ id: ConnectionIndicator, source: UInt32) {
        guard clients.count < settings.maximumClients || makeRoom(for: source) else {
            refused += 1
            let message = "service refused: the limit of \(settings.maximumClients) clients is reached"
            act(.sendToClient(id, Refused(message: message).frame))
            act(.closeClient(id))
            return
        }
        let index = enroll(id)
        clients[id.number] = Client(source: source, rosterIndex: index, lastActive: now, generation: generation)
        let clients = clients
        sources.add(id, of: source) { clients.place(of: $0.number) != nil }
        forgetGreeted(atMost: 2)
        greeting.append((id, now))
    }

    /// Lets go of connections at the front that are greeted or gone.
    private mutating func forgetGreeted(atMost count: Int) {
        for _ in 0..<count {
            guard let first = greeting.first, clients[first.client.number]?.greeted ?? true else { return }
            greeting.popFirst()
        }
    }

    /// Slots that a source may have under scarcity, with one more source.
    private func share(with newcomer: UInt32) -> Int {
        let count = sources.count + (sources.connections(of: newcomer) == 0 ? 1 : 0)
        return max(1, settings.maximumClients / max(1, count))
    }

    /// - Complexity: O(1), amortised.
    private mutating func makeRoom(for source: UInt32) -> Bool {
        let share = share(with: source)
        guard sources.connections(of: source) < share else { return false }
        guard let victim = oldestUngreeted(share) ?? longestIdle() else { return false }
        dismiss(victim, "all slots are taken, and it made least use of one: it gives way to a newcomer")
        return true
    }

    private mutating func oldestUngreeted(_ share: Int) -> ConnectionIndicator? {
        forgetGreeted(atMost: RouterSettings.forgottenPerTick)
        guard let first = greeting.first, let client = clients[first.client.number], !client.greeted else { return nil }
        let isLate = now.duration(since: first.since) >= RouterSettings.leastGreetingTime
        return isLate || sources.connections(of: client.source) > share ? first.client : nil
    }

    /// Of those that are looked at; each decision looks at others.
    private mutating func longestIdle() -> ConnectionIndicator? {
        guard let largest = sources.largest else { return nil }
        var found: (id: ConnectionIndicator, since: Instant)?
        let (clients, now) = (clients, now)
        sources.look(at: RouterSettings.idleLooks, of: largest) { id in
            guard let place = clients.place(of: id.number) else { return (isThere: false, goesOn: true) }
            let since = clients[at: place].lastActive
            if clients[at: place].requests.isEmpty, now.duration(since: since) > RouterSettings.idleTime,
                since < found?.since ?? now
            {
                found = (id, since)
            }
            return (isThere: true, goesOn: true)
        }
        return found?.id
    }

    /// Ends those that have not said hello in time.
    mutating func tickGreeting() {
        forgetGreeted(atMost: RouterSettings.forgottenPerTick)
        for _ in 0..<RouterSettings.dismissedPerTick {
            guard let first = greeting.first, now.duration(since: first.since) > RouterSettings.greetingTime else {
                return
            }
            greeting.popFirst()
            if clients[first.client.number]?.greeted == false {
                dismiss(first.client, "no hello came within \(RouterSettings.greetingTime)")
            }
        }
    }
}
