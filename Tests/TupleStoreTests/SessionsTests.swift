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

    @Test func anIdleSessionIsForgottenByLoggedTimeAlone() {
        var sessions = Sessions()
        sessions.record(update(7, 1), at: 1_000)
        sessions.record(update(8, 1), at: 1_000 + Sessions.idleMilliseconds - 1)
        #expect(standing(sessions, 7, 1) == .done([]), "not idle for long enough")
        sessions.record(update(8, 2), at: 1_000 + Sessions.idleMilliseconds + Sessions.sweepMilliseconds)
        #expect(standing(sessions, 7, 1) == .fresh)
        #expect(standing(sessions, 8, 1) == .done([]))
    }

    @Test func aSessionThatComesBackWhileItIsSweptStartsAnew() {
        var sessions = Sessions()
        sessions.record(update(7, 1, outcome: [9]), at: 0)
        sessions.record(update(7, 2), at: Sessions.idleMilliseconds + Sessions.sweepMilliseconds)
        #expect(standing(sessions, 7, 2) == .done([]))
    }

    @Test func outcomesOfOneSessionAreBoundedAndTheOldestGoFirst() {
        var sessions = Sessions()
        let count = UInt64(Limits.maximumOutcomesPerSession)
        for sequence in 1...(count + 3) { sessions.record(update(7, sequence), at: 100) }
        #expect(sessions[SessionID(7)]?.outcomes.count == Int(count))
        #expect(standing(sessions, 7, 3) == .forgotten)
        #expect(standing(sessions, 7, 4) == .done([]))
    }

    @Test func sessionsAreBoundedAndTheLeastRecentlyUsedGoFirst() {
        var sessions = Sessions()
        let count = UInt64(Limits.maximumSessions)
        for id in 1...count { sessions.record(update(id, 1), at: Int64(id)) }
        #expect(sessions.count == Int(count))
        sessions.record(update(count + 1, 1), at: Int64(count + 1))
        #expect(sessions.count <= Int(count))
        #expect(standing(sessions, 1, 1) == .fresh)
        #expect(standing(sessions, count, 1) == .done([]))
        #expect(standing(sessions, count + 1, 1) == .done([]))
    }

    /// Whoever is forgotten was used at or before the horizon, whichever way it went.
    @Test func theHorizonIsBehindEverythingThatWasForgotten() {
        let seed = UInt64.random(in: 1...UInt64.max)
        var random = SeededRandom(seed: seed)
        var sessions = Sessions()
        var known: [SessionID: Int64] = [:]
        var forgotten: Int64 = .min
        var time: Int64 = 1_000_000
        for step in 0..<150_000 {
            // Bursts of new sessions that must push others out, and quiet times in which they are swept.
            let isBurst = step % 100_000 < 75_000
            time += Int64.random(in: 0..<(isBurst ? 8 : 400), using: &random)
            let isNew = isBurst && Int.random(in: 0..<4, using: &random) > 0
            let id = isNew ? UInt64(step + 1) : UInt64.random(in: 1...UInt64(step + 1), using: &random)
            sessions.record(update(id, UInt64(step + 1), lowWater: UInt64(step + 1)), at: time)
            known[SessionID(id)] = time
            guard step % 1_000 == 0 else { continue }
            for (id, used) in known where sessions[id] == nil {
                forgotten = max(forgotten, used)
                known[id] = nil
            }
            guard forgotten <= sessions.horizon else {
                Issue.record("\(forgotten) was forgotten, the horizon is \(sessions.horizon); seed \(seed)")
                return
            }
        }
        #expect(forgotten > .min)
    }
}
