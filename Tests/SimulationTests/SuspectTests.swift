import Routing
import Testing

@testable import Simulation

/// A request that ends each server that gets it, in whole suites (specs/0005, section 5).
@Suite struct SuspectTests {
    /// It is given up, and everybody else is answered: a run that does not come to peace fails.
    @Test(arguments: 1...12) func aRequestOfDeathEnds(_ seed: Int) {
        var plan = RunPlan(seed: UInt64(seed), kinds: [], milliseconds: 4_000)
        plan.workload.timeout = .seconds(15)
        plan.faults = [Fault(kind: .requestOfDeath, at: 500, lasts: 60, seed: UInt64(seed))]
        let run = Run(plan)
        let report = run.go()
        #expect(report.violations == [], "seed \(seed)")
        #expect(report.epochs < 20, "it does not go on killing")
        #expect(run.world.watch.suspects <= 1)
    }

    @Test func someAreGivenUp() {
        let given = (1...12).count { seed in
            var plan = RunPlan(seed: UInt64(seed), kinds: [], milliseconds: 4_000)
            plan.workload.timeout = .seconds(15)
            plan.faults = [Fault(kind: .requestOfDeath, at: 500, lasts: 60, seed: UInt64(seed))]
            let run = Run(plan)
            _ = run.go()
            return run.world.watch.suspects == 1
        }
        #expect(given > 6)
    }

    /// With hardly any room requests wait for each other, and all come to their end.
    @Test(arguments: [4, 12, 13, 17, 20, 31, 33, 40]) func nothingIsLostWithHardlyAnyRoom(_ seed: Int) {
        var plan = RunPlan(seed: UInt64(seed))
        plan.flow.answerBytes = 500
        plan.flow.directAnswerBytes = 200
        plan.flow.answerWindowBytes = 400
        plan.flow.reportBytes = 1
        plan.flow.requestsPerTurn = 1
        plan.flow.clientsPerTurn = 1
        #expect(Run(plan).go().violations == [], "seed \(seed)")
    }
}
