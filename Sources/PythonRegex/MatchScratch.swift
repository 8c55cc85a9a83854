internal import CPCRE2

/// Working memory for matches: one for each thread that matches, for any number of expressions in turn.
///
/// It holds about 1 MiB, up to 8 MiB when a match needs it.
public final class MatchScratch {
    /// Bytes of the machine code's stack: at first, and at most.
    private static let initialStackBytes = 1_048_576
    private static let maximumStackBytes = 8 * 1_048_576

    let matchData: OpaquePointer
    let context: OpaquePointer
    private let stack: OpaquePointer
    /// For expressions that run on the module's own matcher.
    var memory = Backtracker.Memory()

    /// - Precondition: There is memory for it.
    public init() {
        // The expressions are asked whether they match, never for groups: one pair of offsets is enough.
        guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil),
            let stack = pcre2_jit_stack_create_8(Self.initialStackBytes, Self.maximumStackBytes, nil)
        else { preconditionFailure("no memory for matching regular expressions") }
        matchData = data
        self.context = context
        self.stack = stack
        pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack))
    }

    /// A match context with the same stack and a limit of its own; who makes it frees it, before this scratch goes.
    ///
    /// - Precondition: There is memory for it.
    func makeContext(counts: UInt32) -> OpaquePointer {
        guard let context = pcre2_match_context_create_8(nil) else {
            preconditionFailure("no memory for matching regular expressions")
        }
        pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack))
        pcre2_set_match_limit_8(context, counts)
        return context
    }

    deinit {
        pcre2_match_data_free_8(matchData)
        pcre2_match_context_free_8(context)
        pcre2_jit_stack_free_8(stack)
    }
}
