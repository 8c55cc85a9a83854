public import TupleCore

/// What is remembered of the clients' sessions, so that a retried request gets its first outcome and no second effect.
///
/// It is part of the replicated state: it changes by log entries alone, at the times that they carry, so every copy
/// remembers and forgets the same.
public struct Sessions: Equatable, Sendable {
    /// One client's session.
    public struct Session: Hashable, Sendable {
        /// The logged time of its last update, in milliseconds since 1970.
        public var lastUsed: Int64
        /// The client has the outcomes below this; they are forgotten.
        public var lowWater: RequestSequence
        /// What is kept.
        public internal(set) var outcomes: Outcomes
        public init(lastUsed: Int64, lowWater: RequestSequence, outcomes: Outcomes = Outcomes()) {
            self.lastUsed = lastUsed
            self.lowWater = lowWater
            self.outcomes = outcomes
        }

        /// Takes in an outcome that a snapshot carries.
        public mutating func restore(_ outcome: [UInt8], of sequence: RequestSequence) {
            outcomes.set(outcome, for: sequence)
        }

        fileprivate mutating func record(
            _ sequence: RequestSequence, _ outcome: [UInt8], lowWater: RequestSequence, at time: Int64
        ) {
            lastUsed = time
            outcomes.set(outcome, for: sequence)
            if lowWater > self.lowWater {
                self.lowWater = lowWater
                outcomes.forget(below: lowWater)
            }
            while outcomes.count > Limits.maximumOutcomesPerSession, let oldest = outcomes.forgetFirst() {
                self.lowWater = max(self.lowWater, RequestSequence(oldest.number + 1))
            }
        }
    }

    /// A session that was idle for this long is forgotten.
    public static let idleMilliseconds: Int64 = 10 * 60 * 1_000
    /// How often, by logged time, idle sessions are looked for.
    static let sweepMilliseconds: Int64 = 10 * 1_000

    /// By the sessions' numbers. Clients draw them, so they are scattered.
    private var table = IdentifierMap<Session>.scattering
    public private(set) var lastSweep: Int64 = 0

    public init() {}

    /// Restores what a snapshot carries.
    ///
    /// - Precondition: ``SessionID/none`` is not among them.
    public init(sessions: [SessionID: Session], lastSweep: Int64) {
        for (id, session) in sessions { table[id.number] = session }
        self.lastSweep = lastSweep
    }

    /// How many sessions are remembered.
    public var count: Int { table.count }

    /// The sessions that are remembered, ascending. - Complexity: O(*n* log *n*).
    public var ids: [SessionID] { table.all.map { SessionID($0.key) } }

    public subscript(id: SessionID) -> Session? { table[id.number] }

    /// What is known of a request.
    public enum Standing: Hashable, Sendable {
        /// It was not carried out.
        case fresh
        /// It was, with this encoded answer.
        case done([UInt8])
        /// Its session says that the client has the answer already; so it cannot be known any more.
        case forgotten
    }

    public func standing(of sequence: RequestSequence, in id: SessionID) -> Standing {
        guard id != .none, let place = table.place(of: id.number) else { return .fresh }
        if let outcome = table[at: place].outcomes[sequence] { return .done(outcome) }
        return sequence < table[at: place].lowWater ? .forgotten : .fresh
    }

    /// Whether a request was not carried out, as far as is known.
    public func isFresh(_ sequence: RequestSequence, in id: SessionID) -> Bool {
        guard id != .none, let place = table.place(of: id.number) else { return true }
        return sequence >= table[at: place].lowWater && !table[at: place].outcomes.contain(sequence)
    }

    /// What was carried out after this logged time is remembered; what was carried out before may be forgotten.
    ///
    /// Sessions are forgotten at a sweep, when they were idle for ``idleMilliseconds``, or because there are too many, the
    /// least recently used ones first. As long as there are as many as the latter leaves, it may have been the case, and
    /// whatever it forgot was used no later than each that is left; when there are less, one of those has been swept.
    ///
    /// - Complexity: O(1), unless there are nearly ``Limits/maximumSessions``; then O(*n*).
    public var horizon: Int64 {
        let swept = lastSweep - Sessions.idleMilliseconds
        guard count >= Limits.maximumSessions - Limits.maximumSessions / 16 else { return swept }
        var oldest = Int64.max
        table.forEach { oldest = min(oldest, $1.lastUsed) }
        return max(swept, oldest)
    }

    /// Remembers an update's outcome.
    public mutating func record(_ update: LogEntry.Update, at time: Int64) {
        record(update.outcome, of: update.sequence, in: update.session, lowWater: update.lowWater, at: time)
    }

    mutating func record(
        _ outcome: [UInt8], of sequence: RequestSequence, in id: SessionID, lowWater: RequestSequence, at time: Int64
    ) {
        if time - lastSweep >= Sessions.sweepMilliseconds { sweep(at: time) }
        guard id != .none else { return }
        if let place = table.place(of: id.number) {
            table[at: place].record(sequence, outcome, lowWater: lowWater, at: time)
            return
        }
        var session = Session(lastUsed: time, lowWater: RequestSequence(0))
        session.record(sequence, outcome, lowWater: lowWater, at: time)
        table[id.number] = session
        if count > Limits.maximumSessions { forgetLeastRecentlyUsed() }
    }

    private mutating func sweep(at time: Int64) {
        lastSweep = time
        var idle: [UInt64] = []
        table.forEach { if time - $1.lastUsed >= Sessions.idleMilliseconds { idle.append($0) } }
        for number in idle { table[number] = nil }
    }

    /// Forgets a sixteenth of all sessions at once, so that the search for them is paid for by many.
    private mutating func forgetLeastRecentlyUsed() {
        let byAge = table.all.map { ($0.value.lastUsed, $0.key) }.sorted { $0 < $1 }
        for (_, number) in byAge.prefix(Limits.maximumSessions / 16) { table[number] = nil }
    }
}
