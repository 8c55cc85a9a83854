import PythonRegex
public import TupleCore

/// Which pairs a search looks at: worked out from the expressions' literals alone, before any pair is touched.
///
/// A plan never changes the answer: it leaves out only what cannot match.
struct SearchPlan: Sendable {
    enum Keys: Equatable, Sendable {
        /// The only packed keys that can match, ascending: one, or two where a comma may be an element's own.
        case exact([UInt8])
        /// All that begin with these bytes, at least one.
        case prefix([UInt8])
        case all
    }

    /// A text that stands in every pair that matches.
    struct Text: Sendable {
        let text: SoughtText
        /// In the key, else in the value.
        let isOfKey: Bool
    }

    let keys: Keys
    /// What pages are searched for before the expressions are asked; nil where nothing is known that helps.
    let text: Text?

    init(_ expression: PairExpression) {
        let prefix = expression.key.literalPrefix
        if expression.key.isExact {
            keys = .exact(prefix)
            text = nil
        } else {
            keys = prefix.isEmpty ? .all : .prefix(prefix)
            text = SearchPlan.text(expression, prefix)
        }
    }

    /// The longest text that not all keys with the prefix have.
    private static func text(_ expression: PairExpression, _ prefix: [UInt8]) -> Text? {
        var texts = expression.key.sought.filter { !$0.isPart(of: prefix) }.map { Text(text: $0, isOfKey: true) }
        texts += expression.value.sought.map { Text(text: $0, isOfKey: false) }
        var longest: Text?
        for text in texts where text.text.bytes.count > longest?.text.bytes.count ?? 0 { longest = text }
        return longest
    }

    /// Where the keys lie: from a bound up to below another one, nil where there is none.
    ///
    /// An exact key has a range too, since the joined elements may be followed by the packed form's boundary table:
    /// the key itself is looked up, and the range holds those with a table.
    var range: (from: [UInt8]?, below: [UInt8]?) {
        switch keys {
        case .all: return (nil, nil)
        case .prefix(let prefix): return (prefix, SearchPlan.successor(prefix))
        case .exact(let joined): return (joined + [0xFF], SearchPlan.successor(joined))
        }
    }

    /// The first bytes above all that begin with `prefix`. A prefix is UTF-8: its last byte is never 0xFF.
    private static func successor(_ prefix: [UInt8]) -> [UInt8] {
        var bound = prefix
        bound[bound.count - 1] += 1
        return bound
    }
}

extension SearchPlan: CustomStringConvertible {
    /// For people: `range of keys that begin with 'user,'`.
    var description: String {
        let range =
            switch keys {
            case .exact(let key): "look-up of the key \(SearchPlan.quoted(key))"
            case .prefix(let prefix): "range of keys that begin with \(SearchPlan.quoted(prefix))"
            case .all: "scan of all keys"
            }
        guard let text else { return range }
        let either = text.text.masks.contains { $0 != 0 } ? " in either case" : ""
        return range + " for \(SearchPlan.quoted(text.text.bytes))\(either) in the \(text.isOfKey ? "key" : "value")"
    }

    /// The plan and what it came to.
    func account(of run: SearchCursor, in space: Space) -> String {
        let expressions = text == nil ? "" : ", \(run.asked) by the expressions"
        return
            "\(self); \(run.examined) of \(space.count) pairs examined\(expressions), \(run.matched) matched"
    }

    private static let maximumQuoted = 60

    static func quoted(_ text: [UInt8]) -> String {
        let isLong = text.count > maximumQuoted
        return "'\(String(decoding: text.prefix(maximumQuoted), as: UTF8.self))\(isLong ? "…" : "")'"
    }
}

extension SoughtText {
    /// Whether it stands in `text`, which then says nothing new.
    fileprivate func isPart(of text: [UInt8]) -> Bool {
        guard bytes.count <= text.count else { return false }
        return (0...(text.count - bytes.count)).contains { start in
            bytes.indices.allSatisfy { text[start + $0] | masks[$0] == bytes[$0] }
        }
    }
}

extension TupleExpression {
    /// Texts that stand in the packed form of every matching tuple, the longest first.
    var sought: [SoughtText] {
        switch self {
        case .joined(let expression): expression.literals.sought
        case .elements(let expressions): expressions.flatMap(\.literals.sought)
        }
    }

    /// Whether ``literalPrefix`` is all of the joined elements of every matching tuple.
    var isExact: Bool {
        switch self {
        case .joined(let expression): expression.literals.exact?.isEmpty == false
        case .elements(let expressions):
            expressions.allSatisfy { $0.literals.exact?.isEmpty == false }
        }
    }
}

extension SearchResult {
    /// Adds how long the search has taken to its explanation, if there is one.
    public mutating func note(microseconds: () -> Int?) {
        if !explanation.isEmpty, let time = microseconds() { explanation += "; \(time) µs" }
    }
}

extension Answer {
    /// The answer with an account of the search that it comes from, if that was asked for.
    public func explained(by result: SearchResult) -> Answer {
        guard !result.explanation.isEmpty else { return self }
        var answer = self
        answer.explanation = result.explanation
        return answer
    }
}
