/// What an update does to the space: never a pattern or a command, so that copies cannot drift apart.
public enum Effect: Hashable, Sendable {
    case added(Pair)
    /// The pair as it is from now on; the key was there.
    case replaced(Pair)
    case removed(Tuple)

    /// The key whose pair it changes.
    public var key: Tuple {
        switch self {
        case .added(let pair), .replaced(let pair): pair.key
        case .removed(let key): key
        }
    }
}

/// One entry of the replicated log.
public struct LogEntry: Hashable, Sendable {
    public var position: LogPosition
    /// The active server's wall clock when it made the entry, in milliseconds since 1970 and never running backwards
    /// along the log. Sessions expire by this time alone, so that all copies forget the same ones.
    public var time: Int64
    public var body: Body

    public enum Body: Hashable, Sendable {
        /// The first entry of an epoch: nothing but the fact that it has begun.
        case epochBegun
        case update(Update)
    }

    /// A request that was carried out.
    public struct Update: Hashable, Sendable {
        public var session: SessionID
        public var sequence: RequestSequence
        /// The client has the answers to all requests of this session below this one.
        public var lowWater: RequestSequence
        public var effects: [Effect]
        /// The encoded answer, for retries; empty where it was a plain `ok` that gave nothing back.
        public var outcome: [UInt8]
        public init(
            session: SessionID, sequence: RequestSequence, lowWater: RequestSequence, effects: [Effect],
            outcome: [UInt8]
        ) {
            self.session = session
            self.sequence = sequence
            self.lowWater = lowWater
            self.effects = effects
            self.outcome = outcome
        }
    }

    public init(position: LogPosition, time: Int64, body: Body) {
        self.position = position
        self.time = time
        self.body = body
    }
}
