/// A Python regular expression, ready to be matched: what `re.compile` of CPython 3.11 gives for a `str` pattern.
public final class CompiledExpression: Sendable {
    /// The pattern as it was given.
    public let pattern: String
    /// What a search can be planned by.
    public let literals: RequiredLiterals

    private let engine: Engine

    /// What matches: PCRE2, or the module's own matcher for what PCRE2 has no words for.
    private enum Engine: Sendable {
        case translated(PCRE2Code)
        case exact(Program)

        init(_ pattern: ParsedPattern, preference: Preference) {
            switch preference {
            case .translated, .explicitClasses:
                let dialect = preference == .translated ? PCRE2Code.dialect : .init(hasSameClasses: false)
                let text = Translation.translate(pattern, dialect: dialect)
                self = text.flatMap(PCRE2Code.init).map(Self.translated) ?? .exact(Program(pattern))
            case .exact: self = .exact(Program(pattern))
            }
        }
    }

    /// For tests, which compare the ways to match.
    enum Preference: Sendable {
        case translated, explicitClasses, exact
    }

    /// The same, matched in a certain way.
    init(_ pattern: String, preference: Preference) throws(PythonRegexError) {
        let parsed = try Self.parse(pattern)
        self.pattern = pattern
        literals = RequiredLiterals(of: parsed)
        engine = Engine(parsed, preference: preference)
    }

    /// Whether PCRE2 does the work, some ten nanoseconds a short subject; otherwise it takes some microseconds.
    public var isTranslated: Bool {
        switch engine {
        case .translated: true
        case .exact: false
        }
    }

    /// - Parameter pattern: Python's syntax; flags only as `(?i)` and the like.
    /// - Throws: What `re.compile` would say, or that a limit of ``RegexLimits`` is exceeded.
    /// - Complexity: O(*length*), some microseconds for a usual pattern, bounded for every other.
    public convenience init(_ pattern: String) throws(PythonRegexError) {
        try self.init(pattern, preference: .translated)
    }

    /// - Parameter pattern: The same, in UTF-8.
    /// - Throws: The same; also where the bytes are not UTF-8.
    public convenience init(utf8 pattern: some Collection<UInt8>) throws(PythonRegexError) {
        if pattern.count > RegexLimits.maximumPatternBytes { throw .tooLong(pattern.count) }
        guard let text = String(validating: pattern, as: UTF8.self) else {
            throw PythonRegexError("pattern is not valid UTF-8")
        }
        try self.init(text)
    }

    /// Whether a pattern is one, without the cost of compiling it.
    /// - Throws: What ``init(_:)`` throws.
    public static func validate(_ pattern: String) throws(PythonRegexError) {
        _ = try parse(pattern)
    }

    private static func parse(_ pattern: String) throws(PythonRegexError) -> ParsedPattern {
        let bytes = pattern.utf8.count
        if bytes > RegexLimits.maximumPatternBytes { throw .tooLong(bytes) }
        let parsed = try Parser.parse(pattern.unicodeScalars.map { CodePoint($0.value) })
        try SemanticCheck.check(parsed.nodes, flags: parsed.flags)
        return parsed
    }

    // MARK: Matching

    /// The first attempt gets this many units of work, each further one `growth` times as many: so the budget learns,
    /// to about that factor, what a match has cost, which PCRE2 does not tell.
    private static let firstAttempt: UInt64 = 128
    private static let growth: UInt64 = 4
    /// What a match costs that succeeds at its first attempt.
    private static let simpleMatch: UInt64 = 4
    /// So many bytes of the subject are worth one unit of work.
    private static let bytesPerUnit = 64

    /// Whether the whole of `subject` matches, as `fullmatch` says. Allocates nothing, unless the machine code's stack
    /// is too small and the interpreter takes over.
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
        let flat = Self.simpleMatch + UInt64(subject.count / Self.bytesPerUnit)
        guard budget.charge(flat) else { return .tooCostly(spent: 0) }
        switch engine {
        case .translated(let code): return match(code, subject, limits, &budget, scratch, spent: flat)
        case .exact(let program): return match(program, subject, limits, &budget, scratch)
        }
    }

    private func match(
        _ program: Program, _ subject: UnsafeRawBufferPointer, _ limits: MatchLimits, _ budget: inout MatchBudget,
        _ scratch: MatchScratch
    ) -> MatchResult {
        let allowed = min(limits.maximumWork, budget.remaining)
        let outcome = Backtracker.match(
            program, subject, work: allowed, heapKiB: limits.maximumHeapKiB, memory: &scratch.memory)
        let spent = allowed - outcome.remainingWork
        budget.charge(spent)
        switch outcome.result {
        case .match: return .match
        case .noMatch: return .noMatch
        case .limit, .stackOverflow: return .tooCostly(spent: spent)
        }
    }

    private func match(
        _ code: PCRE2Code, _ subject: UnsafeRawBufferPointer, _ limits: MatchLimits, _ budget: inout MatchBudget,
        _ scratch: MatchScratch, spent alreadySpent: UInt64
    ) -> MatchResult {
        // One count of PCRE2's may walk over the subject.
        let unitsPerCount = 1 + UInt64(subject.count / 256)
        var spent = alreadySpent
        var attempt = Self.firstAttempt
        var machineCode = true
        while true {
            let allowed = min(attempt, limits.maximumWork)
            let counts = UInt32(clamping: max(1, allowed / unitsPerCount))
            switch code.match(
                subject, counts: counts, heapKiB: limits.maximumHeapKiB, machineCode: machineCode, scratch: scratch)
            {
            case .match:
                settle(allowed, &budget)
                return .match
            case .noMatch:
                settle(allowed, &budget)
                return .noMatch
            case .stackOverflow:
                machineCode = false
                guard budget.charge(allowed) else { return .tooCostly(spent: spent) }
                spent += allowed
            case .limit:
                spent += allowed
                guard budget.charge(allowed), allowed < limits.maximumWork else { return .tooCostly(spent: spent) }
                attempt *= Self.growth
            }
        }
    }

    /// Takes the likely cost of the attempt that came to an end.
    private func settle(_ allowed: UInt64, _ budget: inout MatchBudget) {
        if allowed > Self.firstAttempt { budget.charge(allowed / Self.growth) }
    }
}

extension PythonRegexError {
    static func tooLong(_ bytes: Int) -> PythonRegexError {
        PythonRegexError("pattern of \(bytes) bytes is longer than \(RegexLimits.maximumPatternBytes)")
    }
}
