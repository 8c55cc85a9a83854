internal import CPCRE2

/// A pattern that PCRE2 compiled, to machine code where it can. Whoever makes one frees it.
///
/// `@unchecked Sendable`: nothing writes to the code between `init` and `free`, and PCRE2 lets threads share it.
struct PCRE2Code: @unchecked Sendable {
    private let code: OpaquePointer
    private let hasMachineCode: Bool

    /// What one attempt gave. `limit` stands for all that keeps it from an answer.
    enum Outcome { case match, noMatch, limit, stackOverflow }

    /// Whether the library's Unicode tables and its classes are those of CPython 3.11. Release 10.43 put marks into
    /// `\w`, and later ones brought newer tables.
    static let dialect: Translation.Dialect = {
        let classes = configured(UInt32(PCRE2_CONFIG_VERSION)).hasPrefix("10.42")
        let unicode = configured(UInt32(PCRE2_CONFIG_UNICODE_VERSION)).hasPrefix("14.0")
        return Translation.Dialect(hasSameClasses: classes && unicode)
    }()

    private static func configured(_ what: UInt32) -> String {
        let capacity = max(0, Int(pcre2_config_8(what, nil)))
        let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            guard let base = buffer.baseAddress else { return }
            count = max(0, Int(pcre2_config_8(what, base)) - 1)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// nil where PCRE2 refuses the text, for one of its limits.
    init?(_ translation: Translation.Result) {
        guard let context = pcre2_compile_context_create_8(nil) else { return nil }
        defer { pcre2_compile_context_free_8(context) }
        pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
        pcre2_set_parens_nest_limit_8(context, UInt32(RegexLimits.maximumTranslationNesting + 1))
        var error: Int32 = 0
        var offset = 0
        let options =
            PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK
            | (translation.hasAtomicGroup ? PCRE2_NO_AUTO_POSSESS : 0)
        let text = translation.text
        guard let code = pcre2_compile_8(text, text.count, options, &error, &offset, context) else { return nil }
        self.code = code
        hasMachineCode = pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE) == 0
    }

    /// What `pcre2_jit_match` takes; nil where there is no machine code.
    var machineCode: OpaquePointer? { hasMachineCode ? code : nil }

    /// 256 bits: with which bytes a match that is not empty may begin. Valid as long as the code; nil where PCRE2 does not
    /// know.
    var firstBytes: UnsafePointer<UInt8>? {
        var bits: UnsafePointer<UInt8>?
        guard pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_FIRSTBITMAP), &bits) == 0 else { return nil }
        return bits
    }

    /// Bytes that PCRE2 has allocated for it.
    var byteCount: Int {
        var size = 0
        var machineCodeSize = 0
        pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_SIZE), &size)
        pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_JITSIZE), &machineCodeSize)
        return size + machineCodeSize
    }

    func free() { pcre2_code_free_8(code) }

    /// - Parameters:
    ///   - subject: Valid UTF-8.
    ///   - counts: PCRE2's match limit.
    @inline(__always)
    func match(_ subject: UnsafeRawBufferPointer, counts: UInt32, scratch: borrowing MatchScratch) -> Outcome {
        guard hasMachineCode else {
            return interpret(subject, counts: counts, heapKiB: MatchLimits.standard.maximumHeapKiB, scratch: scratch)
        }
        pcre2_set_match_limit_8(scratch.context, counts)
        let status = pcre2_jit_match_8(
            code, Self.bytes(of: subject), subject.count, 0, PCRE2_NO_UTF_CHECK, scratch.matchData, scratch.context)
        return Self.outcome(status)
    }

    /// The same without machine code, with a stack on the heap.
    func interpret(
        _ subject: UnsafeRawBufferPointer, counts: UInt32, heapKiB: UInt32, scratch: MatchScratch
    ) -> Outcome {
        pcre2_set_match_limit_8(scratch.context, counts)
        pcre2_set_heap_limit_8(scratch.context, heapKiB)
        let status = pcre2_match_8(
            code, Self.bytes(of: subject), subject.count, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, scratch.matchData,
            scratch.context)
        return Self.outcome(status)
    }

    private static func outcome(_ status: Int32) -> Outcome {
        switch status {
        case 0...: .match
        case PCRE2_ERROR_NOMATCH: .noMatch
        case PCRE2_ERROR_JIT_STACKLIMIT: .stackOverflow
        // The limits of count, depth and heap, and what has no business here: never a wrong answer.
        default: .limit
        }
    }

    /// A buffer without bytes may have no address, and PCRE2 wants one.
    @inline(__always)
    private static func bytes(of subject: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
        subject.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? empty
    }

    /// An address for subjects without bytes.
    ///
    /// `nonisolated(unsafe)`: nobody reads or writes what it points to.
    private nonisolated(unsafe) static let empty: UnsafePointer<UInt8> = {
        let pointer = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
        pointer.initialize(to: 0)
        return UnsafePointer(pointer)
    }()
}
