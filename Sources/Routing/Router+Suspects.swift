import TupleCore
import WireProtocol

/// Which epochs of routing ended by a loss, as far as anybody may still ask.
struct LossHistory: Sendable {
    /// Bit n stands for the generation that is n before the present one.
    private var bits: UInt64 = 0

    /// The present generation ends.
    mutating func ended(isLoss: Bool) { if isLoss { bits |= 1 } }
    mutating func begin() { bits <<= 1 }

    /// Whether a generation ended by a loss. One that is long over did not.
    func contains(_ generation: UInt64, present: UInt64) -> Bool {
        let age = present - generation
        return age < 64 && bits >> age & 1 == 1
    }
}

/// Requests that were in flight at two lost servers in a row, and how far they are being tried.
///
/// One of them may be what ends servers. Others are passed on first; then these, one at a time, while others wait for a short
/// time. Only one that was alone when a server was lost is given up.
struct Suspects: Sendable {
    struct Entry: Hashable, Sendable {
        var client: ConnectionIndicator
        var session: SessionID
        var sequence: RequestSequence
    }

    enum Phase: Sendable {
        case idle
        /// What is in flight is waited for, and nothing is passed on.
        case clearing(since: Instant)
        /// The active server has it. Others wait while it is alone.
        case trying(Entry, since: Instant, isAlone: Bool)
    }

    private(set) var held = FIFO<Entry>()
    private(set) var phase = Phase.idle
    /// Servers that were lost while a suspect was tried.
    private(set) var trials = 0
    /// When a request was last left with the active server by somebody who does not wait for it any more.
    private(set) var lastGhost: Instant?
    /// Nothing else is passed on.
    private(set) var isHolding = false

    var isTrying: Bool {
        if case .trying = phase { return true }
        return false
    }

    var isBusy: Bool {
        if case .idle = phase { return !held.isEmpty }
        return true
    }

    /// How long others wait, for what is in flight and for the one that is tried.
    var patience: Duration { RouterSettings.suspectTime * (1 << min(trials, RouterSettings.suspectDoublings)) }

    mutating func hold(_ entry: Entry) { held.append(entry) }
    mutating func popHeld() -> Entry? { held.popFirst() }
    mutating func leftGhost(at now: Instant) { lastGhost = now }

    mutating func enter(_ phase: Phase) {
        self.phase = phase
        switch phase {
        case .idle:
            isHolding = false
            if held.isEmpty { trials = 0 }
        case .clearing: isHolding = true
        case .trying(_, _, let isAlone): isHolding = isAlone
        }
    }

    /// A request has been answered, was given up, or its client is gone.
    mutating func ended(_ id: ConnectionIndicator, _ request: RequestsInFlight.Request) {
        guard case .trying(let entry, _, _) = phase, entry.client == id, entry.session == request.session,
            entry.sequence == request.sequence
        else { return }
        enter(.idle)
    }

    /// The client that the tried one came from is gone.
    mutating func left(_ id: ConnectionIndicator) {
        if case .trying(let entry, _, _) = phase, entry.client == id { enter(.idle) }
    }

    /// The active server is lost, or is another one.
    ///
    /// - Returns: the one that was alone there, where it is lost.
    mutating func routeEnded(isLoss: Bool) -> Entry? {
        defer { enter(.idle) }
        guard isLoss, case .trying(let entry, _, let isAlone) = phase else { return nil }
        trials += 1
        #if PLANTED_BUGS
            if PlantedBug.blameBystanders.isOn { return entry }
        #endif
        return isAlone ? entry : nil
    }
}

extension Router {
    /// Goes on with the suspects, where everything else has been passed on.
    mutating func trySuspects() {
        guard shutdown == nil else {
            // Nobody waits for a suspect any more.
            if suspects.isHolding { suspects.enter(.idle) }
            return
        }
        guard route != nil else { return }
        if case .idle = suspects.phase, replayCursor == 0, waiting.isEmpty, !suspects.held.isEmpty {
            suspects.enter(.clearing(since: now))
        }
        switch suspects.phase {
        case .idle: return
        case .clearing(let since):
            if inFlight == 0 || now.duration(since: since) >= suspects.patience { passSuspect() }
        case .trying(let entry, let since, let isAlone):
            // It takes its time, and others have waited long enough.
            guard isAlone, now.duration(since: since) >= suspects.patience else { return }
            suspects.enter(.trying(entry, since: since, isAlone: false))
            if let place = clients.place(of: entry.client.number) { enqueue(entry.client, place) }
        }
    }

    private mutating func passSuspect() {
        for _ in 0..<suspects.held.count {
            guard let entry = suspects.popHeld(), let place = clients.place(of: entry.client.number) else { continue }
            renew(entry.client, place)
            guard let request = clients[at: place].requests.nextHeld() else {
                // What the client has asked before it is still to be passed on.
                if isHeld(entry, place) { suspects.hold(entry) }
                continue
            }
            let isHaunted = suspects.lastGhost.map { now.duration(since: $0) < RouterSettings.ghostTime } ?? false
            let isAlone = inFlight == 0 && !isHaunted
            // A client's requests keep their order: it may be another one than was noted.
            let tried = clients[at: place].requests[request]
            let payload = clients[at: place].requests.payload(at: request)
            pass(request, payload, reserving: reservation(payload), of: entry.client, place)
            suspects.enter(
                .trying(
                    Suspects.Entry(client: entry.client, session: tried.session, sequence: tried.sequence), since: now,
                    isAlone: isAlone))
            if !isAlone { enqueue(entry.client, place) }
            return
        }
        suspects.enter(.idle)
    }

    private func isHeld(_ entry: Suspects.Entry, _ place: Int) -> Bool {
        clients[at: place].requests.place(of: entry.session, entry.sequence)
            .map { clients[at: place].requests[$0].state == .held } ?? false
    }

    /// The active server is lost or moved away from: what was alone there when it was lost is not sent again.
    mutating func settleSuspect(isLoss: Bool) {
        guard let entry = suspects.routeEnded(isLoss: isLoss), let place = clients.place(of: entry.client.number),
            let request = clients[at: place].requests.place(of: entry.session, entry.sequence)
        else { return }
        let payload = clients[at: place].requests.payload(at: request)
        log(
            .alert, "request-given-up",
            [
                .init("client", entry.client.number), .init("session", entry.session.number),
                .init("sequence", entry.sequence.number), .init("operator", Router.operatorName(payload)),
                .init("lost", Int(clients[at: place].requests[request].losses) + 1),
            ])
        let why =
            "\(Router.givenUpAsSuspect): each active server that was sent it was lost, the last one while it had nothing else to do"
        give(up: request, of: entry.client, place, why, unchanged: "nothing was changed")
    }

    /// What the words to the client begin with.
    public static let givenUpAsSuspect = "the request is not sent again"
}
