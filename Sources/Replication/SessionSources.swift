import TupleCore
import TupleStore

/// Where the sessions of an active server were opened from: so that whoever opens most loses most, and nobody opens too
/// many at once. It is no part of the replicated state: after a takeover the sources of older sessions are not known.
///
/// Sources are kept in groups of as many sessions each, so that the one with the most is found at once. Every operation
/// costs the same, however many sessions and sources there are.
struct SessionSources: Sendable {
    private struct Member: Sendable {
        var source: UInt64
        /// Its neighbours among those of the same source, by when they were queued; 0 where there is none.
        var older: UInt64
        var newer: UInt64
        /// When it was last used as it was queued. Where it was used since, it is queued again before it is forgotten.
        var queuedAt: Int64
    }

    private struct Source: Sendable {
        var count = 0
        var oldest: UInt64 = 0
        var newest: UInt64 = 0
        /// Its neighbours among the sources with as many sessions.
        var before: UInt64 = 0
        var after: UInt64 = 0
        /// Each new session takes a share of a second; more of it may be taken in advance.
        var takenUntil = Instant(nanoseconds: .min / 2)
    }

    private var members = ShardedMap<Member>()
    private var sources = ShardedMap<Source>()
    /// The first source of those with so many sessions.
    private var groups: [Int: UInt64] = [:]
    /// How many sessions the source with the most has.
    private(set) var most = 0

    init() {}

    /// How many sessions have a source that is known.
    var count: Int { members.count }
    /// How many sources have sessions.
    var sourceCount: Int { sources.count }

    func source(of id: SessionID) -> UInt32? {
        members.place(of: id.number).map { UInt32(members[at: $0].source) }
    }

    // MARK: New sessions

    /// Whether a source may open another session now.
    func mayOpen(_ source: UInt32, _ limits: SessionLimits, at now: Instant) -> Bool {
        guard let place = sources.place(of: UInt64(source)) else { return true }
        let share = 1_000_000_000 / max(1, limits.newPerSecond)
        return sources[at: place].takenUntil.nanoseconds - now.nanoseconds < (limits.newAtOnce - 1) * share + 1
    }

    /// A session was opened from a source; where that is 0, nobody knows it.
    mutating func opened(_ id: SessionID, from source: UInt32, used: Int64, _ limits: SessionLimits, at now: Instant) {
        guard source != 0, id != .none, members.place(of: id.number) == nil else { return }
        let number = UInt64(source)
        var found = sources[number] ?? Source()
        let share = 1_000_000_000 / max(1, limits.newPerSecond)
        found.takenUntil = Instant(nanoseconds: max(found.takenUntil.nanoseconds, now.nanoseconds) + share)
        sources[number] = found
        enqueue(id.number, number, used)
        regroup(number, by: 1)
    }

    mutating func forgotten(_ id: SessionID) {
        guard let place = members.place(of: id.number) else { return }
        let source = members[at: place].source
        dequeue(id.number)
        regroup(source, by: -1)
    }

    // MARK: Who is forgotten

    /// Sessions to be forgotten because there are too many: of the source with the most of them the least recently used
    /// one, and so on. Those without a known source count as of one.
    ///
    /// - Parameter steps: counts the sessions that were looked at.
    mutating func takeVictims(_ wanted: Int, of sessions: Sessions, steps: inout Int) -> [SessionID] {
        var victims: [SessionID] = []
        var unknown = sessions.count - count
        // Those that are chosen are still among the sessions.
        var chosen: Set<SessionID> = []
        var cursor: SessionID?
        let limit = steps + Bounds.sessionsLookedAt
        while victims.count < wanted, unknown + count > 0 {
            if most < unknown,
                let found = nextUnknown(of: sessions, after: &cursor, but: chosen, &steps, until: limit)
            {
                unknown -= 1
                victims.append(found)
            } else if let found = leastUsed(of: sessions, &steps, until: limit) {
                forgotten(found)
                chosen.insert(found)
                victims.append(found)
            } else {
                break
            }
        }
        return victims
    }

    /// - Parameter cursor: the session that was looked at last.
    private func nextUnknown(
        of sessions: Sessions, after cursor: inout SessionID?, but chosen: Set<SessionID>, _ steps: inout Int,
        until limit: Int
    ) -> SessionID? {
        while steps < limit, let next = sessions.session(after: cursor) {
            steps += 1
            cursor = next
            if members.place(of: next.number) == nil, !chosen.contains(next) { return next }
        }
        return nil
    }

    private mutating func leastUsed(of sessions: Sessions, _ steps: inout Int, until limit: Int) -> SessionID? {
        while let source = groups[most], let place = sources.place(of: source) {
            let oldest = sources[at: place].oldest
            guard let member = members.place(of: oldest) else { return nil }
            steps += 1
            let used = sessions[SessionID(oldest)]?.lastUsed ?? .min
            guard used > members[at: member].queuedAt, steps < limit else { return SessionID(oldest) }
            dequeue(oldest)
            enqueue(oldest, source, used)
        }
        return nil
    }

    // MARK: Queues and groups

    private mutating func enqueue(_ number: UInt64, _ source: UInt64, _ used: Int64) {
        guard let place = sources.place(of: source) else { preconditionFailure("the source is not there") }
        let newest = sources[at: place].newest
        members[number] = Member(source: source, older: newest, newer: 0, queuedAt: used)
        sources[at: place].newest = number
        if newest == 0 {
            sources[at: place].oldest = number
        } else if let neighbour = members.place(of: newest) {
            members[at: neighbour].newer = number
        }
    }

    private mutating func dequeue(_ number: UInt64) {
        guard let member = members[number], let place = sources.place(of: member.source) else { return }
        members[number] = nil
        if let older = members.place(of: member.older) { members[at: older].newer = member.newer }
        if let newer = members.place(of: member.newer) { members[at: newer].older = member.older }
        if sources[at: place].oldest == number { sources[at: place].oldest = member.newer }
        if sources[at: place].newest == number { sources[at: place].newest = member.older }
    }

    private mutating func regroup(_ source: UInt64, by change: Int) {
        guard var found = sources[source] else { return }
        if found.count > 0 { leaveGroup(source, found) }
        found.count += change
        guard found.count > 0 else {
            sources[source] = nil
            lowerMost()
            return
        }
        let first = groups[found.count] ?? 0
        found.before = 0
        found.after = first
        sources[source] = found
        if let place = sources.place(of: first) { sources[at: place].before = source }
        groups[found.count] = source
        most = max(most, found.count)
        lowerMost()
    }

    private mutating func leaveGroup(_ number: UInt64, _ source: Source) {
        if let before = sources.place(of: source.before) {
            sources[at: before].after = source.after
        } else {
            groups[source.count] = source.after == 0 ? nil : source.after
        }
        if let after = sources.place(of: source.after) { sources[at: after].before = source.before }
    }

    /// Counts change by one at a time, so that the next group is near.
    private mutating func lowerMost() { while most > 0, groups[most] == nil { most -= 1 } }
}
