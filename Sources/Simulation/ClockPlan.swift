import Replication

/// How the servers' clocks are off, in every run: nothing that the service promises rests on a wall clock.
package struct ClockPlan: Sendable {
    /// How far each server's wall clock is off at the beginning, in milliseconds.
    package var skews: [Int64]
    /// How much faster each monotonic clock runs, in millionths.
    package var drifts: [Int64]
    package var steps: [Step]

    /// A wall clock jumps.
    package struct Step: Sendable {
        package var server: Int
        /// When, in milliseconds after the service stands.
        package var at: Int
        package var milliseconds: Int64
    }

    static let hour: Int64 = 3_600_000
    static let mostDrift = 10_000

    package init(seed: UInt64, servers: Int, milliseconds: Int) {
        var random = SeededRandom(seed: seed, purpose: 8)
        func far(_ random: inout SeededRandom) -> Int64 {
            let far = random.pick([0, 3_000, 360_000, ClockPlan.hour, 24 * ClockPlan.hour, 87_600 * ClockPlan.hour])
            return random.once(in: 2) ? far : -far
        }
        skews = (0..<servers).map { _ in far(&random) }
        drifts = (0..<servers).map { _ in Int64(random.within(-ClockPlan.mostDrift...ClockPlan.mostDrift)) }
        steps = (0..<random.below(4)).map { _ in
            Step(server: random.below(servers), at: random.below(max(1, milliseconds)), milliseconds: far(&random))
        }
    }
}

/// Clients that come once, and how little is remembered of them: so that what is forgotten is forgotten within a run.
package struct SessionPlan: Sendable {
    /// So many sessions are remembered.
    package var sessions: Int
    package var forgottenAtOnce: Int
    package var outcomeBytesPerSession: Int
    package var outcomeBytes: Int
    /// Between two clients that come once, on average.
    package var pause: Duration
    /// One in so many asks for answers that are so long that a snapshot's chunk does not hold them; 0: none.
    package var longOneIn: Int

    package init(seed: UInt64) {
        var random = SeededRandom(seed: seed, purpose: 9)
        sessions = random.within(14...20)
        forgottenAtOnce = random.within(1...4)
        outcomeBytesPerSession = random.pick([60_000, 1_000_000])
        outcomeBytes = random.pick([150_000, 10_000_000])
        pause = .milliseconds(random.pick([60, 150, 400]))
        longOneIn = random.pick([0, 8, 8, 3])
    }

    var limits: SessionLimits {
        var limits = SessionLimits()
        limits.sessions = sessions
        limits.forgottenAtOnce = forgottenAtOnce
        limits.outcomeBytesPerSession = outcomeBytesPerSession
        limits.outcomeBytes = outcomeBytes
        return limits
    }
}
