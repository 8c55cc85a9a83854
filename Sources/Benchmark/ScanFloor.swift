import CPCRE2

/// What PCRE2's machine code takes for the same elements when they lie one behind the other and nothing else is done:
/// the floor under every scan that asks it about each of them.
struct ScanFloor: ~Copyable {
    private let code: OpaquePointer
    private let data: OpaquePointer
    private let context: OpaquePointer

    /// - Parameter pattern: PCRE2's syntax; it must match whole elements.
    /// - Returns: nil where PCRE2 does not take it.
    init?(_ pattern: String) {
        let text = Array("(?:\(pattern))\\z".utf8)
        var error: Int32 = 0
        var offset = 0
        let options = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK
        guard let code = pcre2_compile_8(text, text.count, options, &error, &offset, nil) else { return nil }
        guard pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE) == 0, let data = pcre2_match_data_create_8(1, nil),
            let context = pcre2_match_context_create_8(nil)
        else {
            pcre2_code_free_8(code)
            return nil
        }
        self.code = code
        self.data = data
        self.context = context
        pcre2_set_match_limit_8(context, 1_000_000)
    }

    deinit {
        pcre2_match_data_free_8(data)
        pcre2_match_context_free_8(context)
        pcre2_code_free_8(code)
    }

    /// How many of the elements match.
    func count(_ elements: [UInt8], elementBytes: Int) -> Int {
        elements.withUnsafeBufferPointer { elements in
            guard var subject = elements.baseAddress else { return 0 }
            var matching = 0
            for _ in 0..<elements.count / elementBytes {
                if pcre2_jit_match_8(code, subject, elementBytes, 0, PCRE2_NO_UTF_CHECK, data, context) >= 0 {
                    matching += 1
                }
                subject += elementBytes
            }
            return matching
        }
    }
}
