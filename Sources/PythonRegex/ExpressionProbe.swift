internal import CPCRE2

/// An expression made ready to be asked about very many subjects in a row: nothing is counted, locked, looked up or
/// allocated for each of them. Belongs to the thread of its scratch.
public final class ExpressionProbe {
    private let expression: CompiledExpression
    private let scratch: MatchScratch
    /// Of the shortcut, if there is one.
    private let rest: Shortcut.Rest?
    private let minimumRest: Int
    private let text: UnsafeMutableRawBufferPointer
    private let machineCode: OpaquePointer?
    /// 256 bits, of the bytes that a match may begin with; it is part of the code. nil where nothing is known.
    private let firstBytes: UnsafePointer<UInt8>?
    /// Of its own, so that the limit of counts is set once.
    private let context: OpaquePointer

    /// - Precondition: There is memory for it.
    public init(_ expression: CompiledExpression, using scratch: MatchScratch) {
        self.expression = expression
        self.scratch = scratch
        let shortcut = expression.shortcut
        rest = shortcut?.rest
        minimumRest = shortcut?.minimumRest ?? 0
        text = UnsafeMutableRawBufferPointer.allocate(byteCount: shortcut?.text.count ?? 0, alignment: 1)
        if let shortcut { text.copyBytes(from: shortcut.text) }
        machineCode = expression.code?.machineCode
        firstBytes = expression.code?.firstBytes
        context = scratch.makeContext(counts: UInt32(CompiledExpression.firstAttempt))
    }

    deinit {
        pcre2_match_context_free_8(context)
        text.deallocate()
    }

    /// Whether no engine is needed: telling takes some nanoseconds.
    public var isSimple: Bool { rest != nil }

    /// Whether some text is compared where no engine is needed; else nearly everything matches.
    public var hasText: Bool { text.count > 0 }

    /// The same as ``CompiledExpression/fullMatch(_:limits:budget:using:)`` at standard limits.
    public func fullMatch(_ subject: UnsafeRawBufferPointer, budget: inout MatchBudget) -> MatchResult {
        if let rest {
            guard budget.charge(Shortcut.cost(of: subject)) else { return .tooCostly(spent: 0) }
            return Shortcut.matches(subject, UnsafeRawBufferPointer(text), rest, minimumRest) ? .match : .noMatch
        }
        guard let machineCode, subject.count <= CompiledExpression.longSubject, let base = subject.baseAddress else {
            return expression.fullMatch(subject, budget: &budget, using: scratch)
        }
        if let firstBytes, subject.count > 0 {
            let byte = Int(base.load(as: UInt8.self))
            if firstBytes[byte &>> 3] & (1 &<< UInt8(truncatingIfNeeded: byte & 7)) == 0 {
                return budget.charge(1) ? .noMatch : .tooCostly(spent: 0)
            }
        }
        guard budget.charge(CompiledExpression.flatCost(of: subject)) else { return .tooCostly(spent: 0) }
        let status = pcre2_jit_match_8(
            machineCode, base.assumingMemoryBound(to: UInt8.self), subject.count, 0, PCRE2_NO_UTF_CHECK,
            scratch.matchData, context)
        if status == PCRE2_ERROR_NOMATCH { return .noMatch }
        if status >= 0 { return .match }
        // It takes longer than the first attempt may.
        return expression.fullMatch(subject, budget: &budget, using: scratch)
    }
}
