// Asks this library and CPython about random patterns: the program behind `make fuzz-regex`.
//
// usage: regex-differential PAIRS [SEED]        random patterns and subjects
//        regex-differential --inputs FILE...    patterns that the parser's fuzzer came upon (see parser.swift)
//        regex-differential --code-points       every code point: classes, case, names
//
// Exit code 1 where something differs; each difference is printed with its pattern.

import Foundation

@testable import PythonRegex

let arguments = Array(CommandLine.arguments.dropFirst())
guard Oracle.isComparable else {
    print("python3 is no 3.11.5 or later of 3.11: \(Oracle.version())")
    exit(2)
}
let run: DifferentialRun
if arguments.first == "--inputs" {
    run = DifferentialRun()
    try run.compare(inputs: arguments.dropFirst().map { URL(filePath: $0) })
} else if arguments.first == "--code-points" {
    exit(try CodePointComparison.run() ? 0 : 1)
} else if let pairs = arguments.first.flatMap(Int.init) {
    let seed = arguments.dropFirst().first.flatMap(UInt64.init) ?? UInt64.random(in: 0...(1 << 32))
    print("seed \(seed), \(pairs) pairs")
    run = DifferentialRun()
    try run.compare(pairs: pairs, seed: seed)
} else {
    print("usage: regex-differential PAIRS [SEED] | --inputs FILE... | --code-points")
    exit(2)
}
exit(run.report() ? 0 : 1)

final class DifferentialRun {
    /// Enough for CPython to be busy for some seconds, while this process compares the batch before.
    private static let batch = 4_000
    private static let subjects = 8
    private static let shown = 200

    private var comparisons = Comparison.preferences.map(Comparison.init)
    private var underWay: (questions: [Oracle.Question], inquiry: Oracle.Inquiry)?
    private var printed = 0
    private let start = ContinuousClock.now

    func compare(pairs: Int, seed: UInt64) throws {
        var patterns = RandomPattern(seed: seed)
        var rest = max(1, pairs / Self.subjects)
        while rest > 0 {
            let questions = (0..<min(rest, Self.batch)).map { _ in patterns.question(subjects: Self.subjects) }
            rest -= questions.count
            try ask(questions)
        }
        try finish()
    }

    /// Files as the parser's fuzzer has them: one input each; or many, one a line of JSON.
    func compare(inputs files: [URL]) throws {
        var seen: Set<[UInt8]> = []
        var questions: [Oracle.Question] = []
        func add(_ bytes: some Collection<UInt8>) throws {
            guard seen.insert(Array(bytes)).inserted, let question = FuzzInput(bytes).question else { return }
            questions.append(question)
            if questions.count == Self.batch {
                try ask(questions)
                questions = []
            }
        }
        for file in files {
            let data = try Data(contentsOf: file)
            if file.pathExtension == "inputs" {
                // Each with its length before it: four bytes, the lowest first.
                var rest = [UInt8](data)[...]
                while rest.count >= 4 {
                    let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
                    try add(rest.dropFirst(4).prefix(length))
                    rest = rest.dropFirst(4 + length)
                }
            } else {
                try add(data)
            }
        }
        try ask(questions)
        try finish()
    }

    /// Asks CPython, and compares meanwhile what it has answered before.
    private func ask(_ questions: [Oracle.Question]) throws {
        let inquiry = try Oracle.Inquiry(questions)
        try finish()
        underWay = (questions, inquiry)
    }

    private func finish() throws {
        guard let (questions, inquiry) = underWay else { return }
        underWay = nil
        let answers = try inquiry.answers()
        let scratch = MatchScratch()
        for index in comparisons.indices {
            let known = comparisons[index].differences.count
            comparisons[index].add(questions, answers, scratch: scratch)
            for difference in comparisons[index].differences.dropFirst(known) where printed < Self.shown {
                printed += 1
                print("\(comparisons[index].preference): \(difference)")
            }
        }
    }

    /// Whether all agrees.
    func report() -> Bool {
        for comparison in comparisons { print(comparison.summary) }
        print("\(start.duration(to: .now))")
        return comparisons.allSatisfy(\.differences.isEmpty)
    }
}
