internal import Synchronization

/// A Python regular expression, ready to be matched: what `re.compile` of CPython 3.11 gives for a `str` pattern.
public final class CompiledExpression: Sendable {
    /// The pattern as it was given.
    public let pattern: String
    /// What a search can be planned by.
    public let literals: RequiredLiterals
    /// nil where an engine is needed.
    let shortcut: Shortcut?
    /// nil where PCRE2 has no words for the pattern.
    let code: PCRE2Code?
    /// See ``ScanCost``.
    let mayScan: Bool
    /// For the module's own matcher; made when it is needed.
    private let program: Mutex<Program?>
    /// About how much memory the expression takes, in bytes, with what it may take later: for whoever keeps many.
    public let byteCount: Int

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

    /// For tests, which compare the ways to match.
    enum Preference: Sendable {
        case translated, explicitClasses, exact
    }

    /// The same, matched in a certain way.
    init(_ pattern: String, preference: Preference) throws(PythonRegexError) {
        let parsed = try Self.parse(pattern)
        self.pattern = pattern
        let literals = RequiredLiterals(of: parsed)
        self.literals = literals
        mayScan = ScanCost.mayScan(parsed.nodes)
        shortcut = preference == .translated ? Shortcut(parsed, literals) : nil
        let translation: Translation.Result? =
            switch preference {
            case .translated: Translation.translate(parsed, dialect: PCRE2Code.dialect)
            case .explicitClasses: Translation.translate(parsed, dialect: .init(hasSameClasses: false))
            case .exact: nil
            }
        let shared = pattern.utf8.count + literals.byteCount + Self.fixedBytes
        if let translation, let code = PCRE2Code(translation) {
            self.code = code
            program = Mutex(nil)
            byteCount = shared + code.byteCount + Program.byteCount(of: parsed, translation: translation)
        } else {
            code = nil
            let program = Program(parsed)
            byteCount = shared + program.byteCount
            self.program = Mutex(program)
        }
    }

    /// The object itself, and what the allocator adds to a handful of blocks.
    private static let fixedBytes = 512

    deinit { code?.free() }

    /// Whether a pattern is one, without the cost of compiling it.
    /// - Throws: What ``init(_:)`` throws.
    public static func validate(_ pattern: String) throws(PythonRegexError) {
        _ = try parse(pattern)
    }

    /// Whether PCRE2 does the work, in some ten nanoseconds for a short subject; otherwise it takes about a
    /// microsecond.
    public var isTranslated: Bool { code != nil }

    private static func parse(_ pattern: String) throws(PythonRegexError) -> ParsedPattern {
        let bytes = pattern.utf8.count
        if bytes > RegexLimits.maximumPatternBytes { throw .tooLong(bytes) }
        let parsed = try Parser.parse(pattern.unicodeScalars.map { CodePoint($0.value) })
        try SemanticCheck.check(parsed.nodes, flags: parsed.flags)
        return parsed
    }

    /// Units of ``MatchBudget`` that compiling takes for each byte of a pattern, at most about: whoever compiles patterns
    /// of strangers charges them, for a longest pattern takes as long as a longest match.
    public static let compileWorkPerByte: UInt64 = 256

    /// nil only if the pattern could not be read again, which it could before.
    func exactProgram() -> Program? {
        program.withLock { program in
            if program == nil { program = (try? Self.parse(pattern)).map(Program.init) }
            return program
        }
    }
}

extension PythonRegexError {
    static func tooLong(_ bytes: Int) -> PythonRegexError {
        PythonRegexError("pattern of \(bytes) bytes is longer than \(RegexLimits.maximumPatternBytes)")
    }
}
