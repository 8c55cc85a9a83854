import TupleCore
public import TupleStore
public import WireProtocol

/// A replicated state cut into chunks of bytes: the same on the wire and in the journal's snapshots.
///
/// The first chunk says what follows, then come chunks of sessions and of pairs in key order, and the last one closes.
public struct SnapshotEncoder: Sendable {
    private enum Stage: Sendable {
        case head
        case sessions
        case pairs(after: [UInt8]?)
        case done
    }

    private let state: ReplicatedState
    private var sessions: ArraySlice<SessionID>
    /// Outcomes of the first of `sessions` that are still to be sent; nil before that session was begun.
    private var outcomes: ArraySlice<RequestSequence>?
    private var stage = Stage.head

    public init(_ state: ReplicatedState) {
        self.state = state
        sessions = state.sessions.ids[...]
        #if PLANTED_BUGS
            if PlantedBug.forgetSessions.isOn { sessions = [] }
        #endif
    }

    /// What follows the pair of that key: for a receiver that has everything up to it.
    public init(_ state: ReplicatedState, after key: [UInt8]) {
        self.state = state
        sessions = []
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
            writer.signed64(state.sessions.lastSweep)
            writer.fixed64(UInt64(sessions.count))
            writer.fixed64(UInt64(state.space.count))
            writer.fixed64(state.space.digest.value)
            stage = .sessions
        case .sessions:
            guard !sessions.isEmpty else {
                stage = .pairs(after: nil)
                return next()
            }
            writer.byte(SnapshotChunk.sessions)
            while let id = sessions.first, writer.bytes.count < Limits.preferredChunkBytes { encode(id, &writer) }
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

    /// Writes as many of the session's outcomes as fit; one with many is written in several records.
    private mutating func encode(_ id: SessionID, _ writer: inout ByteWriter) {
        guard let session = state.sessions[id] else {
            sessions.removeFirst()
            return
        }
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
        if rest.isEmpty {
            sessions.removeFirst()
            outcomes = nil
        } else {
            outcomes = rest
        }
    }
}

enum SnapshotChunk {
    static let head: UInt8 = 0
    static let sessions: UInt8 = 1
    static let pairs: UInt8 = 2
    static let end: UInt8 = 3
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
        var lastSweep: Int64
        var sessionCount: UInt64
        var pairCount: UInt64
        var digest: UInt64
    }

    private var head: Head?
    private var space: Space?
    private var sessions: [SessionID: Sessions.Session] = [:]
    /// The packed key of the last pair that was taken.
    private var lastKey: [UInt8]?

    public init() {}

    /// How far it has come; nil before the first pair.
    public var mark: SnapshotMark? {
        guard let head, let lastKey else { return nil }
        return SnapshotMark(position: head.position, key: lastKey)
    }

    /// Whether a chunk begins a snapshot.
    static func isFirst(_ chunk: [UInt8]) -> Bool { chunk.first == SnapshotChunk.head }

    /// Takes the next chunk.
    ///
    /// - Returns: the state, when the chunk was the last one.
    public mutating func append(_ chunk: [UInt8]) throws(SnapshotError) -> ReplicatedState? {
        do throws(DecodingError) {
            var reader = ByteReader(chunk)
            switch try reader.byte() {
            case SnapshotChunk.head where head == nil:
                space = Space(rule: try reader.rule())
                head = Head(
                    position: try reader.position(), time: try reader.signed64(), lastSweep: try reader.signed64(),
                    sessionCount: try reader.fixed64(), pairCount: try reader.fixed64(),
                    digest: try reader.fixed64())
                try reader.end()
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

    private mutating func decodeSession(_ reader: inout ByteReader) throws(DecodingError) {
        let id = SessionID(try reader.fixed64())
        guard id != .none else { throw .invalid("session") }
        let lastUsed = try reader.signed64()
        let lowWater = RequestSequence(try reader.fixed64())
        var session = sessions[id] ?? Sessions.Session(lastUsed: lastUsed, lowWater: lowWater)
        for _ in 0..<(try reader.count(ofAtLeast: 9)) {
            let sequence = RequestSequence(try reader.fixed64())
            session.restore([UInt8](try reader.run()), of: sequence)
        }
        sessions[id] = session
    }

    private mutating func finish() -> ReplicatedState? {
        guard let head, let space, UInt64(space.count) == head.pairCount, space.digest.value == head.digest,
            UInt64(sessions.count) == head.sessionCount
        else { return nil }
        self.head = nil
        return ReplicatedState(
            space: space, sessions: Sessions(sessions: sessions, lastSweep: head.lastSweep), position: head.position,
            time: head.time)
    }
}
