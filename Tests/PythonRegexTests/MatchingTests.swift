import Testing

@testable import PythonRegex

/// Whether a pattern matches the whole of a subject; nil where it was too costly.
func matches(_ expression: CompiledExpression, _ subject: String) -> Bool? {
    let scratch = MatchScratch()
    var budget = MatchBudget.standard
    let bytes = Array(subject.utf8)
    return bytes.withUnsafeBytes { buffer in
        switch expression.fullMatch(buffer, budget: &budget, using: scratch) {
        case .match: true
        case .noMatch: false
        case .tooCostly: nil
        }
    }
}

@Suite struct MatchingTests {
    @Test(arguments: [
        (#"user\d+"#, "user42", true),
        (#"user\d+"#, "user", false),
        (#"user\d+"#, "user٤٢", true),
        (#"(?a)user\d+"#, "user٤٢", false),
        (#"(a|b|c)[0-9]{3}.*"#, "b123xyz", true),
        (#"a.c"#, "a\nc", false),
        (#"(?s)a.c"#, "a\nc", true),
        (#"(?i)straße"#, "STRAẞE", true),
        (#"(?i)k"#, "\u{212A}", true),
        (#"(?i)[i]"#, "İ", true),
        (#"(a)(?(1)b|c)"#, "ab", true),
        (#"a{,2}"#, "aa", true),
        (#"a{,2}"#, "a{,2}", false),
        (#"\B"#, "", false),
        (#"(?:a|ab){2}+"#, "aba", false),
        (#""#, "", true),
        (#"a$"#, "a\n", false),
        (#"a$\n"#, "a\n", true),
        (#"(?m)a\n^"#, "a\n", true),
        (#"\N{EM DASH}\N{nul}\N{HANGUL SYLLABLE GA}"#, "—\0가", true),
    ])
    func agreesWithCPython(pattern: String, subject: String, expected: Bool) throws {
        #expect(matches(try CompiledExpression(pattern), subject) == expected)
    }

    @Test func hostileExpressionsAreTooCostly() throws {
        let expression = try CompiledExpression("(a+)+$")
        #expect(matches(expression, String(repeating: "a", count: 200) + "!") == nil)
    }

    @Test func aBudgetIsSharedByMatches() throws {
        let expression = try CompiledExpression("(a+)+$")
        let scratch = MatchScratch()
        var budget = MatchBudget(work: 1_000)
        let subject = Array((String(repeating: "a", count: 64) + "!").utf8)
        let result = subject.withUnsafeBytes { expression.fullMatch($0, budget: &budget, using: scratch) }
        guard case .tooCostly = result else {
            Issue.record("\(result)")
            return
        }
        #expect(budget.isExhausted)
    }

    @Test func longSubjectsOutgrowTheMachineCodeStack() throws {
        let expression = try CompiledExpression("(a|b)*c")
        #expect(matches(expression, String(repeating: "ab", count: 150_000) + "c") == true)
    }
}
