extension CompiledExpression {
    /// The first attempt gets this many units of work, each further one `growth` times as many: so the budget learns,
    /// to about that factor, what a match has cost, which PCRE2 does not tell.
    static var firstAttempt: UInt64 { 128 }
    private static var growth: UInt64 { 4 }
    /// What a match costs that succeeds at its first attempt.
    private static var simpleMatch: UInt64 { 4 }
    /// So many bytes of the subject are worth one unit of work, as a power of two.
    private static var bytesPerUnitShift: Int { 5 }
    /// Where PCRE2 may walk over the subject at each count, so many bytes make a count one unit dearer, as a power of
    /// two. Measured: no count costs more than about ten nanoseconds a unit.
    private static var walkShift: Int { 8 }
    /// Above this length not much is guessed of patterns that may walk: after so much work the module's own matcher
    /// takes over, which counts its steps.
    static var longSubject: Int { 1_024 }
    private static var guessedWork: UInt64 { 65_536 }

    /// What every match costs.
    @inline(__always)
    static func flatCost(of subject: UnsafeRawBufferPointer) -> UInt64 {
        simpleMatch &+ UInt64(truncatingIfNeeded: subject.count &>> bytesPerUnitShift)
    }

    /// Whether the whole of `subject` matches, as `fullmatch` says. Allocates nothing, unless the machine code's stack
    /// is too small or the module's own matcher takes over, and then only what `scratch` has not kept from before.
    ///
    /// - Parameters:
    ///   - subject: UTF-8 that is known to be valid: invalid bytes are undefined behaviour.
    ///   - limits: For this match alone.
    ///   - budget: Of the whole request; what the match costs is taken from it.
    ///   - scratch: Of this thread.
    /// - Complexity: Bounded by `limits` and `budget`.
    public func fullMatch(
        _ subject: UnsafeRawBufferPointer, limits: MatchLimits = .standard, budget: inout MatchBudget,
        using scratch: MatchScratch
    ) -> MatchResult {
        if let shortcut {
            guard budget.charge(Shortcut.cost(of: subject)) else { return .tooCostly(spent: 0) }
            return shortcut.matches(subject) ? .match : .noMatch
        }
        let flat = Self.flatCost(of: subject)
        guard budget.charge(flat) else { return .tooCostly(spent: 0) }
        guard let code else { return matchExactly(subject, limits, &budget, scratch, spent: flat) }
        let allowed = min(Self.firstAttempt, limits.maximumWork)
        let counts = UInt32(truncatingIfNeeded: allowed >> (subject.count > Self.longSubject ? 4 : 0))
        switch code.match(subject, counts: max(1, counts), scratch: scratch) {
        case .match: return .match
        case .noMatch: return .noMatch
        case .limit, .stackOverflow:
            guard budget.charge(allowed) else { return .tooCostly(spent: flat + allowed) }
            return retry(code, subject, limits, &budget, scratch, spent: flat + allowed)
        }
    }

    /// Goes on after the first attempt, with more and more work.
    @inline(never)
    private func retry(
        _ code: PCRE2Code, _ subject: UnsafeRawBufferPointer, _ limits: MatchLimits, _ budget: inout MatchBudget,
        _ scratch: MatchScratch, spent alreadySpent: UInt64
    ) -> MatchResult {
        let isGuess = mayScan && subject.count > Self.longSubject
        let unitsPerCount = mayScan ? 1 + UInt64(subject.count >> Self.walkShift) : 1
        var spent = alreadySpent
        var attempt = Self.firstAttempt
        var usesMachineCode = true
        while true {
            if isGuess, spent > Self.guessedWork {
                return matchExactly(subject, limits, &budget, scratch, spent: spent)
            }
            let available = min(budget.remaining, limits.maximumWork - min(spent, limits.maximumWork))
            guard available > 0 else { return .tooCostly(spent: spent) }
            attempt = min(attempt * Self.growth, available)
            let counts = UInt32(clamping: max(1, attempt / unitsPerCount))
            let outcome =
                usesMachineCode
                ? code.match(subject, counts: counts, scratch: scratch)
                : code.interpret(subject, counts: counts, heapKiB: limits.maximumHeapKiB, scratch: scratch)
            switch outcome {
            case .match, .noMatch:
                // It took more than the attempt before this one.
                budget.charge(attempt / Self.growth)
                return outcome == .match ? .match : .noMatch
            case .stackOverflow: usesMachineCode = false
            case .limit: break
            }
            budget.charge(attempt)
            spent += attempt
        }
    }

    /// On the module's own matcher, which counts its steps.
    @inline(never)
    private func matchExactly(
        _ subject: UnsafeRawBufferPointer, _ limits: MatchLimits, _ budget: inout MatchBudget,
        _ scratch: MatchScratch, spent: UInt64
    ) -> MatchResult {
        let allowed = min(limits.maximumWork, budget.remaining)
        guard let program = exactProgram() else { return .tooCostly(spent: spent) }
        let outcome = Backtracker.match(
            program, subject, work: allowed, heapKiB: limits.maximumHeapKiB, memory: &scratch.memory)
        let used = allowed - outcome.remainingWork
        budget.charge(used)
        switch outcome.result {
        case .match: return .match
        case .noMatch: return .noMatch
        case .limit, .stackOverflow: return .tooCostly(spent: spent + used)
        }
    }
}
