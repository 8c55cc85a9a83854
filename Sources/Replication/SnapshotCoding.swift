import TupleCore
public import TupleStore
public import WireProtocol

/// A replicated state cut into chunks of bytes: the same on the wire and in the journal's snapshots.
///
/// The first chunk says what follows, then come chunks of sessions (the least recently used first) and of pairs in key
/// order, and the last one closes.
public struct SnapshotEncoder: Sendable {
    private enum Stage: Sendable {
        case head
        /// From this session on; nil after the last.
        case sessions(SessionID?)
        case pairs(after: [UInt8]?)
        case done
    }

    private let state: ReplicatedState
    /// Outcomes of the next session that are still to be sent; nil before that session was begun.
    private var outcomes: ArraySlice<RequestSequence>?
    private var stage = Stage.head

    /// - Complexity: O(1).
    public init(_ state: ReplicatedState) {
        #if PLANTED_BUGS
            if PlantedBug.forgetSessions.isOn {
                self.state = ReplicatedState(
                    space: state.space, sessions: Sessions(horizon: state.sessions.horizon), position: state.position,
                    time: state.time)
                return
            }
        #endif
        self.state = state
    }

    /// What follows the pair of that key: for a receiver that has everything up to it.
    public init(_ state: ReplicatedState, after key: [UInt8]) {
        self.state = state
        stage = .pairs(after: key)
    }

    /// The next chunk, of about ``Limits/preferredChunkBytes`` bytes; nil after the last.
    ///
    /// - Complexity: O(chunk + log pairs).
    public mutating func next() -> [UInt8]? {
        var writer = ByteWriter()
        switch stage {
        case .head:
            writer.byte(SnapshotChunk.head)
            writer.byte(state.space.rule.rawValue)
            writer.position(state.position)
            writer.signed64(state.time)
            writer.horizon(statedHorizon)
            writer.fixed64(UInt64(state.sessions.count))
            writer.fixed64(UInt64(state.space.count))
            writer.fixed64(state.space.digest.value)
            stage = .sessions(state.sessions.session(after: nil))
        case .sessions(nil):
            stage = .pairs(after: nil)
            return next()
        case .sessions(var session):
            writer.byte(SnapshotChunk.sessions)
            while let id = session, writer.bytes.count < Limits.preferredChunkBytes {
                if encode(id, &writer) { session = state.sessions.session(after: id) }
            }
            stage = .sessions(session)
        case .pairs(let after):
            writer.byte(SnapshotChunk.pairs)
            var last: [UInt8]?
            state.space.forEachPair(from: after) { pair in
                // The cursor is the last key sent; it comes first again and is passed over.
                if pair.key.packed == after { return true }
                writer.packedPair(pair)
                last = pair.key.packed
                return writer.bytes.count < Limits.preferredChunkBytes
            }
            guard let last else {
                stage = .done
                return [SnapshotChunk.end]
            }
            stage = .pairs(after: last)
        case .done: return nil
        }
        return writer.bytes
    }

    private var statedHorizon: ForgettingHorizon {
        #if PLANTED_BUGS
            if PlantedBug.forgetTheHorizon.isOn { return .nothingForgotten }
        #endif
        return state.sessions.horizon
    }

    /// Writes as many of the session's outcomes as fit; one with many is written in several records.
    ///
    /// - Returns: whether that was all of it.
    private mutating func encode(_ id: SessionID, _ writer: inout ByteWriter) -> Bool {
        guard let session = state.sessions[id] else { preconditionFailure("a session in the order is not there") }
        var rest = outcomes ?? session.outcomes.sequences[...]
        var batch: [(RequestSequence, [UInt8])] = []
        var bytes = writer.bytes.count
        while bytes < Limits.preferredChunkBytes, let sequence = rest.popFirst() {
            let outcome = session.outcomes[sequence] ?? []
            batch.append((sequence, outcome))
            bytes += outcome.count + 13
        }
        writer.fixed64(id.number)
        writer.signed64(session.lastUsed)
        writer.fixed64(session.lowWater.number)
        writer.length(batch.count)
        for (sequence, outcome) in batch {
            writer.fixed64(sequence.number)
            writer.run(outcome)
        }
        #if PLANTED_BUGS
            if PlantedBug.loseAnOutcomeAtACut.isOn { _ = rest.popFirst() }
        #endif
        outcomes = rest.isEmpty ? nil : rest
        return rest.isEmpty
    }
}

enum SnapshotChunk {
    /// Of release 0.1.
    static let firstHead: UInt8 = 0
    static let sessions: UInt8 = 1
    static let pairs: UInt8 = 2
    static let end: UInt8 = 3
    static let head: UInt8 = 4
}

/// Why chunks are not a snapshot.
public enum SnapshotError: Error, Hashable, Sendable {
    case decoding(DecodingError)
    /// A chunk out of its place.
    case order
    /// A key twice, or not the counts or the digest that the first chunk announced.
    case content
}

/// Puts a state together from its chunks.
public struct SnapshotDecoder: Sendable {
    private struct Head: Sendable {
        var position: LogPosition
        var time: Int64
        /// Of release 0.1: the sessions come by their numbers.
        var isFirstFormat: Bool
        var sessionCount: UInt64
        var pairCount: UInt64
        var digest: UInt64
    }

    private var head: Head?
    private var space: Space?
    private var sessions = Sessions()
    /// The packed key of the last pair that was taken.
    private var lastKey: [UInt8]?

    public init() {}

    /// How far it has come; nil before the first pair.
    public var mark: SnapshotMark? {
        guard let head, let lastKey else { return nil }
        return SnapshotMark(position: head.position, key: lastKey)
    }

    /// Whether a chunk begins a snapshot.
    static func isFirst(_ chunk: [UInt8]) -> Bool {
        chunk.first == SnapshotChunk.head || chunk.first == SnapshotChunk.firstHead
    }

    /// Takes the next chunk.
    ///
    /// - Returns: the state, when the chunk was the last one.
    public mutating func append(_ chunk: [UInt8]) throws(SnapshotError) -> ReplicatedState? {
        do throws(DecodingError) {
            var reader = ByteReader(chunk)
            switch try reader.byte() {
            case SnapshotChunk.firstHead where head == nil:
                try decodeHead(&reader, isFirstFormat: true)
                return nil
            case SnapshotChunk.head where head == nil:
                try decodeHead(&reader, isFirstFormat: false)
                return nil
            case SnapshotChunk.sessions where head != nil:
                while reader.remaining > 0 { try decodeSession(&reader) }
                return nil
            case SnapshotChunk.pairs where head != nil:
                var fits = true
                while fits, reader.remaining > 0 {
                    let pair = try reader.packedPair()
                    fits = space?.apply(.added(pair)) ?? false
                    if reader.remaining == 0 { lastKey = pair.key.packed }
                }
                if fits { return nil }
            case SnapshotChunk.end where head != nil:
                try reader.end()
                if let state = finish() { return state }
            default: throw .invalid("snapshot chunk")
            }
        } catch {
            throw error == .invalid("snapshot chunk") ? .order : .decoding(error)
        }
        throw .content
    }

    private mutating func decodeHead(_ reader: inout ByteReader, isFirstFormat: Bool) throws(DecodingError) {
        space = Space(rule: try reader.rule())
        let position = try reader.position()
        let time = try reader.signed64()
        if isFirstFormat {
            // When it had last looked for idle sessions. What it forgot is not known: nothing older is asserted.
            _ = try reader.signed64()
            sessions = Sessions(horizon: .unknown)
        } else {
            sessions = Sessions(horizon: try reader.horizon())
        }
        head = Head(
            position: position, time: time, isFirstFormat: isFirstFormat, sessionCount: try reader.fixed64(),
            pairCount: try reader.fixed64(), digest: try reader.fixed64())
        try reader.end()
    }

    private mutating func decodeSession(_ reader: inout ByteReader) throws(DecodingError) {
        let id = SessionID(try reader.fixed64())
        guard id != .none else { throw .invalid("session") }
        let lastUsed = try reader.signed64()
        sessions.restore(id, lastUsed: lastUsed, lowWater: RequestSequence(try reader.fixed64()))
        for _ in 0..<(try reader.count(ofAtLeast: 9)) {
            let sequence = RequestSequence(try reader.fixed64())
            sessions.restore([UInt8](try reader.run()), of: sequence, in: id)
        }
    }

    private mutating func finish() -> ReplicatedState? {
        guard let head, let space, UInt64(space.count) == head.pairCount, space.digest.value == head.digest,
            UInt64(sessions.count) == head.sessionCount
        else { return nil }
        self.head = nil
        if head.isFirstFormat { sessions.orderByLastUse() }
        return ReplicatedState(space: space, sessions: sessions, position: head.position, time: head.time)
    }
}
