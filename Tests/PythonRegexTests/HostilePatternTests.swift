import Foundation
import Synchronization
import Testing

@testable import PythonRegex

@Suite struct HostilePatternTests {
    /// Patterns that would cost much, or end the process, if anything were unbounded.
    private static let patterns = [
        String(repeating: "(", count: 60_000), String(repeating: "(?:", count: 20_000),
        String(repeating: "(?(1)", count: 13_000), String(repeating: "(?=", count: 20_000),
        String(repeating: "(", count: 200) + String(repeating: ")*", count: 200),
        String(repeating: "(", count: 200) + "a" + String(repeating: "){0,1000}", count: 200),
        "(?:(?:(?:a{1,1000}){1,1000}){1,1000})", String(repeating: "\\w", count: 32_000),
        "(?i)" + String(repeating: "[\\x00-\\uffff]", count: 4_600), String(repeating: "[", count: 65_536),
        String(repeating: "a|", count: 32_000), String(repeating: "(a)", count: 21_000),
        String(repeating: "\\N{EM DASH}", count: 5_000), "a{" + String(repeating: "9", count: 60_000) + "}",
        "((((a{1,1000}){1,1000}){1,1000}))",
        String(repeating: "(?>a|", count: 199) + "a" + String(repeating: ")++", count: 199),
        String(repeating: "(?<=", count: 190) + String(repeating: "a", count: 60_000),
        "(?(" + String(repeating: "1", count: 60_000) + ")a)",
    ]

    @Test func aSmallStackIsEnough() throws {
        let finished = Mutex(0)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            for pattern in Self.patterns {
                if let expression = try? CompiledExpression(pattern) { _ = matches(expression, "aaaa") }
                finished.withLock { $0 += 1 }
            }
            done.signal()
        }
        thread.stackSize = 2_097_152
        thread.start()
        try #require(done.wait(timeout: .now() + 300) == .success)
        #expect(finished.withLock { $0 } == Self.patterns.count)
    }

    /// A cache of expressions can be bounded in bytes.
    @Test func anExpressionTellsItsSize() throws {
        #expect(1_000..<4_000 ~= (try CompiledExpression("user,[0-9]+").byteCount))
        #expect(try CompiledExpression(String(repeating: "(a)", count: 21_000)).byteCount > 21_000 * 3 * 16)
        for pattern in Self.patterns {
            guard let expression = try? CompiledExpression(pattern) else { continue }
            #expect(pattern.utf8.count..<16_777_216 ~= expression.byteCount)
        }
    }

    @Test func whatIsTooLongOrTooDeepIsRefused() {
        #expect(throws: PythonRegexError("pattern of 65537 bytes is longer than 65536")) {
            try CompiledExpression(String(repeating: "a", count: 65_537))
        }
        #expect(throws: PythonRegexError("groups nested deeper than 200", at: 201)) {
            try CompiledExpression(String(repeating: "(", count: 300))
        }
        #expect(throws: PythonRegexError("pattern is not valid UTF-8")) { try CompiledExpression(utf8: [0xFF]) }
    }

    @Test(arguments: [
        ("(a+)+$", 30), ("(a+)+$", 65_000), ("(a|aa)+$", 65_000), ("(?:a?){30}a{30}$", 40), ("(.*)*[xz]", 65_000),
        (#"(?i)(a*)*\1b"#, 65_000), ("(?:a|.*y|.*z|a)*[xz]", 1_000), ("[a-z]*[a-z]*[a-z]*[a-z]*\\d", 65_000),
        ("(?:(?=.*y)a|a|a)*[xz]", 65_000), ("(?:){4294967294}!", 1),
    ])
    func itIsTooCostlyAndTheBudgetPaysForIt(pattern: String, length: Int) throws {
        let expression = try CompiledExpression(pattern)
        let subject = Array((String(repeating: "a", count: length) + "!").utf8)
        let scratch = MatchScratch()
        var budget = MatchBudget(work: 20_000_000)
        var spent: [UInt64] = []
        subject.withUnsafeBytes { buffer in
            while !budget.isExhausted, spent.count < 100 {
                let result = expression.fullMatch(buffer, budget: &budget, using: scratch)
                guard case .tooCostly(let work) = result else { break }
                spent.append(work)
            }
        }
        #expect(spent.count == 2 || spent.count == 3)
        #expect(budget.isExhausted)
    }

    /// Work that grows with the length of the subject alone is no offence.
    @Test(arguments: [
        (#"(\w+,)*\w+"#, "abc,"), ("(?:ab?)*c?", "ab"), ("(a|b)*", "ab"), ("[a-c]*[b-d]*", "abc"),
        (#"(?i)(a)b(?:\1b)*"#, "ab"), ("(?:(?:a)(?:b))*+", "ab"),
    ])
    func longSubjectsOfLinearWorkAreMatched(pattern: String, unit: String) throws {
        let expression = try CompiledExpression(pattern)
        let subject = String(repeating: unit, count: 60_000 / unit.utf8.count) + (unit == "abc," ? "x" : "")
        #expect(matches(expression, subject) != nil)
    }

    @Test func scratchServesManyExpressionsInTurn() throws {
        let scratch = MatchScratch()
        var budget = MatchBudget.standard
        let subject = Array("abab".utf8)
        for _ in 0..<10 {
            for (pattern, expected) in [("(ab)*", MatchResult.match), (#"(?i)(a)b\1b"#, .match), ("a", .noMatch)] {
                let expression = try CompiledExpression(pattern)
                let result = subject.withUnsafeBytes { expression.fullMatch($0, budget: &budget, using: scratch) }
                #expect(result == expected)
            }
        }
    }
}
