public import TupleCore

/// All that the log makes: the space, the sessions, and the position up to which both are. Every copy that has applied
/// the same entries holds the same. A copy of it is a snapshot, as of ``Space``.
public struct ReplicatedState: Sendable {
    public internal(set) var space: Space
    public internal(set) var sessions = Sessions()
    public internal(set) var position = LogPosition.zero
    /// The logged time of the last entry, in milliseconds; see ``LogEntry/time``.
    public internal(set) var time: Int64 = 0

    public init(rule: ElementRule) { space = Space(rule: rule) }

    /// Puts together what a snapshot carried.
    public init(space: Space, sessions: Sessions, position: LogPosition, time: Int64) {
        self.space = space
        self.sessions = sessions
        self.position = position
        self.time = time
    }

    /// Why an entry cannot be applied: this copy is not what the entry was made for, and must not be used any more.
    public enum ApplyError: Error, Hashable, Sendable {
        /// The entry is not the one after ``position``.
        case position(expected: LogIndex, found: LogPosition)
        /// An effect does not fit the space.
        case effect(at: LogIndex)
    }

    /// Applies the next entry.
    public mutating func apply(_ entry: LogEntry) throws(ApplyError) {
        guard isFollowed(by: entry.position) else {
            throw .position(expected: position.index.next, found: entry.position)
        }
        switch entry.body {
        case .epochBegun: break
        case .update(let update):
            for effect in update.effects {
                guard space.apply(effect) else { throw .effect(at: entry.position.index) }
            }
            sessions.record(update, at: entry.time)
        case .pairs(let updates):
            for update in updates {
                guard space.apply(update.replaces ? .replaced(update.pair) : .added(update.pair)) else {
                    throw .effect(at: entry.position.index)
                }
                sessions.record([], of: update.sequence, in: update.session, lowWater: update.lowWater, at: entry.time)
            }
        case .sessionsForgotten(let forgotten): sessions.forget(forgotten)
        }
        position = entry.position
        time = max(time, entry.time)
    }

    /// Whether an entry of this position may be applied next.
    public func isFollowed(by position: LogPosition) -> Bool {
        position.index == self.position.index.next && position.epoch >= self.position.epoch
    }

    /// Has what requests about these keys are going to need of the space brought into the cache, and finds the ways there.
    ///
    /// - Precondition: they are ``PackedMap/Ways/capacity`` at most.
    public func prefetch(_ requests: UnsafeBufferPointer<PackedPairUpdate>, finding ways: inout PackedMap.Ways) {
        space.map.prefetch(requests.count, finding: &ways) { requests[$0].key }
    }

    /// Applies one update of an entry of pairs. When all are applied, ``finish(_:time:)`` has to follow.
    ///
    /// - Parameter way: to its key, as ``prefetch(_:finding:)`` has found it.
    /// - Returns: false where the effect does not fit the space; nothing has changed then.
    public mutating func apply(_ update: PackedPairUpdate, along way: PackedMap.Way, time: Int64) -> Bool {
        let fits =
            update.replaces
            ? space.replace(key: update.key, value: update.value, along: way)
            : space.add(key: update.key, value: update.value, along: way)
        guard fits else { return false }
        sessions.record([], of: update.sequence, in: update.session, lowWater: update.lowWater, at: time)
        return true
    }

    /// The end of an entry whose updates were applied one by one.
    ///
    /// - Precondition: the position is the next one.
    public mutating func finish(_ position: LogPosition, time: Int64) {
        precondition(isFollowed(by: position), "an entry is applied in its turn")
        self.position = position
        self.time = max(self.time, time)
    }
}
