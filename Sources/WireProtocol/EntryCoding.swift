public import TupleCore

/// Log entries as bytes: the same in the journal's records and on the wire.
extension LogEntry {
    enum Kind {
        static let epochBegun: UInt8 = 0
        static let update: UInt8 = 1
        static let pairs: UInt8 = 2
        /// Not known to release 0.1.
        static let sessionsForgotten: UInt8 = 3
    }

    private enum EffectKind {
        static let added: UInt8 = 0
        static let replaced: UInt8 = 1
        static let removed: UInt8 = 2
    }

    public var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.position(position)
        writer.signed64(time)
        switch body {
        case .epochBegun: writer.byte(Kind.epochBegun)
        case .update(let update):
            writer.byte(Kind.update)
            writer.fixed64(update.session.number)
            writer.fixed64(update.sequence.number)
            writer.fixed64(update.lowWater.number)
            writer.run(update.outcome)
            writer.length(update.effects.count)
            for effect in update.effects {
                switch effect {
                case .added(let pair):
                    writer.byte(EffectKind.added)
                    writer.packedPair(pair)
                case .replaced(let pair):
                    writer.byte(EffectKind.replaced)
                    writer.packedPair(pair)
                case .removed(let key):
                    writer.byte(EffectKind.removed)
                    writer.run(key.packed)
                }
            }
        case .pairs(let updates):
            writer.byte(Kind.pairs)
            writer.fixed32(UInt32(updates.count))
            for update in updates {
                writer.fixed64(update.session.number)
                writer.fixed64(update.sequence.number)
                writer.fixed64(update.lowWater.number)
                writer.flag(update.replaces)
                writer.packedPair(update.pair)
            }
        case .sessionsForgotten(let forgotten):
            writer.byte(Kind.sessionsForgotten)
            writer.horizon(forgotten.horizon)
            writer.length(forgotten.sessions.count)
            for session in forgotten.sessions { writer.fixed64(session.number) }
        }
        return writer.bytes
    }

    public init(decoding bytes: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(bytes)
        let position = try reader.position()
        let time = try reader.signed64()
        switch try reader.byte() {
        case Kind.epochBegun: self.init(position: position, time: time, body: .epochBegun)
        case Kind.update:
            let session = SessionID(try reader.fixed64())
            let sequence = RequestSequence(try reader.fixed64())
            let lowWater = RequestSequence(try reader.fixed64())
            let outcome = [UInt8](try reader.run())
            var effects: [Effect] = []
            for _ in 0..<(try reader.count(ofAtLeast: 3)) {
                switch try reader.byte() {
                case EffectKind.added: effects.append(.added(try reader.packedPair()))
                case EffectKind.replaced: effects.append(.replaced(try reader.packedPair()))
                case EffectKind.removed: effects.append(.removed(try reader.packedTuple()))
                default: throw .invalid("effect")
                }
            }
            let update = Update(
                session: session, sequence: sequence, lowWater: lowWater, effects: effects, outcome: outcome)
            self.init(position: position, time: time, body: .update(update))
        case Kind.pairs:
            let count = try reader.fixed32()
            var updates: [PairUpdate] = []
            for _ in 0..<count {
                let session = SessionID(try reader.fixed64())
                let sequence = RequestSequence(try reader.fixed64())
                let lowWater = RequestSequence(try reader.fixed64())
                let replaces = try reader.flag()
                updates.append(
                    PairUpdate(
                        session: session, sequence: sequence, lowWater: lowWater, replaces: replaces,
                        pair: try reader.packedPair()))
            }
            self.init(position: position, time: time, body: .pairs(updates))
        case Kind.sessionsForgotten:
            let horizon = try reader.horizon()
            var sessions: [SessionID] = []
            for _ in 0..<(try reader.count(ofAtLeast: 8)) {
                let session = SessionID(try reader.fixed64())
                guard session > sessions.last ?? .none else { throw .invalid("forgotten session") }
                sessions.append(session)
            }
            let forgotten = ForgottenSessions(sessions: sessions, horizon: horizon)
            self.init(position: position, time: time, body: .sessionsForgotten(forgotten))
        default: throw .invalid("entry")
        }
        try reader.end()
    }
}

extension ByteWriter {
    /// A kind, and a time where there is one.
    public mutating func horizon(_ horizon: ForgettingHorizon) {
        switch horizon {
        case .unknown: byte(0)
        case .nothingForgotten: byte(1)
        case .upTo(let time):
            byte(2)
            signed64(time)
        }
    }

    public mutating func packedPair(_ pair: Pair) {
        run(pair.key.packed)
        run(pair.value.packed)
    }
}

extension ByteReader {
    public mutating func horizon() throws(DecodingError) -> ForgettingHorizon {
        switch try byte() {
        case 0: return .unknown
        case 1: return .nothingForgotten
        case 2: return .upTo(try signed64())
        default: throw .invalid("horizon")
        }
    }

    public mutating func packedTuple() throws(DecodingError) -> Tuple {
        let bytes = [UInt8](try run(atMost: Limits.maximumTupleBytes))
        guard let tuple = Tuple(packed: bytes) else { throw .invalid("packed tuple") }
        return tuple
    }

    public mutating func packedPair() throws(DecodingError) -> Pair {
        let key = try packedTuple()
        return Pair(key: key, value: try packedTuple())
    }
}
