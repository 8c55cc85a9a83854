import Foundation
import Testing

@testable import PythonRegex

/// The library against CPython 3.11: what was recorded of it, and, where `python3` is one, `python3` itself.
@Suite(.serialized) struct DifferentialTests {
    @Test func theCasesOfCPythonsOwnTestsAgree() throws {
        let recorded = try RecordedCases(file: Oracle.file("cpython_cases.jsonl"))
        let (questions, answers) = recorded.questions(step: 32)
        #expect(questions.count > 2_900)
        for preference in Comparison.preferences {
            var comparison = Comparison(preference)
            comparison.add(questions, answers, scratch: MatchScratch())
            report(comparison)
        }
    }

    /// `TWINSPACE_FUZZ_REGEX` sets the number of pairs, `TWINSPACE_SEED` the seed. For many, use `make fuzz-regex`.
    @Test(.enabled(if: Oracle.isComparable, "python3 is no 3.11.5 or later of 3.11"))
    func randomPatternsAndSubjectsAgree() throws {
        let environment = ProcessInfo.processInfo.environment
        let pairs = environment["TWINSPACE_FUZZ_REGEX"].flatMap(Int.init) ?? 16_000
        let seed = environment["TWINSPACE_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0...(1 << 32))
        print("seed \(seed)")
        var patterns = RandomPattern(seed: seed)
        let subjects = 8
        let questions = (0..<max(1, pairs / subjects)).map { _ in patterns.question(subjects: subjects) }
        let answers = try Oracle.ask(questions)
        for preference in Comparison.preferences {
            var comparison = Comparison(preference)
            comparison.add(questions, answers, scratch: MatchScratch())
            report(comparison)
        }
    }

    private func report(_ comparison: Comparison) {
        print(comparison.summary)
        for difference in comparison.differences.prefix(40) { print(difference) }
        #expect(comparison.differences.isEmpty)
        #expect(comparison.undecided * 50 <= comparison.agreed)
    }
}
