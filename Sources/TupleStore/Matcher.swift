import PythonRegex
public import TupleCore

/// What a tuple must match: a regular expression for the elements joined with commas, or one for each element.
enum TupleExpression: Sendable {
    case joined(CompiledExpression)
    case elements([CompiledExpression])
}

/// What a pair must match.
struct PairExpression: Sendable {
    var key: TupleExpression
    var value: TupleExpression
}

/// Why a payload of GET or DELETE is no pair of expressions.
public struct ExpressionError: Error, Hashable, Sendable {
    /// What is wrong, and where.
    public var explanation: String
}

/// Compiles expressions, keeps the most recently used ones, and matches with them. One for each thread that matches.
public final class Matcher {
    /// Compiled expressions that are kept.
    static let maximumKept = 256
    /// What they take together, about. A translation can be a thousand times as long as its pattern.
    static let maximumKeptBytes = 8 * 1_048_576
    /// Characters of the reason why an expression is malformed; a reason may quote the expression.
    static let maximumReason = 500
    private var kept: [[UInt8]: (expression: CompiledExpression, bytes: Int, used: UInt64)] = [:]
    private(set) var keptBytes = 0
    private var uses: UInt64 = 0
    let scratch: MatchScratch

    public init() { scratch = MatchScratch() }

    /// What a GET's payload asks for.
    public func get(_ payload: Term) throws(ExpressionError) -> Search { try search(payload, isRemoval: false) }

    /// What a DELETE's payload asks for: what it removes is one log entry.
    public func delete(_ payload: Term) throws(ExpressionError) -> Search { try search(payload, isRemoval: true) }

    private func search(_ payload: Term, isRemoval: Bool) throws(ExpressionError) -> Search {
        Search(expression: try expression(payload), isRemoval: isRemoval)
    }

    /// What compiling the expressions of a payload may cost, in units of about ten nanoseconds.
    public static func compileWork(payloadBytes: Int) -> UInt64 {
        UInt64(payloadBytes) * CompiledExpression.compileWorkPerByte
    }

    /// The expressions that a GET or DELETE payload holds.
    func expression(_ payload: Term) throws(ExpressionError) -> PairExpression {
        var compilation = try SearchCompilation(payload, isRemoval: false)
        while let next = try compilation.next() { compilation.append(try compile(next)) }
        return compilation.expression
    }

    private func keep(_ compiled: CompiledExpression, _ pattern: [UInt8]) {
        let bytes = compiled.byteCount + pattern.count
        guard bytes <= Matcher.maximumKeptBytes else { return }
        while kept.count >= Matcher.maximumKept || keptBytes + bytes > Matcher.maximumKeptBytes,
            let oldest = kept.min(by: { $0.value.used < $1.value.used })
        {
            kept[oldest.key] = nil
            keptBytes -= oldest.value.bytes
        }
        kept[pattern] = (compiled, bytes, uses)
        keptBytes += bytes
    }

    /// Whether the expression is kept, so that compiling it costs nothing.
    func keeps(_ pattern: [UInt8]) -> Bool { kept[pattern] != nil }

    func compile(_ next: SearchCompilation.Next) throws(ExpressionError) -> CompiledExpression {
        let pattern = next.pattern
        uses += 1
        if let found = kept[pattern] {
            kept[pattern]?.used = uses
            return found.expression
        }
        guard UTF8Check.isValid(pattern) else {
            throw ExpressionError(explanation: "malformed \(next.what): it is not UTF-8")
        }
        do throws(PythonRegexError) {
            let compiled = try CompiledExpression(utf8: pattern)
            // Keys as such hardly come again, and would drive out what does.
            if compiled.literals.exact == nil { keep(compiled, pattern) }
            return compiled
        } catch {
            throw ExpressionError(explanation: "malformed \(next.what): " + "\(error)".prefix(Matcher.maximumReason))
        }
    }
}

extension TupleExpression {
    /// What the packed form of every matching tuple begins with.
    var literalPrefix: [UInt8] {
        switch self {
        case .joined(let expression): return expression.literals.exact ?? expression.literals.prefix
        case .elements(let expressions):
            var prefix: [UInt8] = []
            for (position, expression) in expressions.enumerated() {
                if position > 0 { prefix.append(UInt8(ascii: ",")) }
                guard let literal = expression.literals.exact else { return prefix + expression.literals.prefix }
                prefix += literal
            }
            return prefix
        }
    }
}
