import TestSupport
import Testing
import TupleCore

@testable import TupleStore

@Suite struct OutcomesTests {
    /// Held against a dictionary.
    @Test func theyKeepWhatADictionaryKeeps() {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        for round in 0..<60 {
            var outcomes = Outcomes()
            var model: [RequestSequence: [UInt8]] = [:]
            var next: UInt64 = 1
            for _ in 0..<300 {
                let inOrder = round % 2 == 0 || Int.random(in: 0..<4, using: &random) > 0
                let sequence = RequestSequence(inOrder ? next : UInt64.random(in: 1...next, using: &random))
                next += inOrder ? 1 : 0
                switch Int.random(in: 0..<10, using: &random) {
                case 0:
                    let low = RequestSequence(UInt64.random(in: 1...next, using: &random))
                    outcomes.forget(below: low)
                    model = model.filter { $0.key >= low }
                case 1:
                    let oldest = model.keys.min()
                    #expect(outcomes.forgetFirst() == oldest, "seed \(seed)")
                    if let oldest { model[oldest] = nil }
                default:
                    let outcome = [UInt8](repeating: 7, count: Int.random(in: 0..<3, using: &random))
                    outcomes.set(outcome, for: sequence)
                    model[sequence] = outcome
                }
                #expect(outcomes.count == model.count, "seed \(seed)")
                #expect(outcomes.sequences == model.keys.sorted(), "seed \(seed)")
                #expect(outcomes[sequence] == model[sequence], "seed \(seed)")
                let bytes = model.values.reduce(0) { $0 + ($1.isEmpty ? 0 : $1.count + Outcomes.overheadBytes) }
                #expect(outcomes.byteCount == bytes, "seed \(seed)")
            }
            var again = Outcomes()
            for (sequence, outcome) in model { again.set(outcome, for: sequence) }
            #expect(again == outcomes, "seed \(seed)")
        }
    }
}
