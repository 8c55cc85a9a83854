import Glibc
import Runtime
import Simulation

/// The main of `twinspace-sim`.
enum SimulatorProgram {
    static let program = "twinspace-sim"

    static let specification = OptionsSpecification(
        program: program, version: Release.version,
        usage: "[--seed N] [--seeds COUNT] [OPTION]…",
        summary:
            "Runs whole suites (clients, proxy, servers, disks) on simulated time, network and disks, with faults from a seed, and checks what must hold.",
        groups: planted + [
            OptionsSpecification.Group(
                "Seeds",
                [
                    Option("seed", .integer(0...Int.max), default: "1", help: "The first seed."),
                    Option("seeds", .integer(1...1_000_000_000), default: "1", help: "How many, one after another."),
                    Option(
                        "failures", .integer(1...1_000), default: "3",
                        help: "Stop after so many seeds that failed."),
                ]),
            OptionsSpecification.Group(
                "What happens",
                [
                    Option(
                        "faults", .text(placeholder: "KINDS"), default: "all",
                        help: "'all', 'none', 'list' to print the kinds, or kinds with commas between them."),
                    Option("servers", .integer(2...5), help: "How many servers; 2 or 3, as the seed decides."),
                    Option(
                        "steps", .integer(1...3_600_000), help: "How long things go wrong, in simulated milliseconds."),
                ]),
            OptionsSpecification.Group(
                "What is told",
                [
                    Option("trace", .toggle, help: "Tell everything that happens."),
                    Option(
                        "shrink", .toggle,
                        help: "Look for fewer faults with which the seed still fails, and tell that story."),
                ]),
        ],
        example: "twinspace-sim --seeds 2000 --faults all")

    #if PLANTED_BUGS
        private static let planted = [
            OptionsSpecification.Group(
                "Planted bugs",
                [
                    Option(
                        "planted", .text(placeholder: "BUG"), default: "none",
                        help: "'all', or the one to plant: each has to be found within --seeds seeds.")
                ])
        ]
    #else
        private static let planted: [OptionsSpecification.Group] = []
    #endif

    static func main() -> Never {
        ProcessStart.begin(as: .command)
        let values = specification.parseProcess()
        if values.text("faults") == "list" {
            for kind in FaultKind.allCases { print(kind.rawValue) }
            exit(0)
        }
        #if PLANTED_BUGS
            if values.text("planted") != "none" { exit(PlantedBugs.hunt(values.text("planted"), values)) }
        #endif
        exit(run(values))
    }

    /// The plan of a seed, as the command line has it.
    static func plan(_ seed: UInt64, _ values: OptionValues) -> RunPlan {
        RunPlan(
            seed: seed, servers: values.integerIfAny("servers"), kinds: kinds(values.text("faults")),
            milliseconds: values.integerIfAny("steps"))
    }

    private static func kinds(_ text: String) -> [FaultKind] {
        switch text {
        case "all": return FaultKind.allCases
        case "none": return []
        default:
            return text.split(separator: ",").map { word in
                guard let kind = FaultKind(rawValue: String(word)) else {
                    fail("--faults: there is no kind '\(word)'; --faults list prints them")
                }
                return kind
            }
        }
    }

    private static func fail(_ message: String) -> Never {
        let text = Array("\(program): \(message)\n".utf8)
        _ = write(STDERR_FILENO, text, text.count)
        exit(OptionsError.exitCode)
    }

    private static func run(_ values: OptionValues) -> Int32 {
        let first = UInt64(values.integer("seed"))
        let count = UInt64(values.integer("seeds"))
        let tells = values.isOn("trace")
        var summary = Summary()
        var failures = 0
        for seed in first..<first + count {
            let plan = plan(seed, values)
            let report = Run(plan, tellsStory: tells).go()
            summary.add(report)
            if tells { for line in report.story { print(line) } }
            if count == 1 { print(Summary.describe(plan, report)) }
            guard !report.violations.isEmpty else { continue }
            failures += 1
            print("seed \(seed) failed:")
            for violation in report.violations { print("  \(violation)") }
            if values.isOn("shrink") { shrink(plan) }
            fflush(nil)
            if failures == values.integer("failures") { break }
        }
        print(summary.text)
        return failures == 0 ? 0 : 1
    }

    private static func shrink(_ plan: RunPlan) {
        let (smaller, report) = Shrinking.shrink(plan)
        print("shrunk from \(plan.faults.count) faults to \(smaller.faults.count):")
        print(Summary.describe(smaller, report))
        for line in report.story { print("  " + line) }
    }
}
