import Replication
import Testing
import TupleCore
import TupleStore

/// A state in its chunks, of which none may be missing (specs/0004-journal.md, "Snapshots").
@Suite struct SnapshotWholenessTests {
    /// A state with sessions of so many outcomes each, of so many bytes each.
    private static func state(_ sessions: [UInt64: Int], bytes: Int, pairs: Int = 0) throws -> ReplicatedState {
        var state = ReplicatedState(rule: .alphanumeric)
        func apply(_ update: LogEntry.Update) throws {
            let position = LogPosition(epoch: Epoch(1), index: state.position.index.next)
            try state.apply(
                LogEntry(position: position, time: 20_000 + Int64(position.index.number), body: .update(update)))
        }
        for (session, count) in sessions.sorted(by: { $0.key < $1.key }) {
            for sequence in 1...count {
                let outcome = [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: bytes)
                try apply(
                    .init(
                        session: SessionID(session), sequence: RequestSequence(UInt64(sequence)),
                        lowWater: RequestSequence(1), effects: [], outcome: outcome))
            }
        }
        for number in 0..<pairs {
            let key = try Tuple(elements: [Array("key\(number)".utf8)], rule: .alphanumeric)
            let value = try Tuple(elements: [[UInt8](repeating: 0x76, count: 500)], rule: .alphanumeric)
            try apply(
                .init(
                    session: .none, sequence: RequestSequence(0), lowWater: RequestSequence(0),
                    effects: [.added(Pair(key: key, value: value))], outcome: []))
        }
        return state
    }

    private static func chunks(_ state: ReplicatedState) -> [[UInt8]] {
        var encoder = SnapshotEncoder(state)
        var chunks: [[UInt8]] = []
        while let chunk = encoder.next() { chunks.append(chunk) }
        return chunks
    }

    private static func decode(_ chunks: [[UInt8]]) throws -> ReplicatedState? {
        var decoder = SnapshotDecoder()
        var state: ReplicatedState?
        for chunk in chunks { state = try decoder.append(chunk) }
        return state
    }

    /// The outcomes of one session take several chunks, of others several fit one; none is lost at a cut, and nothing else
    /// of the session.
    @Test(arguments: [1, 5_000, 30_000, 70_000]) func everyOutcomeComesThrough(_ bytes: Int) throws {
        let state = try Self.state([3: 1, 7: 20, 9: 2, 11: 9], bytes: bytes)
        let chunks = Self.chunks(state)
        if bytes >= 5_000 { #expect(chunks.count { $0.first == 1 } > 2, "the sessions take several chunks") }
        let read = try #require(try Self.decode(chunks))
        #expect(read.sessions == state.sessions)
        for number in [3, 7, 9, 11] as [UInt64] {
            #expect(read.sessions[SessionID(number)] == state.sessions[SessionID(number)], "session \(number)")
        }
        #expect(read.time == state.time && read.position == state.position)
    }

    /// Each pair comes once, over any number of chunks.
    @Test func everyPairComesOnce() throws {
        let state = try Self.state([3: 1], bytes: 1, pairs: 400)
        let chunks = Self.chunks(state)
        #expect(chunks.count { $0.first == 2 } > 2)
        #expect(try Self.decode(chunks)?.space.digest == state.space.digest)
    }

    /// A chunk that is missing, or comes twice, is noticed: of sessions as of pairs.
    @Test func whatIsNotWholeIsNoState() throws {
        let chunks = Self.chunks(try Self.state([3: 1, 7: 20, 9: 30], bytes: 30_000, pairs: 400))
        let sessions = chunks.indices.filter { chunks[$0].first == 1 }
        let pairs = chunks.indices.filter { chunks[$0].first == 2 }
        // Session 9 begins in the last chunks, and is not there without them.
        for missing in [Array(sessions.suffix(30)), [pairs[0]], [pairs[pairs.count - 1]]] {
            let rest = chunks.indices.filter { !missing.contains($0) }.map { chunks[$0] }
            #expect(throws: SnapshotError.self) { try Self.decode(rest) }
        }
        #expect(throws: SnapshotError.self) {
            try Self.decode(Array(chunks[...pairs[0]]) + Array(chunks[pairs[0]...]))
        }
    }
}
