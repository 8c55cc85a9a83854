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
    /// Logged time, in milliseconds: it began with the wall clock when the cluster was founded, in milliseconds since 1970,
    /// and has gone on by the active servers' monotonic clocks. It never runs backwards along the log, and never faster
    /// than real time.
    public var time: Int64
    public var body: Body

    public enum Body: Hashable, Sendable {
        /// The first entry of an epoch: nothing but the fact that it has begun.
        case epochBegun
        case update(Update)
        /// Requests that each added or replaced one pair and were answered with a plain `ok`, in their order.
        case pairs([PairUpdate])
        /// Sessions that are forgotten from here on. It may be an epoch's first entry, and then states the horizon.
        case sessionsForgotten(ForgottenSessions)
    }

    /// What the active server has decided to forget. Copies forget nothing by a rule of their own.
    public struct ForgottenSessions: Hashable, Sendable {
        /// Ascending.
        public var sessions: [SessionID]
        /// No forgotten session was used after this.
        public var horizon: ForgettingHorizon
        public init(sessions: [SessionID], horizon: ForgettingHorizon) {
            self.sessions = sessions
            self.horizon = horizon
        }
    }

    /// A request that added or replaced one pair.
    public struct PairUpdate: Hashable, Sendable {
        public var session: SessionID
        public var sequence: RequestSequence
        public var lowWater: RequestSequence
        /// Whether the key was there (POST), or was not (PUT).
        public var replaces: Bool
        public var pair: Pair
        public init(
            session: SessionID, sequence: RequestSequence, lowWater: RequestSequence, replaces: Bool, pair: Pair
        ) {
            self.session = session
            self.sequence = sequence
            self.lowWater = lowWater
            self.replaces = replaces
            self.pair = pair
        }
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

/// A ``LogEntry/PairUpdate`` in the bytes that it came in; nothing of it is taken out. It is valid as long as they are.
public struct PackedPairUpdate {
    public var session: SessionID
    public var sequence: RequestSequence
    public var lowWater: RequestSequence
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
