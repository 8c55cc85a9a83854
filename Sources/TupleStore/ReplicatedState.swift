public import TupleCore

/// All that the log makes: the space, the sessions, and the position up to which both are. Every copy that has applied
/// the same entries holds the same. A copy of it is a snapshot, as of ``Space``.
public struct ReplicatedState: Sendable {
    public internal(set) var space: Space
    public internal(set) var sessions = Sessions()
    public internal(set) var position = LogPosition.zero
    /// The time of the last entry, in milliseconds since 1970.
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
        guard entry.position.index == position.index.next, entry.position.epoch >= position.epoch else {
            throw .position(expected: position.index.next, found: entry.position)
        }
        switch entry.body {
        case .epochBegun: break
        case .update(let update):
            for effect in update.effects {
                guard space.apply(effect) else { throw .effect(at: entry.position.index) }
            }
            sessions.record(update, at: entry.time)
        }
        position = entry.position
        time = max(time, entry.time)
    }
}
