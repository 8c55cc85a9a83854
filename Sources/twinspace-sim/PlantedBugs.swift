#if PLANTED_BUGS
    import Glibc
    import Runtime
    import Simulation
    import TupleCore

    /// Plants bugs, one after another, and counts the seeds until each is found.
    enum PlantedBugs {
        /// - Returns: the exit code: 0 where every one was found.
        static func hunt(_ which: String, _ values: OptionValues) -> Int32 {
            let bugs = which == "all" ? PlantedBug.allCases : PlantedBug.allCases.filter { $0.rawValue == which }
            guard !bugs.isEmpty else {
                print("there is no bug \(which): \(PlantedBug.allCases.map(\.rawValue).joined(separator: ", "))")
                return OptionsError.exitCode
            }
            var missed = 0
            for bug in bugs {
                PlantedBug.planted = bug
                let first = UInt64(values.integer("seed"))
                let found = (first..<first + UInt64(values.integer("seeds"))).lazy.map { seed in
                    Run(SimulatorProgram.plan(seed, values)).go()
                }.first { !$0.violations.isEmpty }
                if let found {
                    let what = found.violations[0].split(separator: "\n")[0]
                    print("\(bug.rawValue): found by seed \(found.seed), after \(found.seed - first + 1): \(what)")
                } else {
                    missed += 1
                    print("\(bug.rawValue): NOT FOUND within \(values.integer("seeds")) seeds")
                }
                fflush(nil)
            }
            print("\(bugs.count - missed) of \(bugs.count) planted bugs found")
            return missed == 0 ? 0 : 1
        }
    }
#endif
