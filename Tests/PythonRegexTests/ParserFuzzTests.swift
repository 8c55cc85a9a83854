import Foundation
import Testing

@testable import PythonRegex

/// A short run of what `make fuzz-parser` does for long: any bytes as a pattern.
@Suite struct ParserFuzzTests {
    private static let limits = MatchLimits(maximumWork: 20_000, maximumHeapKiB: 1_024)

    /// `TWINSPACE_SEED` sets the seed.
    @Test func anyBytesAreRefusedOrMatchTheSameWayOnBothMatchers() throws {
        let seed =
            ProcessInfo.processInfo.environment["TWINSPACE_SEED"].flatMap(UInt64.init)
            ?? UInt64.random(in: 0...(1 << 32))
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let patterns = try RecordedCases(file: Oracle.file("cpython_cases.jsonl")).cases.map { Array($0.pattern.utf8) }
            .filter { $0.count < 200 }
        let scratch = MatchScratch()
        var taken = 0
        for _ in 0..<4_000 {
            let bytes = Self.bytes(from: patterns, &random)
            guard let expression = try? CompiledExpression(utf8: bytes) else { continue }
            taken += 1
            let exact = try CompiledExpression(expression.pattern, preference: .exact)
            for subject in ["", "a", "ab", expression.pattern, "ſK\n"] {
                let one = Self.match(expression, subject, scratch)
                let other = Self.match(exact, subject, scratch)
                guard let one, let other else { continue }
                #expect(one == other, "\(expression.pattern.debugDescription) on \(subject.debugDescription)")
            }
        }
        #expect(taken > 200)
    }

    /// Pieces of patterns, one behind the other, with a few bytes changed.
    private static func bytes(from patterns: [[UInt8]], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let pattern = patterns.randomElement(using: &random) ?? []
            let start = Int.random(in: 0...pattern.count, using: &random)
            let end =
                Bool.random(using: &random) ? pattern.count : Int.random(in: start...pattern.count, using: &random)
            bytes += pattern[(Bool.random(using: &random) ? 0 : start)..<end]
        }
        for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
            let place = bytes.indices.randomElement(using: &random) ?? 0
            let isASCII = Int.random(in: 0..<8, using: &random) > 0
            bytes[place] = UInt8.random(in: 0...(isASCII ? 0x7F : 0xFF), using: &random)
        }
        return bytes
    }

    private static func match(_ expression: CompiledExpression, _ subject: String, _ scratch: MatchScratch) -> Bool? {
        var budget = MatchBudget.standard
        var text = subject
        let result = text.withUTF8 {
            expression.fullMatch(UnsafeRawBufferPointer($0), limits: limits, budget: &budget, using: scratch)
        }
        switch result {
        case .match: return true
        case .noMatch: return false
        case .tooCostly: return nil
        }
    }
}
