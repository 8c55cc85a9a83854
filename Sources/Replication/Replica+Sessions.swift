import TupleCore
import TupleStore
import WireProtocol

/// What the active server decides about clients' sessions: which may be opened, which are forgotten, and what is said of
/// an operation whose session may have been.
extension Replica {
    // MARK: Logged time

    /// The time that an entry made now has.
    var loggedNow: Int64 {
        #if PLANTED_BUGS
            if PlantedBug.timeFromTheWallClock.isOn { return max(state.time, moment.wallMilliseconds) }
        #endif
        // The wall clock is asked once, when a cluster is founded.
        guard state.position != .zero else { return max(state.time, moment.wallMilliseconds) }
        return clock.time(after: state.time, at: moment.instant)
    }

    /// This server has made an entry.
    ///
    /// - Parameter before: the entry before it, and its time.
    mutating func noteTime(since before: (position: LogPosition, time: Int64)) {
        precondition(state.time >= before.time, "logged time ran backwards")
        if before.position == .zero {
            clock.restart(at: moment.instant)
        } else if state.time > before.time {
            clock.advance(from: before.time, to: state.time)
        }
    }

    // MARK: New sessions

    /// Why no new session may be opened by this request; nil where one may.
    func openingRefusal(_ request: Header) -> Answer? {
        state.sessions.isOpen(request.session) || mayOpenSession(request) ? nil : tooManySessions
    }

    func mayOpenSession(_ request: Header) -> Bool {
        active?.sources.mayOpen(request.source, settings.sessions, at: moment.instant) ?? true
    }

    private var tooManySessions: Answer {
        Answer(
            status: .refused,
            message:
                "more than \(settings.sessions.newPerSecond) new sessions a second come from this address; nothing was changed: use one session for many requests"
        )
    }

    /// An update has opened a session.
    mutating func sessionOpened(_ request: Header) {
        active?.sources.opened(
            request.session, from: request.source, used: state.time, settings.sessions, at: moment.instant)
    }

    // MARK: Forgetting

    /// Forgets sessions that were idle for long enough, as many as one entry takes.
    mutating func forgetIdleSessions() {
        guard mayForget else { return }
        let last = loggedNow &- settings.sessions.idleMilliseconds
        var idle: [SessionID] = []
        var next = state.sessions.session(after: nil)
        while idle.count < settings.sessions.forgottenAtOnce, let id = next,
            let session = state.sessions[id], session.lastUsed <= last
        {
            idle.append(id)
            next = state.sessions.session(after: id)
        }
        forget(idle)
    }

    /// Forgets sessions where there are too many. Some more go than must, so that this need not be done for each new one.
    mutating func forgetExcessSessions() {
        let most = settings.sessions.sessions
        guard state.sessions.count > most, mayForget else { return }
        let few = most - min(settings.sessions.forgottenAtOnce, most / 64)
        for _ in 0..<Bounds.forgettingEntriesPerFlush where state.sessions.count > few {
            let wanted = min(settings.sessions.forgottenAtOnce, state.sessions.count - few)
            var steps = 0
            let victims = active?.sources.takeVictims(wanted, of: state.sessions, steps: &steps) ?? []
            guard !victims.isEmpty else { return }
            forget(victims)
        }
    }

    private var mayForget: Bool { active != nil && active?.stopping == nil && disk == .well }

    private mutating func forget(_ sessions: [SessionID]) {
        guard !sessions.isEmpty else { return }
        let horizon = sessions.compactMap { state.sessions[$0]?.lastUsed }.max()
        for id in sessions { active?.sources.forgotten(id) }
        appendEntry(
            .sessionsForgotten(
                .init(sessions: sessions.sorted(), horizon: horizon.map { .upTo($0) } ?? .nothingForgotten)))
    }

    #if PLANTED_BUGS
        /// As if a passive server kept its own count.
        mutating func forgetOnPassive() {
            guard PlantedBug.forgetOnPassive.isOn, state.sessions.count > settings.sessions.sessions - 2,
                let id = state.sessions.session(after: nil), let used = state.sessions[id]?.lastUsed
            else { return }
            var sessions = state.sessions
            sessions.forget(.init(sessions: [id], horizon: .upTo(used)))
            state = ReplicatedState(
                space: state.space, sessions: sessions, position: state.position, time: state.time)
        }
    #endif

    // MARK: Outcomes

    /// Why an update's outcome cannot be kept, and so the update cannot be carried out; nil where it can.
    ///
    /// - Complexity: O(1); O(outcomes of the session) where they nearly fill its share.
    mutating func outcomeRefusal(_ request: Header, _ outcome: [UInt8]) -> Answer? {
        guard !outcome.isEmpty, request.session != .none else { return nil }
        let cost = Outcomes.cost(of: outcome)
        let limit = settings.sessions.outcomeBytesPerSession
        if (state.sessions[request.session]?.outcomes.byteCount ?? 0) + cost > limit,
            state.sessions.outcomeBytes(of: request.session, from: request.lowWater) + cost > limit
        {
            return Answer(
                status: .tooLarge,
                message:
                    "the answers that are kept for this session would take more than \(limit) bytes; nothing was changed: raise the low-water mark beyond the answers that were read, or use another session"
            )
        }
        let all = settings.sessions.outcomeBytes
        guard state.sessions.outcomeBytes + cost > all else { return nil }
        forgetIdleHolders(but: request.session, down: all - cost)
        guard state.sessions.outcomeBytes + cost > all else { return nil }
        return Answer(
            status: .unavailable,
            message:
                "the answers that are kept for clients take \(state.sessions.outcomeBytes) of \(all) bytes; nothing was changed: try again later"
        )
    }

    /// Forgets sessions whose outcomes take bytes and that were idle for a while, the least recently used first, until all
    /// outcomes take no more than `bytes`.
    private mutating func forgetIdleHolders(but own: SessionID, down bytes: Int) {
        guard mayForget else { return }
        let last = loggedNow &- settings.sessions.restMilliseconds
        var idle: [SessionID] = []
        var freed = 0
        var next = state.sessions.holder(after: nil)
        while idle.count < settings.sessions.forgottenAtOnce, state.sessions.outcomeBytes - freed > bytes,
            let id = next, let session = state.sessions[id], session.lastUsed <= last
        {
            next = state.sessions.holder(after: id)
            guard id != own else { continue }
            idle.append(id)
            freed += session.outcomes.byteCount
        }
        forget(idle)
    }

    // MARK: What became of an operation

    /// Answers what became of an operation: its own answer, that it was not carried out, or that nobody knows any more.
    mutating func tellOutcome(_ frame: Frame, _ payload: Term) {
        guard let question = OutcomeQuestion(payload) else {
            answer(frame, Answer(status: .malformed, message: "the payload is no list of an operation and its age"))
            return
        }
        let operation = question.operation
        switch state.sessions.standing(of: operation.sequence, in: operation.session) {
        case .done(let outcome):
            deliver(outcome, of: operation.sequence, in: operation.session, to: frame)
        case .fresh where isRemembered(question):
            answer(
                frame,
                Answer(
                    status: .unavailable,
                    message:
                        "operation \(operation.text) was not carried out; sent again under its id, it takes effect once",
                    warning: OutcomeQuestion.notDone))
        case .fresh, .forgotten:
            let advice = question.ageMilliseconds == nil ? "; say how long ago it was sent at the most" : ""
            answer(
                frame,
                Answer(
                    status: .unknown,
                    message:
                        "what became of operation \(operation.text) is not known any more, if it was carried out\(advice)"
                ))
        }
    }

    /// Whether the operation would be remembered if it had been carried out. Logged time runs on this service's clocks, the
    /// age comes from another: a fiftieth of it, and a second, are taken off.
    private func isRemembered(_ question: OutcomeQuestion) -> Bool {
        guard let age = question.ageMilliseconds else { return state.sessions.horizon == .nothingForgotten }
        #if PLANTED_BUGS
            if PlantedBug.horizonFromTheClock.isOn { return age < UInt64(settings.sessions.idleMilliseconds) }
        #endif
        guard let age = Int64(exactly: age), age < .max / 2 else { return state.sessions.horizon == .nothingForgotten }
        let (sent, isTooEarly) = loggedNow.subtractingReportingOverflow(age + age / 50 + 1_000)
        return state.sessions.horizon.isBefore(isTooEarly ? .min : sent)
    }
}
