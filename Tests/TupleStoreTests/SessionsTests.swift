import TestSupport
import Testing
import TupleCore

@testable import TupleStore

/// What is remembered of requests, so that a retry has no second effect (R27).
@Suite struct SessionsTests {
    private func update(
        _ session: UInt64, _ sequence: UInt64, lowWater: UInt64 = 1, outcome: [UInt8] = []
    ) -> LogEntry.Update {
        LogEntry.Update(
            session: SessionID(session), sequence: RequestSequence(sequence), lowWater: RequestSequence(lowWater),
            effects: [], outcome: outcome)
    }

    private func standing(_ sessions: Sessions, _ session: UInt64, _ sequence: UInt64) -> Sessions.Standing {
        sessions.standing(of: RequestSequence(sequence), in: SessionID(session))
    }

    @Test func aRequestThatWasCarriedOutKeepsItsFirstOutcome() {
        var sessions = Sessions()
        #expect(standing(sessions, 7, 1) == .fresh)
        sessions.record(update(7, 1, outcome: [1, 2]), at: 100)
        #expect(standing(sessions, 7, 1) == .done([1, 2]))
        #expect(standing(sessions, 7, 2) == .fresh)
        #expect(standing(sessions, 8, 1) == .fresh, "another session is another client")
    }

    @Test func withoutASessionNothingIsRemembered() {
        var sessions = Sessions()
        sessions.record(update(0, 1, outcome: [1]), at: 100)
        #expect(sessions.count == 0)
        #expect(standing(sessions, 0, 1) == .fresh)
    }

    @Test func theLowWaterMarkFreesOutcomesAndWhatIsBelowIsNeverFreshAgain() {
        var sessions = Sessions()
        for sequence in 1...5 { sessions.record(update(7, UInt64(sequence)), at: 100) }
        sessions.record(update(7, 6, lowWater: 4), at: 100)
        #expect(sessions[SessionID(7)]?.outcomes.count == 3)
        #expect(standing(sessions, 7, 3) == .forgotten)
        #expect(standing(sessions, 7, 4) == .done([]))
        sessions.record(update(7, 7, lowWater: 2), at: 100)
        #expect(standing(sessions, 7, 3) == .forgotten, "the mark never goes back")
    }

    @Test func anOutcomeRecordedBelowItsOwnMarkIsStillKnownOrForgottenButNeverFresh() {
        var sessions = Sessions()
        sessions.record(update(7, 3, lowWater: 9, outcome: [1]), at: 100)
        #expect(standing(sessions, 7, 3) != .fresh)
    }

    private func forget(_ sessions: inout Sessions, _ ids: [UInt64], upTo time: Int64) {
        sessions.forget(.init(sessions: ids.map { SessionID($0) }, horizon: .upTo(time)))
    }

    /// All sessions, the least recently used first.
    private func order(_ sessions: Sessions) -> [UInt64] {
        var order: [UInt64] = []
        var next = sessions.session(after: nil)
        while let id = next {
            order.append(id.number)
            next = sessions.session(after: id)
        }
        return order
    }

    /// Nothing is forgotten because time has passed, or because there are many: only the log says what is.
    @Test func nothingIsForgottenBeforeTheLogSaysSo() {
        var sessions = Sessions()
        for id in 1...UInt64(Limits.maximumSessions + 3) { sessions.record(update(id, 1), at: 0) }
        sessions.record(update(8, 2), at: .max)
        #expect(sessions.count == Limits.maximumSessions + 3)
        #expect(standing(sessions, 7, 1) == .done([]))
        forget(&sessions, [7], upTo: 0)
        #expect(standing(sessions, 7, 1) == .fresh)
        #expect(standing(sessions, 8, 1) == .done([]))
        #expect(sessions.horizon == .upTo(0))
    }

    @Test func aSessionThatComesBackAfterItWasForgottenStartsAnew() {
        var sessions = Sessions()
        sessions.record(update(7, 1, outcome: [9]), at: 0)
        forget(&sessions, [7], upTo: 0)
        sessions.record(update(7, 2), at: 1)
        #expect(standing(sessions, 7, 2) == .done([]))
        #expect(standing(sessions, 7, 1) == .fresh)
    }

    @Test func theLeastRecentlyUsedComeFirst() {
        var sessions = Sessions()
        for id in 1...4 { sessions.record(update(UInt64(id), 1), at: Int64(id)) }
        sessions.record(update(2, 2), at: 900)
        #expect(order(sessions) == [1, 2, 3, 4], "within a second nothing moves")
        sessions.record(update(2, 3), at: 1_002)
        sessions.record(update(1, 2, outcome: [5]), at: 1_500)
        #expect(order(sessions) == [3, 4, 2, 1])
        forget(&sessions, [2, 3], upTo: 1_002)
        #expect(order(sessions) == [4, 1])
        #expect(sessions.holder(after: nil) == SessionID(1))
        #expect(sessions.holder(after: SessionID(1)) == nil)
    }

    /// The order is what a list gives that is sorted anew each time.
    @Test func theOrderIsThatOfAList() {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        var sessions = Sessions()
        var model: [(id: UInt64, at: Int64)] = []
        var time: Int64 = 0
        for _ in 0..<4_000 {
            time += Int64.random(in: 0..<400, using: &random)
            let id = UInt64.random(in: 1...60, using: &random)
            if Int.random(in: 0..<5, using: &random) == 0 {
                forget(&sessions, [id], upTo: time)
                model.removeAll { $0.id == id }
            } else {
                sessions.record(update(id, 1), at: time)
                let place = model.firstIndex { $0.id == id }
                if let place, time - model[place].at >= Sessions.orderMilliseconds { model.remove(at: place) }
                if !model.contains(where: { $0.id == id }) { model.append((id, time)) }
            }
            #expect(order(sessions) == model.map(\.id), "seed \(seed)")
        }
    }

    @Test func theBytesOfOutcomesAreCounted() {
        var sessions = Sessions()
        let long = [UInt8](repeating: 1, count: 100)
        sessions.record(update(7, 1), at: 1)
        #expect(sessions.outcomeBytes == 0, "a plain ok takes none")
        sessions.record(update(7, 2, outcome: long), at: 1)
        sessions.record(update(7, 3, outcome: long), at: 1)
        sessions.record(update(8, 1, outcome: long), at: 1)
        #expect(sessions.outcomeBytes == 3 * Outcomes.cost(of: long))
        #expect(sessions.outcomeBytes(of: SessionID(7), from: RequestSequence(3)) == Outcomes.cost(of: long))
        sessions.record(update(7, 4, lowWater: 3), at: 1)
        #expect(sessions.outcomeBytes == 2 * Outcomes.cost(of: long))
        forget(&sessions, [8], upTo: 1)
        #expect(sessions.outcomeBytes == Outcomes.cost(of: long))
        sessions.record(update(7, 5, lowWater: 5), at: 1)
        #expect(sessions.outcomeBytes == 0)
        #expect(sessions.holder(after: nil) == nil)
    }

    /// Copies of the table share it: what is recorded after a copy was taken copies a small part of it, not all.
    @Test func aCopyOfManySessionsCostsTheNextUpdateLittle() {
        var table = ShardedMap<Int>()
        for key in 1...UInt64(Limits.maximumSessions) { table[key &* 0x9E37_79B9_7F4A_7C15] = 1 }
        let most = table.largestShard
        #expect(most < Limits.maximumSessions / 100, "\(most) of \(table.count) lie in one table")
    }

    @Test func outcomesOfOneSessionAreBoundedAndTheOldestGoFirst() {
        var sessions = Sessions()
        let count = UInt64(Limits.maximumOutcomesPerSession)
        for sequence in 1...(count + 3) { sessions.record(update(7, sequence), at: 100) }
        #expect(sessions[SessionID(7)]?.outcomes.count == Int(count))
        #expect(standing(sessions, 7, 3) == .forgotten)
        #expect(standing(sessions, 7, 4) == .done([]))
    }

    /// Whoever is forgotten was used at or before the horizon, whichever way it went; and the limit is reached.
    @Test func theHorizonIsBehindEverythingThatWasForgotten() {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        var sessions = Sessions()
        var known: [SessionID: Int64] = [:]
        var forgotten: Int64 = .min
        var most = 0
        var time: Int64 = 1_000_000
        let limit = 2_000
        for step in 0..<30_000 {
            time += Int64.random(in: 0..<8, using: &random)
            let id = Int.random(in: 0..<4, using: &random) > 0 ? UInt64(step + 1) : UInt64(step / 2 + 1)
            sessions.record(update(id, UInt64(step + 1), lowWater: UInt64(step + 1)), at: time)
            known[SessionID(id)] = time
            most = max(most, sessions.count)
            if sessions.count > limit, let oldest = sessions.session(after: nil), let used = sessions[oldest]?.lastUsed
            {
                forget(&sessions, [oldest.number], upTo: used)
                #expect(known[oldest] == used, "seed \(seed)")
                forgotten = max(forgotten, used)
            }
            guard forgotten > .min else { continue }
            #expect(sessions.horizon == .upTo(forgotten), "seed \(seed)")
        }
        #expect(most == limit + 1, "the limit was reached")
        #expect(forgotten > 1_000_000)
    }

    /// A stated horizon never goes back, and what was not known becomes known by a statement alone.
    @Test func aHorizonOnlyRises() {
        let first = ForgettingHorizon.unknown
        #expect(first.raised(by: .unknown) == .unknown)
        #expect(first.raised(by: .nothingForgotten) == .nothingForgotten)
        let time = first.raised(by: .upTo(7))
        #expect(time.raised(by: .upTo(5)) == .upTo(7) && time.raised(by: .nothingForgotten) == .upTo(7))
        #expect(time.isBefore(8) && !time.isBefore(7))
        #expect(!first.isBefore(.max) && ForgettingHorizon.nothingForgotten.isBefore(.min))
    }
}
