import TestSupport
import Testing
import TupleCore

@testable import TupleStore

/// The state that the log makes: only the next entry is taken, and copies that took the same entries are the same.
@Suite struct ReplicatedStateTests {
    private func entry(
        _ epoch: UInt64, _ index: UInt64, time: Int64 = 0, _ effects: [Effect]? = nil, session: UInt64 = 0,
        sequence: UInt64 = 0
    ) -> LogEntry {
        LogEntry(
            position: LogPosition(epoch: Epoch(epoch), index: LogIndex(index)), time: time,
            body: effects.map {
                .update(
                    .init(
                        session: SessionID(session), sequence: RequestSequence(sequence), lowWater: RequestSequence(1),
                        effects: $0, outcome: []))
            } ?? .epochBegun)
    }

    private let added = Effect.added(Pair(key: tuple("a"), value: tuple("1")))

    @Test func entriesAreTakenInTheirOrderAndMoveThePosition() throws {
        var state = ReplicatedState(rule: .alphanumeric)
        try state.apply(entry(1, 1, time: 50))
        try state.apply(entry(1, 2, time: 60, [added], session: 7, sequence: 1))
        try state.apply(entry(3, 3, time: 55))
        #expect(state.position == LogPosition(epoch: Epoch(3), index: LogIndex(3)))
        #expect(state.time == 60, "logged time never runs backwards")
        #expect(state.space.count == 1)
        #expect(state.sessions.standing(of: RequestSequence(1), in: SessionID(7)) == .done([]))
    }

    @Test func aGapARepeatAndAnOlderEpochAreRefused() throws {
        var state = ReplicatedState(rule: .alphanumeric)
        try state.apply(entry(2, 1))
        for wrong in [entry(2, 1), entry(2, 3), entry(1, 2), entry(2, 0)] {
            #expect(throws: ReplicatedState.ApplyError.position(expected: LogIndex(2), found: wrong.position)) {
                try state.apply(wrong)
            }
        }
        #expect(state.position == LogPosition(epoch: Epoch(2), index: LogIndex(1)))
    }

    @Test func anEffectThatDoesNotFitIsAnError() throws {
        var state = ReplicatedState(rule: .alphanumeric)
        try state.apply(entry(1, 1, [added]))
        #expect(throws: ReplicatedState.ApplyError.effect(at: LogIndex(2))) { try state.apply(entry(1, 2, [added])) }
        #expect(state.position.index == LogIndex(1))
    }

    @Test func decisionsCarriedOutByTheLogMakeEqualCopies() throws {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        let matcher = Matcher()
        var first = ReplicatedState(rule: .alphanumeric)
        var second = first
        for index in 1...400 {
            let items = Term.list(
                (0..<Int.random(in: 1...4, using: &random)).map { _ in
                    item(["k\(Int.random(in: 0..<30, using: &random))"], ["v\(Int.random(in: 0..<9, using: &random))"])
                })
            let decision =
                switch Int.random(in: 0..<4, using: &random) {
                case 0: first.space.decideDelete(expressions(.string("k\(index % 30)")), matcher: matcher)
                case 1: first.space.decidePost(items)
                default: first.space.decidePut(items)
                }
            let next = entry(
                1, UInt64(index), time: Int64(index), decision.effects, session: UInt64(index % 5 + 1),
                sequence: UInt64(index))
            try first.apply(next)
            try second.apply(next)
        }
        #expect(first.space.pairs == second.space.pairs, "seed \(seed)")
        #expect(first.space.digest == second.space.digest, "seed \(seed)")
        #expect(first.sessions == second.sessions, "seed \(seed)")
    }
}
