import Testing
import TupleCore

@Suite("The adaptive timeout (specs/0005, section 2)")
struct ArrivalPaceTests {
    private let lower = Duration.milliseconds(160)

    @Test("Regular arrivals leave the timeout at its lower bound")
    func regular() {
        var pace = ArrivalPace()
        #expect(pace.timeout(atLeast: lower) == lower, "nothing came yet")
        for _ in 0..<1_000 { pace.arrived(after: .milliseconds(45)) }
        #expect(pace.timeout(atLeast: lower) == lower)
    }

    @Test("A long gap makes it patient, up to the upper bound, and is forgotten in time")
    func stretched() {
        var pace = ArrivalPace()
        pace.arrived(after: .milliseconds(100))
        #expect(pace.timeout(atLeast: lower) == .milliseconds(300))
        pace.arrived(after: .seconds(5))
        #expect(pace.timeout(atLeast: lower) == lower * 4)
        // Two minutes of heartbeats.
        for _ in 0..<3_000 { pace.arrived(after: .milliseconds(40)) }
        #expect(pace.timeout(atLeast: lower) < lower * 2)
        for _ in 0..<6_000 { pace.arrived(after: .milliseconds(40)) }
        #expect(pace.timeout(atLeast: lower) == lower)
    }

    @Test("Many small arrivals do not make it forget sooner: time does, not their number")
    func forgettingTakesTime() {
        var pace = ArrivalPace()
        pace.arrived(after: .milliseconds(150))
        for _ in 0..<20_000 { pace.arrived(after: .microseconds(50)) }
        #expect(pace.timeout(atLeast: lower) > .milliseconds(420))
    }

    @Test("Gaps of any size are taken", arguments: [Duration.seconds(-5), .zero, .seconds(1 << 32)])
    func extremes(gap: Duration) {
        var pace = ArrivalPace()
        for _ in 0..<3 { pace.arrived(after: gap) }
        #expect((lower...lower * 4).contains(pace.timeout(atLeast: lower)))
    }
}
