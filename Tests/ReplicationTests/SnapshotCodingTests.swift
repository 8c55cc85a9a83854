import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// A state as a snapshot: everything in it comes through, also what release 0.1 wrote.
@Suite struct SnapshotCodingTests {
    private func entry(_ state: ReplicatedState, time: Int64, _ body: LogEntry.Body) -> LogEntry {
        LogEntry(position: LogPosition(epoch: Epoch(1), index: state.position.index.next), time: time, body: body)
    }

    private func record(
        _ state: inout ReplicatedState, _ session: UInt64, _ sequence: UInt64, outcome: [UInt8] = [], time: Int64
    ) throws {
        let update = LogEntry.Update(
            session: SessionID(session), sequence: RequestSequence(sequence), lowWater: RequestSequence(1), effects: [],
            outcome: outcome)
        try state.apply(entry(state, time: time, .update(update)))
    }

    private func decode(_ chunks: [[UInt8]]) throws -> ReplicatedState? {
        var decoder = SnapshotDecoder()
        var state: ReplicatedState?
        for chunk in chunks { state = try decoder.append(chunk) }
        return state
    }

    private func chunks(_ state: ReplicatedState) -> [[UInt8]] {
        var encoder = SnapshotEncoder(state)
        var chunks: [[UInt8]] = []
        while let chunk = encoder.next() { chunks.append(chunk) }
        return chunks
    }

    private func order(_ sessions: Sessions) -> [UInt64] {
        var order: [UInt64] = []
        var next = sessions.session(after: nil)
        while let id = next {
            order.append(id.number)
            next = sessions.session(after: id)
        }
        return order
    }

    /// A session whose outcomes fill several chunks loses none where they are cut.
    @Test func outcomesThatSpanChunksComeThrough() throws {
        var state = ReplicatedState(rule: .text)
        for sequence in 1...60 {
            try record(&state, 5, UInt64(sequence), outcome: [UInt8](repeating: 7, count: 9_000), time: 100)
        }
        for session in [9, 3, 7] { try record(&state, UInt64(session), 1, time: 200) }
        try state.apply(entry(state, time: 300, .sessionsForgotten(.init(sessions: [], horizon: .upTo(77)))))
        let chunks = chunks(state)
        #expect(chunks.count > 9)
        let read = try #require(try decode(chunks))
        #expect(read.sessions == state.sessions)
        #expect(read.sessions[SessionID(5)]?.outcomes.count == 60)
        #expect(read.sessions.horizon == .upTo(77))
        #expect(read.time == 300 && read.position == state.position)
        #expect(order(read.sessions) == [5, 9, 3, 7], "the order comes through")
    }

    @Test func everyHorizonComesThrough() throws {
        for horizon in [ForgettingHorizon.unknown, .nothingForgotten, .upTo(-5)] {
            let space = Space(rule: .text)
            let state = ReplicatedState(
                space: space, sessions: Sessions(horizon: horizon), position: .zero, time: 1)
            #expect(try decode(chunks(state))?.sessions.horizon == horizon)
        }
    }

    /// Beginning a snapshot costs the same however many sessions there are: it is not until its chunks are asked for that
    /// they are looked at, some at a time.
    @Test func aChunkHoldsAShareOfTheSessions() throws {
        var state = ReplicatedState(rule: .text)
        for session in 1...20_000 { try record(&state, UInt64(session), 1, time: 1) }
        for chunk in chunks(state) { #expect(chunk.count < Limits.preferredChunkBytes + 200) }
    }

    /// The bytes that release 0.1 wrote: its head, sessions by their numbers. What it forgot is not known.
    @Test func aSnapshotOfRelease01IsRead() throws {
        var head = ByteWriter()
        head.byte(0)
        head.byte(ElementRule.text.rawValue)
        head.position(LogPosition(epoch: Epoch(3), index: LogIndex(9)))
        head.signed64(5_000)
        head.signed64(4_000)
        head.fixed64(2)
        head.fixed64(0)
        head.fixed64(0)
        var sessions = ByteWriter()
        sessions.byte(1)
        for (id, used, outcome) in [(UInt64(4), Int64(900), [UInt8]([1, 2])), (6, 800, [])] {
            sessions.fixed64(id)
            sessions.signed64(used)
            sessions.fixed64(1)
            sessions.length(1)
            sessions.fixed64(1)
            sessions.run(outcome)
        }
        let state = try #require(try decode([head.bytes, sessions.bytes, [3]]))
        #expect(state.time == 5_000)
        #expect(state.sessions.standing(of: RequestSequence(1), in: SessionID(4)) == .done([1, 2]))
        #expect(state.sessions.horizon == .unknown)
        #expect(order(state.sessions) == [6, 4], "by last use")
    }

    /// To release 0.1 the new head is a chunk out of its place: it is refused, not misread.
    @Test func theNewHeadHasAnotherKind() {
        #expect(chunks(ReplicatedState(rule: .text)).first?.first == 4)
    }

    /// Log entries of release 0.1 forget nothing by themselves, however far apart their times are.
    @Test func entriesOfRelease01ForgetNothing() throws {
        var state = ReplicatedState(rule: .text)
        try state.apply(entry(state, time: 0, .epochBegun))
        try record(&state, 5, 1, time: 0)
        try record(&state, 6, 1, time: 3_600_000)
        #expect(state.sessions.count == 2)
        #expect(state.sessions.horizon == .unknown)
    }
}
