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
    /// Characters of the reason why an expression is malformed; a reason may quote the expression.
    static let maximumReason = 500
    private var kept: [[UInt8]: (expression: CompiledExpression, used: UInt64)] = [:]
    private var uses: UInt64 = 0
    private let scratch: MatchScratch

    public init() { scratch = MatchScratch() }

    /// What a GET's payload asks for.
    public func get(_ payload: Term) throws(ExpressionError) -> Search {
        Search(expression: try expression(payload), maximumBytes: Limits.maximumAnswerBytes)
    }

    /// What a DELETE's payload asks for: what it removes is one log entry.
    public func delete(_ payload: Term) throws(ExpressionError) -> Search {
        Search(expression: try expression(payload), maximumBytes: Limits.maximumEntryBytes)
    }

    /// The expressions that a GET or DELETE payload holds.
    func expression(_ payload: Term) throws(ExpressionError) -> PairExpression {
        guard case .list(let parts) = payload, parts.count == 2 else {
            throw ExpressionError(
                explanation: "malformed: the payload must be a list of two expressions, [KEYEXP, VALEXP]")
        }
        return PairExpression(
            key: try tupleExpression(parts[0], "key expression"),
            value: try tupleExpression(parts[1], "value expression"))
    }

    private func tupleExpression(_ term: Term, _ what: String) throws(ExpressionError) -> TupleExpression {
        switch term {
        case .string(let pattern): return .joined(try compile(pattern, what))
        case .list(let items):
            guard !items.isEmpty else {
                throw ExpressionError(explanation: "malformed \(what): a list of expressions has at least one")
            }
            var expressions: [CompiledExpression] = []
            for (position, item) in items.enumerated() {
                guard case .string(let pattern) = item else {
                    throw ExpressionError(
                        explanation: "malformed \(what): item \(position + 1) of the list is no string")
                }
                expressions.append(try compile(pattern, "\(what), element \(position + 1)"))
            }
            return .elements(expressions)
        case .null, .boolean, .number, .object:
            throw ExpressionError(explanation: "malformed \(what): it is neither a string nor a list of strings")
        }
    }

    private func compile(_ pattern: [UInt8], _ what: String) throws(ExpressionError) -> CompiledExpression {
        uses += 1
        if let found = kept[pattern] {
            kept[pattern]?.used = uses
            return found.expression
        }
        guard UTF8Check.isValid(pattern) else {
            throw ExpressionError(explanation: "malformed \(what): it is not UTF-8")
        }
        do throws(PythonRegexError) {
            let compiled = try CompiledExpression(utf8: pattern)
            if kept.count >= Matcher.maximumKept, let oldest = kept.min(by: { $0.value.used < $1.value.used })?.key {
                kept[oldest] = nil
            }
            kept[pattern] = (compiled, uses)
            return compiled
        } catch {
            throw ExpressionError(explanation: "malformed \(what): " + "\(error)".prefix(Matcher.maximumReason))
        }
    }

    /// Calls `visit` with every pair whose key begins as all matching keys do, in key order, until it returns false.
    func forEachCandidate(
        of search: Search, in map: PackedMap, _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) {
        if let keys = search.keys {
            for key in keys {
                let goesOn = key.packed.withUnsafeBytes { key in map.withValue(forKey: key) { visit(key, $0) } }
                if goesOn == false { return }
            }
            return
        }
        if case .exact(let key) = search.plan.keys {
            let goesOn = key.withUnsafeBytes { key in map.withValue(forKey: key) { visit(key, $0) } }
            if goesOn == false { return }
        }
        let range = search.plan.range
        guard let from = range.from, let below = range.below else {
            map.forEach(from: nil, below: nil, visit)
            return
        }
        from.withUnsafeBytes { from in below.withUnsafeBytes { map.forEach(from: from, below: $0, visit) } }
    }

    func matches(
        _ expression: PairExpression, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer,
        _ budget: inout MatchBudget
    ) -> MatchResult {
        let result = matches(expression.key, key, &budget)
        guard case .match = result else { return result }
        return matches(expression.value, value, &budget)
    }

    private func matches(
        _ expression: TupleExpression, _ packed: UnsafeRawBufferPointer, _ budget: inout MatchBudget
    ) -> MatchResult {
        switch expression {
        case .joined(let expression):
            let joined = UnsafeRawBufferPointer(rebasing: packed[..<Tuple.joinedCount(ofPacked: packed)])
            return expression.fullMatch(joined, budget: &budget, using: scratch)
        case .elements(let expressions):
            var count = 0
            var result = MatchResult.match
            Tuple.forEachElement(ofPacked: packed) { range in
                count += 1
                guard count <= expressions.count else { return false }
                let element = UnsafeRawBufferPointer(rebasing: packed[range])
                result = expressions[count - 1].fullMatch(element, budget: &budget, using: scratch)
                if case .match = result { return true }
                return false
            }
            if case .match = result, count != expressions.count { return .noMatch }
            return result
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
