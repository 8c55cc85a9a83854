import PythonRegex
public import TupleCore

/// The expressions of a GET or DELETE on their way to being compiled: one after another, so that it can be stopped in
/// between.
public struct SearchCompilation: Sendable {
    /// What all expressions of one request may take in memory, about; more are too costly.
    public static let maximumBytes = 16 * 1_048_576

    private let parts: [Term]
    private let isRemoval: Bool
    /// The part that is being compiled: 0 for the key, 1 for the value.
    private var part = 0
    private var compiled: [CompiledExpression] = []
    private var key: TupleExpression?
    private var value: TupleExpression?
    /// About what is compiled takes in memory.
    public private(set) var byteCount = 0

    /// An expression that is to be compiled, and what it is, for messages.
    struct Next {
        let pattern: [UInt8]
        let what: String
    }

    private static let names = ["key expression", "value expression"]

    /// - Throws: where the payload is no list of two.
    public init(_ payload: Term, isRemoval: Bool) throws(ExpressionError) {
        guard case .list(let parts) = payload, parts.count == 2 else {
            throw ExpressionError(
                explanation: "malformed: the payload must be a list of two expressions, [KEYEXP, VALEXP]")
        }
        self.parts = parts
        self.isRemoval = isRemoval
    }

    /// The expression whose turn it is; nil when all are compiled.
    ///
    /// - Throws: where it is none, or where no tuple has as many elements as the list has expressions.
    func next() throws(ExpressionError) -> Next? {
        guard part < parts.count else { return nil }
        let what = SearchCompilation.names[part]
        switch parts[part] {
        case .string(let pattern): return Next(pattern: pattern, what: what)
        case .list(let items):
            guard !items.isEmpty else {
                throw ExpressionError(explanation: "malformed \(what): a list of expressions has at least one")
            }
            guard items.count <= Limits.maximumTupleElements else {
                throw ExpressionError(
                    explanation:
                        "the \(what) matches nothing: it is a list of \(items.count), and no tuple has more than \(Limits.maximumTupleElements) elements"
                )
            }
            guard case .string(let pattern) = items[compiled.count] else {
                throw ExpressionError(
                    explanation: "malformed \(what): item \(compiled.count + 1) of the list is no string")
            }
            return Next(pattern: pattern, what: "\(what), element \(compiled.count + 1)")
        case .null, .boolean, .number, .object:
            throw ExpressionError(explanation: "malformed \(what): it is neither a string nor a list of strings")
        }
    }

    /// Takes in what ``next()`` has asked for.
    mutating func append(_ expression: CompiledExpression) {
        byteCount += expression.byteCount
        compiled.append(expression)
        let whole: TupleExpression
        if case .list(let items) = parts[part] {
            guard compiled.count == items.count else { return }
            whole = .elements(compiled)
        } else {
            whole = .joined(expression)
        }
        if part == 0 { key = whole } else { value = whole }
        compiled = []
        part += 1
    }

    /// - Precondition: ``next()`` has said that all are compiled.
    var expression: PairExpression {
        guard let key, let value else { preconditionFailure("expressions are missing") }
        return PairExpression(key: key, value: value)
    }

    /// Goes on compiling.
    ///
    /// - Parameters:
    ///   - work: what this may cost, in units of about ten nanoseconds; it ends behind the expression that uses it up.
    ///   - budget: of the request.
    /// - Returns: nil where it has to go on.
    /// - Complexity: bounded by `work` and one expression.
    public mutating func run(
        _ matcher: Matcher, slice work: UInt64, budget: inout UInt64, cancellation: Cancellation?
    ) throws(ExpressionError) -> Ending? {
        var left = work
        while let next = try next() {
            if cancellation?.isCancelled == true { return .failed(.cancelled) }
            guard left > 0 else { return nil }
            let cost = matcher.keeps(next.pattern) ? 1 : Matcher.compileWork(payloadBytes: next.pattern.count + 1)
            guard cost <= budget else { return .failed(.tooCostly) }
            budget -= cost
            left -= min(left, cost)
            append(try matcher.compile(next))
            guard byteCount <= SearchCompilation.maximumBytes else { return .failed(.tooCostly) }
        }
        return .done(Search(expression: expression, isRemoval: isRemoval))
    }

    public enum Ending: Sendable {
        case done(Search)
        case failed(SearchResult.Ending)
    }
}

extension TupleExpression {
    /// About what it takes in memory.
    var byteCount: Int {
        switch self {
        case .joined(let expression): expression.byteCount
        case .elements(let expressions): expressions.reduce(0) { $0 + $1.byteCount }
        }
    }
}
