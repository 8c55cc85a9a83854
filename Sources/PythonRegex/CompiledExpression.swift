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
        program = Mutex(nil)
        switch preference {
        case .translated:
            shortcut = Shortcut(parsed, literals)
            code = Translation.translate(parsed, dialect: PCRE2Code.dialect).flatMap(PCRE2Code.init)
        case .explicitClasses:
            shortcut = nil
            code = Translation.translate(parsed, dialect: .init(hasSameClasses: false)).flatMap(PCRE2Code.init)
        case .exact:
            shortcut = nil
            code = nil
        }
    }

    deinit { code?.free() }

    /// Whether a pattern is one, without the cost of compiling it.
    /// - Throws: What ``init(_:)`` throws.
    public static func validate(_ pattern: String) throws(PythonRegexError) {
        _ = try parse(pattern)
    }

    /// Whether PCRE2 does the work, in some ten nanoseconds for a short subject; otherwise it takes about a
    /// microsecond.
    public var isTranslated: Bool { code != nil }

    /// About how much memory it takes, in bytes.
    public var byteCount: Int {
        // The module's own program, where one is made, has at most some instructions for each character.
        pattern.utf8.count * (code == nil ? 64 : 4) + (code?.byteCount ?? 0) + 512
    }

    private static func parse(_ pattern: String) throws(PythonRegexError) -> ParsedPattern {
        let bytes = pattern.utf8.count
        if bytes > RegexLimits.maximumPatternBytes { throw .tooLong(bytes) }
        let parsed = try Parser.parse(pattern.unicodeScalars.map { CodePoint($0.value) })
        try SemanticCheck.check(parsed.nodes, flags: parsed.flags)
        return parsed
    }

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
