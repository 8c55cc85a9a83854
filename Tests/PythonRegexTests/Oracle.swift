import Foundation
import Testing

@testable import PythonRegex

/// CPython itself, as a process that answers lines of JSON.
enum Oracle {
    struct Question {
        var pattern: String
        var subjects: [String]
    }

    enum Answer {
        case refused(reason: String, position: Int?, text: String)
        /// nil for a match that took too long.
        case matches([Bool?])
    }

    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../oracle/regex_oracle.py").standardizedFileURL.path(percentEncoded: false)

    /// All answers, in order.
    static func ask(_ questions: [Question]) throws -> [Answer] {
        let lines = try run(questions.map { ["pattern": $0.pattern, "subjects": $0.subjects] as [String: Any] })
        return lines.map { line in
            if let matches = line["matches"] as? [Any] { return .matches(matches.map { $0 as? Bool }) }
            return .refused(
                reason: line["error"] as? String ?? "", position: line["pos"] as? Int,
                text: line["text"] as? String ?? "")
        }
    }

    /// Patterns and subjects of CPython's own tests.
    static func cases() throws -> [Question] {
        let answer = try run([["cases": true]])
        let cases = answer.first?["cases"] as? [[String: Any]] ?? []
        return cases.map {
            Question(pattern: $0["pattern"] as? String ?? "", subjects: $0["subjects"] as? [String] ?? [])
        }
    }

    static func version() throws -> String {
        try run([["describe": true]]).first?["version"] as? String ?? "none"
    }

    private static func run(_ requests: [[String: Any]]) throws -> [[String: Any]] {
        // The input is a file, so that neither side waits for the other to read.
        let input = FileManager.default.temporaryDirectory.appending(path: "regex-oracle-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: input) }
        var text = Data()
        for request in requests {
            text += try JSONSerialization.data(withJSONObject: request)
            text.append(0x0A)
        }
        try text.write(to: input)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", script]
        process.standardInput = try FileHandle(forReadingFrom: input)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        let lines = data.split(separator: 0x0A)
        try #require(lines.count == requests.count)
        return try lines.map { try JSONSerialization.jsonObject(with: $0) as? [String: Any] ?? [:] }
    }
}

/// What both sides say of one another's patterns.
struct Comparison {
    var agreed = 0
    var undecided = 0
    var matched = 0
    var refused = 0
    var translated = 0
    var differences: [String] = []

    /// Compares what this library makes of each question with what CPython said.
    mutating func add(
        _ questions: [Oracle.Question], _ answers: [Oracle.Answer], scratch: MatchScratch,
        preference: CompiledExpression.Preference = .translated
    ) {
        for (question, answer) in zip(questions, answers) {
            let expression = Result { () throws(PythonRegexError) in
                try CompiledExpression(question.pattern, preference: preference)
            }
            switch (expression, answer) {
            case (.failure(let error), .refused(let reason, let position, let text)):
                let same = error.reason == reason && error.position == position && error.description == text
                record(same, "\(question.pattern.debugDescription): \(error), CPython: \(text)")
                refused += 1
            case (.failure(let error), .matches):
                record(false, "\(question.pattern.debugDescription): \(error), CPython takes it")
            case (.success, .refused(_, _, let text)):
                record(false, "\(question.pattern.debugDescription): taken, CPython: \(text)")
            case (.success(let expression), .matches(let expected)):
                if expression.isTranslated { translated += 1 }
                add(expression, question.subjects, expected, scratch)
            }
        }
    }

    private mutating func add(
        _ expression: CompiledExpression, _ subjects: [String], _ expected: [Bool?], _ scratch: MatchScratch
    ) {
        for (subject, expected) in zip(subjects, expected) {
            let bytes = Array(subject.utf8)
            let limits = MatchLimits(maximumWork: 2_000_000, maximumHeapKiB: 65_536)
            var budget = MatchBudget.standard
            let result = bytes.withUnsafeBytes {
                expression.fullMatch($0, limits: limits, budget: &budget, using: scratch)
            }
            let shown = "\(expression.pattern.debugDescription) on \(subject.debugDescription)"
            switch (result, expected) {
            case (.tooCostly, _), (_, nil): undecided += 1
            case (.match, true?):
                matched += 1
                record(true, shown)
                record(expression.literals.allow(bytes), "\(shown): literals \(expression.literals)")
            case (.noMatch, true?):
                record(false, "\(shown): no match, CPython: match")
            case (.match, false?):
                record(false, "\(shown): match, CPython: no match")
            case (.noMatch, false?):
                record(expression.literals.exact != bytes, "\(shown): exact literal, CPython: no match")
            }
        }
    }

    private mutating func record(_ same: Bool, _ difference: @autoclosure () -> String) {
        if same { agreed += 1 } else { differences.append(difference()) }
    }
}

extension RequiredLiterals {
    /// Whether a match may have these bytes.
    func allow(_ bytes: [UInt8]) -> Bool {
        (exact ?? bytes) == bytes && bytes.starts(with: prefix)
            && contained.allSatisfy { bytes.firstRange(of: $0) != nil }
    }
}
