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

    /// An update of one pair that came with a request, as most are; nothing of it is taken out of the bytes that it is in.
    public struct PairUpdate {
        public var session: SessionID
        public var sequence: RequestSequence
        public var lowWater: RequestSequence
        /// Whether the key must be there, or must not.
        public var replaces: Bool
        /// Packed tuples.
        public var key: UnsafeRawBufferPointer
        public var value: UnsafeRawBufferPointer

        public init(
            session: SessionID, sequence: RequestSequence, lowWater: RequestSequence, replaces: Bool,
            key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
        ) {
            self.session = session
            self.sequence = sequence
            self.lowWater = lowWater
            self.replaces = replaces
            self.key = key
            self.value = value
        }
    }

    /// Applies the next entry, which is an update of one pair with a plain outcome.
    ///
    /// - Returns: false where the effect does not fit the space, or the entry is not the next; nothing has changed then.
    public mutating func apply(_ update: PairUpdate, at position: LogPosition, time: Int64) -> Bool {
        guard position.index == self.position.index.next, position.epoch >= self.position.epoch else { return false }
        let fits =
            update.replaces
            ? space.replace(key: update.key, value: update.value) : space.add(key: update.key, value: update.value)
        guard fits else { return false }
        sessions.record([], of: update.sequence, in: update.session, lowWater: update.lowWater, at: time)
        self.position = position
        self.time = max(self.time, time)
        return true
    }
}
