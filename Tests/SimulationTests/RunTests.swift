import Testing

@testable import Simulation

/// Whole suites on simulated time, with faults from a seed. `make sim SEEDS=N` runs as many as one likes.
@Suite struct RunTests {
    @Test(arguments: 1...40) func noFaultLosesOrDoublesAnything(_ seed: Int) {
        let report = Run(RunPlan(seed: UInt64(seed))).go()
        #expect(report.violations == [], "twinspace-sim --seed \(seed) --trace tells the story")
    }

    /// What long runs have found: a takeover granted while the copy was being rewound; a snapshot of a longer, older history
    /// that was taken for the newest; epochs that were granted, not taken, and forgotten with the proxy's record.
    @Test(arguments: [108_775, 14_736, 104_389, 104_879, 3_063_811, 2_670_627_472])
    func whatWasFoundOnceIsNotThereAgain(_ seed: Int) {
        let report = Run(RunPlan(seed: UInt64(seed))).go()
        #expect(report.violations == [], "twinspace-sim --seed \(seed) --trace tells the story")
    }

    /// The same where memory keeps next to nothing of the log: followers are sent it from the journal, and snapshots in
    /// many parts.
    @Test(arguments: 1...40) func soItIsWithLittleMemory(_ seed: Int) {
        var plan = RunPlan(seed: UInt64(seed))
        plan.memory = MemoryPlan(seed: UInt64(seed))
        #expect(Run(plan).go().violations == [], "seed \(seed)")
    }

    /// The same with many sessions and long outcomes: those of one session take several parts of a snapshot.
    @Test(arguments: 1...20) func soItIsAtScale(_ seed: Int) {
        var plan = RunPlan(seed: UInt64(seed))
        plan.enlarge(ScalePlan(seed: UInt64(seed)))
        #expect(Run(plan).go().violations == [], "seed \(seed)")
    }

    /// The same where a server joins a suite that is at work already.
    @Test(arguments: 1...20) func soItIsWithALateServer(_ seed: Int) {
        var plan = RunPlan(seed: UInt64(seed))
        plan.lastServerStarts = plan.milliseconds / 2
        #expect(Run(plan).go().violations == [], "seed \(seed)")
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

    /// Faults are data; what is not in the plan does not come.
    @Test func aPlanIsData() {
        var plan = RunPlan(seed: 9, kinds: [], milliseconds: 3_000)
        plan.lastServerStarts = nil
        #expect(Run(plan).go().faults.isEmpty)
        plan.faults = [Fault(kind: .proxyRecordLost, at: 500, lasts: 700, seed: 1)]
        let report = Run(plan).go()
        #expect(report.violations == [])
        #expect(report.faults == [.proxyRecordLost: 1])
    }
}
