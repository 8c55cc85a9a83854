public import TupleCore

/// What is remembered of the clients' sessions, so that a retried request gets its first outcome and no second effect.
///
/// It is part of the replicated state: it changes by log entries alone, so every copy remembers and forgets the same. It
/// forgets nothing by itself; the active server decides, and says so in the log (``forget(_:)``).
///
/// Nothing here costs time in proportion to the number of sessions. They can be walked through one by one, the least
/// recently used first.
public struct Sessions: Sendable {
    /// One client's session.
    public struct Session: Hashable, Sendable {
        /// The logged time of its last update, in milliseconds.
        public private(set) var lastUsed: Int64
        /// The client has the outcomes below this; they are forgotten.
        public private(set) var lowWater: RequestSequence
        /// What is kept.
        public private(set) var outcomes = Outcomes()
        /// When its place in the order was last changed.
        fileprivate var orderedAt: Int64

        fileprivate init(lastUsed: Int64, lowWater: RequestSequence) {
            self.lastUsed = lastUsed
            self.lowWater = lowWater
            orderedAt = lastUsed
        }

        fileprivate mutating func restore(_ outcome: [UInt8], of sequence: RequestSequence) {
            outcomes.set(outcome, for: sequence)
        }

        fileprivate mutating func record(
            _ sequence: RequestSequence, _ outcome: [UInt8], lowWater: RequestSequence, at time: Int64
        ) -> Change {
            var change = Change(bytesBefore: outcomes.byteCount)
            lastUsed = max(lastUsed, time)
            outcomes.set(outcome, for: sequence)
            if lowWater > self.lowWater {
                self.lowWater = lowWater
                outcomes.forget(below: lowWater)
            }
            while outcomes.count > Limits.maximumOutcomesPerSession, let oldest = outcomes.forgetFirst() {
                self.lowWater = max(self.lowWater, RequestSequence(oldest.number + 1))
            }
            if time - orderedAt >= Sessions.orderMilliseconds {
                orderedAt = time
                change.isDue = true
            }
            change.bytesAfter = outcomes.byteCount
            return change
        }

        public static func == (a: Session, b: Session) -> Bool {
            a.lastUsed == b.lastUsed && a.lowWater == b.lowWater && a.outcomes == b.outcomes
        }

        public func hash(into hasher: inout Hasher) {
            hasher.combine(lastUsed)
            hasher.combine(lowWater)
        }
    }

    /// What recording an outcome has done to a session.
    fileprivate struct Change {
        var bytesBefore: Int
        var bytesAfter = 0
        /// It goes to the end of the order.
        var isDue = false
    }

    /// A session's place in the order changes at most so often, by logged time in milliseconds: most updates leave it.
    static let orderMilliseconds: Int64 = 1_000

    /// By the sessions' numbers. Clients draw them, so they are scattered.
    private var table = ShardedMap<Session>()
    /// By last use, to within ``orderMilliseconds``.
    private var order = RecencyOrder()
    /// Those among them of which outcomes are kept that take bytes.
    private var holders = RecencyOrder()
    /// How far back what was forgotten reaches.
    public private(set) var horizon = ForgettingHorizon.unknown
    /// What all kept outcomes take.
    public private(set) var outcomeBytes = 0

    public init() {}

    /// What a snapshot begins with; sessions are added by ``restore(_:lastUsed:lowWater:)``.
    public init(horizon: ForgettingHorizon) { self.horizon = horizon }

    /// How many sessions are remembered.
    public var count: Int { table.count }

    public subscript(id: SessionID) -> Session? { table[id.number] }

    // MARK: The order

    /// The session that was used next after this one; nil after the most recently used.
    ///
    /// - Parameter id: nil gives the least recently used one; one that is not remembered any more gives nil.
    /// - Complexity: O(1).
    public func session(after id: SessionID?) -> SessionID? { order.number(after: id?.number).map { SessionID($0) } }

    /// The same among the sessions whose outcomes take bytes.
    public func holder(after id: SessionID?) -> SessionID? { holders.number(after: id?.number).map { SessionID($0) } }

    // MARK: What is known

    /// What is known of a request.
    public enum Standing: Hashable, Sendable {
        /// It was not carried out.
        case fresh
        /// It was, with this encoded answer.
        case done([UInt8])
        /// Its session says that the client has the answer already; so it cannot be known any more.
        case forgotten
    }

    /// - Complexity: O(log outcomes of the session).
    public func standing(of sequence: RequestSequence, in id: SessionID) -> Standing {
        guard id != .none, let place = table.place(of: id.number) else { return .fresh }
        if let outcome = table[at: place].outcomes[sequence] { return .done(outcome) }
        return sequence < table[at: place].lowWater ? .forgotten : .fresh
    }

    /// Whether an update may be carried out.
    public enum Admission: Hashable, Sendable {
        case fresh
        /// It would open its session.
        case opensSession
        /// It was carried out, or nobody knows any more.
        case notFresh
    }

    /// - Complexity: as ``standing(of:in:)``.
    public func admission(of sequence: RequestSequence, in id: SessionID) -> Admission {
        guard id != .none else { return .fresh }
        guard let place = table.place(of: id.number) else { return .opensSession }
        return sequence >= table[at: place].lowWater && !table[at: place].outcomes.contain(sequence)
            ? .fresh : .notFresh
    }

    /// Whether the session is remembered; there is no other one without a number.
    public func isOpen(_ id: SessionID) -> Bool { id == .none || table.place(of: id.number) != nil }

    /// What the session's outcomes take once the client has let go of those below `lowWater`.
    ///
    /// - Complexity: O(outcomes of the session).
    public func outcomeBytes(of id: SessionID, from lowWater: RequestSequence) -> Int {
        guard let place = table.place(of: id.number) else { return 0 }
        return table[at: place].outcomes.byteCount(from: lowWater)
    }

    // MARK: Remembering

    /// Remembers an update's outcome.
    public mutating func record(_ update: LogEntry.Update, at time: Int64) {
        record(update.outcome, of: update.sequence, in: update.session, lowWater: update.lowWater, at: time)
    }

    mutating func record(
        _ outcome: [UInt8], of sequence: RequestSequence, in id: SessionID, lowWater: RequestSequence, at time: Int64
    ) {
        guard id != .none else { return }
        let place = table.place(of: id.number) ?? open(id, lastUsed: time, lowWater: RequestSequence(0))
        let change = table[at: place].record(sequence, outcome, lowWater: lowWater, at: time)
        if change.isDue || change.bytesBefore != change.bytesAfter { settle(change, id.number) }
    }

    private mutating func open(_ id: SessionID, lastUsed: Int64, lowWater: RequestSequence) -> ShardedMap<Session>.Place
    {
        table[id.number] = Session(lastUsed: lastUsed, lowWater: lowWater)
        order.append(id.number)
        guard let place = table.place(of: id.number) else {
            preconditionFailure("a session was opened, and is not there")
        }
        return place
    }

    private mutating func settle(_ change: Change, _ number: UInt64) {
        outcomeBytes += change.bytesAfter - change.bytesBefore
        if change.isDue { order.moveToEnd(number) }
        switch (change.bytesBefore > 0, change.bytesAfter > 0) {
        case (false, true): holders.append(number)
        case (true, false): holders.remove(number)
        case (true, true): if change.isDue { holders.moveToEnd(number) }
        case (false, false): break
        }
    }

    // MARK: Forgetting

    /// Carries out what the active server has decided. Sessions that are not remembered are passed over.
    ///
    /// - Complexity: O(sessions that are forgotten).
    public mutating func forget(_ forgotten: LogEntry.ForgottenSessions) {
        #if PLANTED_BUGS
            let known = horizon
            defer { if PlantedBug.forgetWithoutAHorizon.isOn, known != .unknown { horizon = known } }
        #endif
        horizon = horizon.raised(by: forgotten.horizon)
        for id in forgotten.sessions {
            guard let place = table.place(of: id.number) else { continue }
            outcomeBytes -= table[at: place].outcomes.byteCount
            horizon = horizon.raised(by: .upTo(table[at: place].lastUsed))
            table[id.number] = nil
            order.remove(id.number)
            holders.remove(id.number)
        }
    }

    // MARK: Snapshots

    /// Takes in a session that a snapshot carries, as the most recently used one; one that is there stays as it is.
    ///
    /// - Precondition: it is not ``SessionID/none``.
    public mutating func restore(_ id: SessionID, lastUsed: Int64, lowWater: RequestSequence) {
        precondition(id != .none, "no session has no number")
        guard table.place(of: id.number) == nil else { return }
        _ = open(id, lastUsed: lastUsed, lowWater: lowWater)
    }

    /// Takes in an outcome that a snapshot carries. Its session was restored before.
    public mutating func restore(_ outcome: [UInt8], of sequence: RequestSequence, in id: SessionID) {
        guard let place = table.place(of: id.number) else { preconditionFailure("the session was not restored") }
        let before = table[at: place].outcomes.byteCount
        table[at: place].restore(outcome, of: sequence)
        let after = table[at: place].outcomes.byteCount
        if before != after { settle(Change(bytesBefore: before, bytesAfter: after), id.number) }
    }

    /// Orders the sessions of a snapshot of release 0.1, which carries them by their numbers.
    ///
    /// - Complexity: O(*n* log *n*). A snapshot of today carries them in their order.
    public mutating func orderByLastUse() {
        var all: [(lastUsed: Int64, number: UInt64)] = []
        var number = order.oldest
        while let id = number {
            all.append((table[id]?.lastUsed ?? 0, id))
            number = order.number(after: id)
        }
        for (_, id) in all.sorted(by: { $0 < $1 }) {
            order.moveToEnd(id)
            if holders.contains(id) { holders.moveToEnd(id) }
        }
    }
}

extension Sessions: Equatable {
    /// Whether both remember the same. The order is no part of it: only the active server's counts.
    ///
    /// - Complexity: O(*n*).
    public static func == (a: Sessions, b: Sessions) -> Bool {
        guard a.count == b.count, a.horizon == b.horizon, a.outcomeBytes == b.outcomeBytes else { return false }
        var id = a.session(after: nil)
        while let present = id {
            guard a[present] == b[present] else { return false }
            id = a.session(after: present)
        }
        return true
    }
}
