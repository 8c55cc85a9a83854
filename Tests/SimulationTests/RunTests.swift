import Testing

@testable import Simulation

/// Whole suites on simulated time, with faults from a seed. `make sim SEEDS=N` runs as many as one likes.
@Suite struct RunTests {
    @Test(arguments: 1...40) func noFaultLosesOrDoublesAnything(_ seed: Int) {
        let report = Run(RunPlan(seed: UInt64(seed))).go()
        #expect(report.violations == [], "twinspace-sim --seed \(seed) --trace tells the story")
    }

    /// The same seed gives the same run, to the last message.
    @Test func aSeedTellsItsStoryTwice() {
        for seed in [3, 80, 131] as [UInt64] {
            let first = Run(RunPlan(seed: seed), tellsStory: true).go()
            let second = Run(RunPlan(seed: seed), tellsStory: false).go()
            #expect(first.traceHash == second.traceHash)
            #expect(first.story.count > 100)
        }
        #expect(Run(RunPlan(seed: 3)).go().traceHash != Run(RunPlan(seed: 4)).go().traceHash)
    }

    /// Leaving out a fault leaves the others as they are.
    @Test func aPlanIsDataThatCanBeShrunk() {
        var plan = RunPlan(seed: 9)
        #expect(plan.faults == RunPlan(seed: 9).faults)
        plan.faults.removeAll { $0.kind != .proxyRecordLost }
        let report = Run(plan).go()
        #expect(report.violations == [])
        #expect(report.faults == [.proxyRecordLost: 1])
    }
}
