// Parses, translates, compiles and matches whatever libFuzzer makes up: the program behind `make fuzz-parser`.
//
// Nothing may trap, hang or take memory without bound, and PCRE2 and the module's own matcher must agree. Some of the
// inputs are written to the file that TWINSPACE_FUZZ_INPUTS names, each with its length before it (four bytes, the
// lowest first), so that CPython can be asked about them afterwards.

import Foundation

@testable import PythonRegex

@_cdecl("LLVMFuzzerTestOneInput")
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: start == nil ? 0 : count))
    let input = FuzzInput(bytes)
    Attempt.write(bytes)
    guard let expression = try? CompiledExpression(utf8: input.pattern) else { return 0 }
    guard let others = try? Attempt.others(expression.pattern) else {
        fatalError("taken once, refused then")
    }
    for subject in ["", input.subject] {
        let first = Attempt.match(expression, subject)
        for other in others {
            let second = Attempt.match(other, subject)
            guard let first, let second, first != second else { continue }
            fatalError("\(expression.pattern.debugDescription) on \(subject.debugDescription): \(first), \(second)")
        }
        guard first == true else { continue }
        let literals = expression.literals
        guard literals.allow(Array(subject.utf8)) else {
            fatalError("\(expression.pattern.debugDescription) on \(subject.debugDescription): \(literals)")
        }
    }
    return 0
}

enum Attempt {
    /// Enough for what is decided at all; more would only make the fuzzer slow.
    private static let limits = MatchLimits(maximumWork: 100_000, maximumHeapKiB: 4_096)
    /// `nonisolated(unsafe)`: libFuzzer calls from one thread.
    private nonisolated(unsafe) static let scratch = MatchScratch()

    /// The same pattern, matched in other ways.
    static func others(_ pattern: String) throws(PythonRegexError) -> [CompiledExpression] {
        [
            try CompiledExpression(pattern, preference: .explicitClasses),
            try CompiledExpression(pattern, preference: .exact),
        ]
    }

    /// nil where it is too costly.
    static func match(_ expression: CompiledExpression, _ subject: String) -> Bool? {
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

    // MARK: Inputs for CPython

    private static let longestInput = 2_000
    private static let mostInputBytes = 32 * 1_048_576
    private static let oneIn: UInt64 = 16
    private nonisolated(unsafe) static var written = 0
    private nonisolated(unsafe) static let inputs: UnsafeMutablePointer<FILE>? =
        ProcessInfo.processInfo.environment["TWINSPACE_FUZZ_INPUTS"].flatMap { fopen($0, "ab") }

    /// Every few inputs, by a hash of theirs.
    static func write(_ bytes: [UInt8]) {
        guard let inputs, bytes.count <= longestInput, written < mostInputBytes else { return }
        let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        guard (hash >> 20).isMultiple(of: oneIn) else { return }
        let length = UInt32(bytes.count)
        let record = (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + bytes
        written += record.count
        fwrite(record, 1, record.count, inputs)
    }
}
