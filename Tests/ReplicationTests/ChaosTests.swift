import TestSupport
import Testing

/// Random faults under load: nothing acknowledged is lost, nothing takes effect twice, one server an epoch answers, all
/// copies are equal when it is over.
@Suite struct ChaosTests {
    /// `TWINSPACE_SEEDS` sets how many seeds are run, `TWINSPACE_TEST_SEED` runs that one alone.
    @Test func noFaultLosesOrDoublesAnything() {
        if let seed = setting("TWINSPACE_TEST_SEED") {
            check(seed, tellsStory: true)
            return
        }
        var failures = 0
        for seed in 1...(setting("TWINSPACE_SEEDS") ?? 300) {
            if !check(seed) { failures += 1 }
            if failures == 3 { break }
        }
    }

    @discardableResult
    private func check(_ seed: UInt64, tellsStory: Bool = false) -> Bool {
        var chaos = Chaos(seed: seed)
        let problems = chaos.run()
        guard !problems.isEmpty else { return true }
        if tellsStory { for line in chaos.wire.story { print(line) } }
        let text = problems.joined(separator: "; ")
        Issue.record("TWINSPACE_TEST_SEED=\(seed): \(text)")
        return false
    }
}
