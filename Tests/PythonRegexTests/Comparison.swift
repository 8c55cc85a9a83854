@testable import PythonRegex

/// What this library and CPython say of the same patterns.
struct Comparison {
    /// As users get it; then as it is with a PCRE2 of other Unicode tables; then on the module's own matcher.
    static let preferences: [CompiledExpression.Preference] = [.translated, .explicitClasses, .exact]

    let preference: CompiledExpression.Preference
    private(set) var agreed = 0
    private(set) var undecided = 0
    private(set) var matched = 0
    private(set) var refused = 0
    private(set) var translated = 0
    private(set) var differences: [String] = []

    init(_ preference: CompiledExpression.Preference) { self.preference = preference }

    /// Compares what this library makes of each question with what CPython said.
    mutating func add(_ questions: [Oracle.Question], _ answers: [Oracle.Answer], scratch: MatchScratch) {
        for (question, answer) in zip(questions, answers) {
            let expression = Result { () throws(PythonRegexError) in
                try CompiledExpression(question.pattern, preference: preference)
            }
            switch (expression, answer) {
            case (.failure(let error), .refused(let reason, let position, let text)):
                let same = error.reason == reason && error.position == position && error.description == text
                record(same || error.isLimit, "\(Self.shown(question.pattern)): \(error), CPython: \(text)")
                refused += 1
            case (.failure(let error), .matches):
                record(error.isLimit, "\(Self.shown(question.pattern)): \(error), CPython takes it")
            case (.success, .refused(_, _, let text)):
                record(false, "\(Self.shown(question.pattern)): taken, CPython: \(text)")
            case (.success(let expression), .matches(let expected)):
                if expression.isTranslated { translated += 1 }
                for (subject, expected) in zip(question.subjects, expected) {
                    add(expression, subject, expected, scratch)
                }
            }
        }
    }

    private mutating func add(
        _ expression: CompiledExpression, _ subject: String, _ expected: Bool?, _ scratch: MatchScratch
    ) {
        let bytes = Array(subject.utf8)
        let limits = MatchLimits(maximumWork: 2_000_000, maximumHeapKiB: 65_536)
        var budget = MatchBudget.standard
        let result = bytes.withUnsafeBytes {
            expression.fullMatch($0, limits: limits, budget: &budget, using: scratch)
        }
        let probed = bytes.withUnsafeBytes {
            ExpressionProbe(expression, using: scratch).fullMatch($0, budget: &budget)
        }
        var shown: String { "\(Self.shown(expression.pattern)) on \(Self.shown(subject))" }
        if probed.isDecided, result.isDecided, probed != result {
            record(false, "\(shown): \(result), as a probe: \(probed)")
        }
        switch (result, expected) {
        case (.tooCostly, _), (_, nil): undecided += 1
        case (.match, true?):
            matched += 1
            record(expression.literals.allow(bytes), "\(shown): literals \(expression.literals)")
        case (.noMatch, true?): record(false, "\(shown): no match, CPython: match")
        case (.match, false?): record(false, "\(shown): match, CPython: no match")
        case (.noMatch, false?):
            record(expression.literals.exact != bytes, "\(shown): exact literal, CPython: no match")
        }
    }

    private mutating func record(_ same: Bool, _ difference: @autoclosure () -> String) {
        if same { agreed += 1 } else { differences.append(difference()) }
    }

    /// Text as a literal of Swift and, but for `{}`, of Python.
    private static func shown(_ text: String) -> String { text.debugDescription }

    var summary: String {
        "\(preference): agreed \(agreed) (\(matched) matches, \(refused) patterns refused, \(translated) on PCRE2), "
            + "undecided \(undecided), differences \(differences.count)"
    }
}

extension MatchResult {
    fileprivate var isDecided: Bool {
        switch self {
        case .match, .noMatch: true
        case .tooCostly: false
        }
    }
}

extension PythonRegexError {
    /// Whether it is one of this library's own limits, which CPython does not have.
    var isLimit: Bool { reason.hasPrefix("groups nested deeper than") || reason.hasPrefix("pattern of ") }
}

extension RequiredLiterals {
    /// Whether a match may have these bytes.
    func allow(_ bytes: [UInt8]) -> Bool {
        (exact ?? bytes) == bytes && bytes.starts(with: prefix)
            && contained.allSatisfy { bytes.firstRange(of: $0) != nil }
    }
}
