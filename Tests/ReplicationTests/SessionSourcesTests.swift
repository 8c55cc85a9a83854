import TestSupport
import Testing
import TupleCore
import TupleStore

@testable import Replication

/// Whoever opens most sessions loses most, and nothing here grows with their number (G14).
@Suite struct SessionSourcesTests {
    private struct Table {
        var sessions = Sessions()
        var sources = SessionSources()
        var limits = SessionLimits()
        var time: Int64 = 0
        var now = Instant(nanoseconds: 0)

        mutating func use(_ id: UInt64, from source: UInt32) {
            let session = SessionID(id)
            let isNew = sessions[session] == nil
            let entry = LogEntry(
                position: LogPosition(epoch: Epoch(1), index: LogIndex(1)), time: time,
                body: .update(
                    .init(
                        session: session, sequence: RequestSequence(1), lowWater: RequestSequence(1), effects: [],
                        outcome: [])))
            if case .update(let update) = entry.body { sessions.record(update, at: time) }
            if isNew { sources.opened(session, from: source, used: time, limits, at: now) }
        }

        /// - Returns: the victims, and how many sessions were looked at.
        mutating func evict(_ wanted: Int) -> (victims: [SessionID], steps: Int) {
            var steps = 0
            let victims = sources.takeVictims(wanted, of: sessions, steps: &steps)
            sessions.forget(.init(sessions: victims.sorted(), horizon: .upTo(time)))
            return (victims, steps)
        }
    }

    @Test func theSourceWithMostLosesItsOldestUntilAllAreEven() {
        var table = Table()
        for id in 1...10 { table.use(UInt64(id), from: 1) }
        for id in 11...14 { table.use(UInt64(id), from: 2) }
        #expect(table.evict(6).victims == (1...6).map { SessionID(UInt64($0)) })
        #expect(table.evict(2).victims.count == 2)
        #expect(table.sources.most == 3)
        #expect(table.sources.count == 6 && table.sources.sourceCount == 2)
    }

    /// A session that was used since it was queued gets another turn.
    @Test func withinASourceTheLeastRecentlyUsedGoesFirst() {
        var table = Table()
        for id in 1...4 { table.use(UInt64(id), from: 1) }
        table.time = 5_000
        table.use(1, from: 1)
        table.use(2, from: 1)
        #expect(table.evict(2).victims == [SessionID(3), SessionID(4)])
    }

    /// 65,536 sessions of 30,000 sources: an entry's victims are found in a bounded number of steps.
    @Test func findingVictimsCostsABoundedNumberOfSteps() {
        var table = Table()
        for id in 1...UInt64(Limits.maximumSessions) {
            table.time += 1
            table.use(id, from: id % 2 == 0 ? 1 : UInt32(id % 30_000 + 2))
        }
        for id in stride(from: UInt64(2), to: 50_000, by: 2) {
            table.time += 1_000
            table.use(id, from: 1)
        }
        var (victims, steps) = table.evict(256)
        #expect(victims.count == 256)
        #expect(victims.allSatisfy { $0.number % 2 == 0 }, "they are of the source with half of all")
        #expect(steps <= Bounds.sessionsLookedAt + 256, "\(steps) sessions were looked at")
        // Nobody knows the sources any more, as after a takeover.
        table.sources = SessionSources()
        (victims, steps) = table.evict(256)
        #expect(victims.count == 256)
        #expect(steps <= Bounds.sessionsLookedAt + 256, "\(steps) sessions were looked at")
    }

    /// Held against a model that counts anew.
    @Test func countsAreRight() {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        var table = Table()
        var model: [UInt64: UInt32] = [:]
        for _ in 0..<3_000 {
            let id = UInt64.random(in: 1...300, using: &random)
            table.time += Int64.random(in: 0..<600, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                table.sources.forgotten(SessionID(id))
                table.sessions.forget(.init(sessions: [SessionID(id)], horizon: .upTo(table.time)))
                model[id] = nil
            case 1:
                for victim in table.evict(Int.random(in: 1...4, using: &random)).victims {
                    #expect(model.removeValue(forKey: victim.number) != nil, "seed \(seed)")
                }
            default:
                let source = UInt32.random(in: 0...6, using: &random)
                table.use(id, from: source)
                if model[id] == nil { model[id] = source }
            }
            var counts: [UInt32: Int] = [:]
            for source in model.values where source != 0 { counts[source, default: 0] += 1 }
            #expect(table.sources.most == counts.values.max() ?? 0, "seed \(seed)")
            #expect(table.sources.sourceCount == counts.count, "seed \(seed)")
            #expect(table.sources.count == counts.values.reduce(0, +), "seed \(seed)")
        }
    }

    @Test func newSessionsOfASourceArePaced() {
        var table = Table()
        table.limits.newAtOnce = 3
        table.limits.newPerSecond = 10
        for id in 1...3 {
            #expect(table.sources.mayOpen(1, table.limits, at: table.now))
            table.use(UInt64(id), from: 1)
        }
        #expect(!table.sources.mayOpen(1, table.limits, at: table.now))
        #expect(table.sources.mayOpen(2, table.limits, at: table.now))
        table.now = table.now.advanced(by: .milliseconds(99))
        #expect(!table.sources.mayOpen(1, table.limits, at: table.now))
        table.now = table.now.advanced(by: .milliseconds(1))
        #expect(table.sources.mayOpen(1, table.limits, at: table.now))
        table.use(4, from: 1)
        #expect(!table.sources.mayOpen(1, table.limits, at: table.now))
    }

    @Test func anUnknownSourceIsNotPaced() {
        var table = Table()
        table.limits.newAtOnce = 1
        for id in 1...9 { table.use(UInt64(id), from: 0) }
        #expect(table.sources.mayOpen(0, table.limits, at: table.now))
        #expect(table.sources.count == 0)
    }
}
