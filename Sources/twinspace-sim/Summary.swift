import Simulation

/// What many runs came to.
struct Summary {
    private var seeds = 0
    private var failed = 0
    private var undecided = 0
    private var requests = 0
    private var unknown = 0
    private var notDone = 0
    private var groups = 0
    private var questions = 0
    private var saidNotDone = 0
    private var forgotten = 0
    private var epochs: UInt64 = 0
    private var simulated = Duration.zero
    private var longestSettling = Duration.zero
    private var slowestSeed: UInt64 = 0
    private var faults: [FaultKind: Int] = [:]
    private var trace: UInt64 = 0

    mutating func add(_ report: RunReport) {
        seeds += 1
        if !report.violations.isEmpty { failed += 1 }
        if report.isUndecided { undecided += 1 }
        requests += report.requests
        unknown += report.unknown
        notDone += report.notDone
        groups += report.groups
        questions += report.questions
        saidNotDone += report.saidNotDone
        forgotten += report.forgotten
        epochs += report.epochs
        simulated += report.simulated
        if report.settling > longestSettling {
            longestSettling = report.settling
            slowestSeed = report.seed
        }
        for (kind, count) in report.faults { faults[kind, default: 0] += count }
        trace = trace &* 31 &+ report.traceHash
    }

    var text: String {
        let kinds = FaultKind.allCases.compactMap { kind in faults[kind].map { "\(kind.rawValue) \($0)" } }
        let hours = Double(simulated.components.seconds) / 3_600
        return """
            \(seeds) seeds, \(failed) failed; \(Summary.rounded(hours)) simulated hours, \
            \(faults.values.reduce(0, +)) faults, \(epochs) epochs
            \(requests) requests: \(unknown) ended unknown, \(notDone) not done; \(groups) entries of several requests; \
            \(undecided) histories undecided
            \(questions) questions what became of a request, \(saidNotDone) answered 'not done'; \(forgotten) sessions forgotten
            longest until all was well again: \(longestSettling) (seed \(slowestSeed))
            faults: \(kinds.joined(separator: ", "))
            trace \(String(trace, radix: 16))
            """
    }

    private static func rounded(_ hours: Double) -> String {
        let hundredths = Int(hours * 100)
        let fraction = "\(hundredths % 100)"
        return "\(hundredths / 100).\(fraction.count == 1 ? "0" : "")\(fraction)"
    }

    static func describe(_ plan: RunPlan, _ report: RunReport) -> String {
        """
        seed \(plan.seed): \(plan.servers) servers, heartbeats every \(plan.heartbeatMilliseconds) ms, \
        \(plan.workload.clients) clients, \(plan.milliseconds) ms; trace \(String(report.traceHash, radix: 16))
        \(plan.faults.map { "  \($0)" }.joined(separator: "\n"))
        """
    }
}
