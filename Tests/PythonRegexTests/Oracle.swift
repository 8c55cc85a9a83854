import Foundation

/// CPython itself, as a process that answers lines of JSON.
enum Oracle {
    struct Question {
        var pattern: String
        var subjects: [String]
    }

    enum Answer {
        case refused(reason: String, position: Int?, text: String)
        /// nil for a match that took too long, or in which CPython found a fault of its own.
        case matches([Bool?])
    }

    enum Failure: Error {
        case ended(status: Int32)
        case answers(Int, to: Int)
        case line(String)
    }

    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../oracle").standardizedFileURL

    /// A file in the oracle's folder.
    static func file(_ name: String) -> URL { folder.appending(path: name) }

    /// All answers, in order.
    static func ask(_ questions: [Question]) throws -> [Answer] { try Inquiry(questions).answers() }

    /// Version and release level, as of `sys.version_info`; none where there is no `python3`.
    static func version() -> [Int] {
        guard let line = try? Inquiry(requests: [["describe": true]]).lines().first else { return [] }
        return (line["version"] as? String ?? "").split(separator: ".").compactMap { Int($0) }
    }

    /// Whether what `python3` answers is what this library promises: that of 3.11, from the release on that had its
    /// possessive repeats mended.
    static let isComparable: Bool = {
        let version = Oracle.version()
        return version.count == 3 && version.prefix(2) == [3, 11] && version[2] >= 5
    }()

    /// Questions that are under way.
    final class Inquiry {
        private let process = Process()
        // Files, so that neither side waits for the other to read.
        private let input: URL
        private let output: URL
        private let count: Int

        convenience init(_ questions: [Question]) throws {
            try self.init(requests: questions.map { ["pattern": $0.pattern, "subjects": $0.subjects] })
        }

        init(requests: [[String: Any]]) throws {
            let name = FileManager.default.temporaryDirectory.appending(path: "regex-oracle-\(UUID().uuidString)")
            input = name.appendingPathExtension("in")
            output = name.appendingPathExtension("out")
            count = requests.count
            var text = Data()
            for request in requests {
                text += try JSONSerialization.data(withJSONObject: request)
                text.append(0x0A)
            }
            try text.write(to: input)
            try Data().write(to: output)
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["python3", Oracle.file("regex_oracle.py").path(percentEncoded: false)]
            process.standardInput = try FileHandle(forReadingFrom: input)
            process.standardOutput = try FileHandle(forWritingTo: output)
            try process.run()
        }

        /// Waits for all answers.
        func answers() throws -> [Answer] {
            try lines().map { line in
                if let matches = line["matches"] as? [Any] { return .matches(matches.map { $0 as? Bool }) }
                return .refused(
                    reason: line["error"] as? String ?? "", position: line["pos"] as? Int,
                    text: line["text"] as? String ?? "")
            }
        }

        func lines() throws -> [[String: Any]] {
            defer {
                for file in [input, output] { try? FileManager.default.removeItem(at: file) }
            }
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { throw Failure.ended(status: process.terminationStatus) }
            let lines = try Data(contentsOf: output).split(separator: 0x0A)
            guard lines.count == count else { throw Failure.answers(lines.count, to: count) }
            return try lines.map { line in
                guard let object = try JSONSerialization.jsonObject(with: line) as? [String: Any] else {
                    throw Failure.line(String(decoding: line, as: UTF8.self))
                }
                return object
            }
        }
    }
}
