import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// Logged time runs on monotonic clocks, never faster than real time, and no wall clock moves it (G6).
@Suite struct LoggedTimeTests {
    private func time(_ wire: Wire, _ name: String) -> Int64 { wire.node(name).replica?.state.time ?? .min }

    private func ask(_ client: WireClient, session: UInt64, age: Duration) -> UInt64 {
        let operation = OperationID(session: SessionID(session), sequence: RequestSequence(1))
        let question = OutcomeQuestion(operation: operation, ageMilliseconds: UInt64(age.wholeMilliseconds))
        return client.request(question.request.operatorName, question.request.payload)
    }

    /// Sessions 1 to 4 are used and forgotten: two at most are remembered.
    private static func small() -> Wire { Wire.running { $0.sessions.sessions = 2 } }

    /// The wall clock of `b` is an hour ahead, or behind. It takes over, makes an entry, and is asked about what was done on
    /// `a` and is forgotten: it never says that it was not done.
    @Test(arguments: [3_600_000, -3_600_000, 10 * 365 * 86_400_000] as [Int64])
    func aSkewedServerThatTakesOverNeverSaysNotDone(_ offset: Int64) {
        let wire = Self.small()
        wire.node("b").wallOffsetMilliseconds = offset
        for session in 1...4 {
            wire.client(session: UInt64(session)).put("k\(session)", "1")
            wire.run(.ms(50))
        }
        #expect(wire.node("a").replica?.state.sessions[SessionID(1)] == nil, "it is forgotten")
        let before = time(wire, "a")
        wire.crash("a")
        wire.run(.seconds(2))
        #expect(wire.record.active == nodeID("b"))
        let client = wire.client()
        client.put("l", "1")
        wire.run(.ms(100))
        let passed = time(wire, "b") - before
        #expect(passed >= 0 && passed <= 2_200, "logged time went on by \(passed) ms")
        for age in [Duration.seconds(3), .seconds(5), .seconds(300)] {
            let question = ask(client, session: 1, age: age)
            wire.settle()
            #expect(client.says(question) == "unknown", "\(age)")
        }
        #expect(wire.violations == [])
    }

    /// A step of the active server's own clock changes nothing either.
    @Test(arguments: [3_600_000, -3_600_000] as [Int64]) func aStepOfTheWallClockMovesNothing(_ step: Int64) {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.run(.ms(100))
        let before = time(wire, "a")
        wire.node("a").wallOffsetMilliseconds = step
        wire.run(.ms(500))
        client.put("l", "1")
        wire.run(.ms(100))
        #expect((500...700).contains(time(wire, "a") - before))
        #expect(wire.node("a").replica?.state.sessions.count == 1, "nothing is forgotten because time jumped")
        #expect(time(wire, "a") == time(wire, "b"))
    }

    /// Fractions of a millisecond between entries add up.
    @Test func manyEntriesAMillisecondDoNotStopTheClock() {
        let wire = Wire.running()
        let client = wire.client()
        client.put("k", "1")
        wire.settle()
        let before = time(wire, "a")
        for _ in 0..<100 {
            wire.now = wire.now.advanced(by: .microseconds(300))
            client.post("k", "2")
            wire.settle()
        }
        #expect((29...31).contains(time(wire, "a") - before))
    }

    /// While a server is down its time stands still; a restart neither jumps nor goes back.
    @Test func aRestartGoesOnFromTheLastEntry() {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.seconds(1))
        wire.client().put("k", "1")
        wire.run(.seconds(1))
        let before = time(wire, "a")
        wire.crash("a")
        wire.now = wire.now.advanced(by: .seconds(86_400))
        wire.node("a").wallOffsetMilliseconds = -999_999_999
        wire.start("a")
        wire.run(.seconds(1))
        let after = time(wire, "a")
        #expect(after >= before && after - before < 1_000)
    }

    /// Release 0.1 wrote what its wall clock said, ten years ahead: it goes on from there, and sessions age.
    @Test func dataWithTimesFarAheadGoOnFromThere() {
        let wire = Wire(["a"])
        wire.node("a").wallOffsetMilliseconds = 10 * 365 * 86_400_000
        wire.start("a")
        wire.run(.seconds(1))
        wire.node("a").wallOffsetMilliseconds = 0
        wire.client(session: 7).put("k", "1")
        wire.run(.seconds(1))
        let before = time(wire, "a")
        wire.now = wire.now.advanced(by: .seconds(601))
        wire.run(.seconds(1))
        #expect(wire.node("a").replica?.state.sessions.count == 0, "ten minutes later it is forgotten")
        #expect((601_000...603_000).contains(time(wire, "a") - before))
    }

    @Test func timeAtItsEndStandsStill() {
        let clock = LoggedClock(at: Instant(nanoseconds: 0))
        #expect(clock.time(after: .max - 1, at: Instant(nanoseconds: 5_000_000)) == .max - 1)
        #expect(clock.time(after: 7, at: Instant(nanoseconds: -5_000_000)) == 7)
        #expect(clock.time(after: 7, at: Instant(nanoseconds: 5_999_999)) == 12)
    }
}
