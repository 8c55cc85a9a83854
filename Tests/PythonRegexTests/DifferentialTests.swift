import Foundation
import Testing

@testable import PythonRegex

/// The library against `python3`, which has to be 3.11; the tests pass without saying anything where it is another.
@Suite(.serialized) struct DifferentialTests {
    private static let isComparable = (try? Oracle.version().hasPrefix("3.11.")) ?? false

    /// As users get it; then as it is with a PCRE2 of other Unicode tables; then on the module's own matcher.
    private static let preferences: [CompiledExpression.Preference] = [.translated, .explicitClasses, .exact]

    @Test(.enabled(if: isComparable)) func theCasesOfCPythonsOwnTestsAgree() throws {
        let questions = try Oracle.cases()
        #expect(questions.count > 2_000)
        let answers = try Oracle.ask(questions)
        for preference in Self.preferences {
            var comparison = Comparison()
            comparison.add(questions, answers, scratch: MatchScratch(), preference: preference)
            report(comparison, preference)
        }
    }

    /// `TWINSPACE_FUZZ_REGEX` sets the number of pairs, `TWINSPACE_SEED` the seed.
    @Test(.enabled(if: isComparable)) func randomPatternsAndSubjectsAgree() throws {
        let environment = ProcessInfo.processInfo.environment
        let pairs = environment["TWINSPACE_FUZZ_REGEX"].flatMap(Int.init) ?? 20_000
        let seed = environment["TWINSPACE_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0...(1 << 32))
        print("seed \(seed)")
        var patterns = RandomPattern(seed: seed)
        var comparisons = Self.preferences.map { (preference: $0, comparison: Comparison()) }
        let scratch = MatchScratch()
        let subjects = 8
        var rest = max(1, pairs / subjects)
        while rest > 0 {
            let questions = (0..<min(rest, 5_000)).map { _ in patterns.question(subjects: subjects) }
            let answers = try Oracle.ask(questions)
            for index in comparisons.indices {
                let preference = comparisons[index].preference
                comparisons[index].comparison.add(questions, answers, scratch: scratch, preference: preference)
            }
            rest -= questions.count
        }
        for (preference, comparison) in comparisons { report(comparison, preference) }
    }

    private func report(_ comparison: Comparison, _ preference: CompiledExpression.Preference) {
        print(
            "\(preference): agreed \(comparison.agreed) (\(comparison.matched) matches, \(comparison.refused) patterns refused, \(comparison.translated) on PCRE2), "
                + "undecided \(comparison.undecided), differences \(comparison.differences.count)")
        for difference in comparison.differences.prefix(40) { print(difference) }
        #expect(comparison.differences.isEmpty)
        #expect(comparison.undecided * 50 <= comparison.agreed)
    }
}
