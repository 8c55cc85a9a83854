import Foundation

/// A text file of the project, and what is left of it for a rule to look at.
struct SourceText {
    /// The path from the project's root, with `/` between its parts.
    let path: String

    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The folder below `Sources/` that the file is in, or nil for a file elsewhere.
    var room: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    var name: String { String(path.split(separator: "/").last ?? "") }

    /// The code alone: comments, and what string literals contain, are blank. Line numbers stay what they were.
    ///
    /// Interpolations count as text of their literal; a rule that matters there is caught by review.
    var code: String {
        var scanner = CodeScanner(text)
        return scanner.blanked()
    }

    /// The lines (counted from 1) whose code matches the expression. A full stop ends a word, as in `Clock.now`; by the
    /// Unicode rules, which are Swift's usual ones, it would not.
    func codeLines(matching expression: Regex<Substring>) -> [Int] {
        let expression = expression.wordBoundaryKind(.simple)
        return code.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            .filter { $0.element.contains(expression) }
            .map { $0.offset + 1 }
    }
}

/// Blanks comments and literals of Swift and C text.
private struct CodeScanner {
    private let bytes: [UInt8]
    private var position = 0
    private var output: [UInt8] = []

    init(_ text: String) {
        bytes = Array(text.utf8)
        output.reserveCapacity(bytes.count)
    }

    mutating func blanked() -> String {
        while position < bytes.count {
            if starts(with: "//") {
                blank { $0.bytes[$0.position] == UInt8(ascii: "\n") }
            } else if starts(with: "/*") {
                blankBlockComment()
            } else if let hashes = literalStart() {
                blankLiteral(hashes: hashes)
            } else {
                output.append(bytes[position])
                position += 1
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private func starts(with text: String) -> Bool {
        bytes[position...].starts(with: text.utf8)
    }

    /// The number of `#` before a quotation mark here, or nil when no literal starts here.
    private func literalStart() -> Int? {
        var end = position
        while end < bytes.count, bytes[end] == UInt8(ascii: "#") { end += 1 }
        return end < bytes.count && bytes[end] == UInt8(ascii: "\"") ? end - position : nil
    }

    private mutating func blank(count: Int) {
        for _ in 0..<count where position < bytes.count {
            output.append(bytes[position] == UInt8(ascii: "\n") ? bytes[position] : UInt8(ascii: " "))
            position += 1
        }
    }

    private mutating func blank(until isEnd: (CodeScanner) -> Bool) {
        while position < bytes.count, !isEnd(self) { blank(count: 1) }
    }

    private mutating func blankBlockComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += 1
                blank(count: 2)
            } else if starts(with: "*/") {
                depth -= 1
                blank(count: 2)
            } else {
                blank(count: 1)
            }
        } while depth > 0 && position < bytes.count
    }

    private mutating func blankLiteral(hashes: Int) {
        let fence = String(repeating: "#", count: hashes)
        blank(count: hashes)
        let quotes = starts(with: "\"\"\"") ? "\"\"\"" : "\""
        blank(count: quotes.utf8.count)
        while position < bytes.count, !starts(with: quotes + fence) {
            if starts(with: "\\" + fence) {
                blank(count: 1 + hashes)
            } else if quotes == "\"", bytes[position] == UInt8(ascii: "\n") {
                return
            }
            blank(count: 1)
        }
        blank(count: quotes.utf8.count + hashes)
    }
}

/// The project's tree, as the tests find it from their own place in it.
enum Project {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Folders that are not the project's own text.
    private static let skipped: Set<String> = [".build", ".git", ".swiftpm", "__pycache__", ".twinspace"]

    /// All text files below a folder (or one file) of the project, sorted by path. Files that are no UTF-8 are left out.
    static func files(below folder: String, extensions: Set<String>? = nil) -> [SourceText] {
        let start = root.appending(path: folder)
        var found: [SourceText] = []
        var pending = [start]
        while let place = pending.popLast() {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: place.path, isDirectory: &isFolder) else { continue }
            if isFolder.boolValue {
                let names = (try? FileManager.default.contentsOfDirectory(atPath: place.path)) ?? []
                pending += names.filter { !skipped.contains($0) }.map { place.appending(path: $0) }
            } else if extensions?.contains(place.pathExtension) ?? true,
                let text = try? String(contentsOf: place, encoding: .utf8)
            {
                let path = place.path.dropFirst(root.path.count).drop { $0 == "/" }
                found.append(SourceText(path: String(path), text: text))
            }
        }
        return found.sorted { $0.path < $1.path }
    }

    static let sources = files(below: "Sources")
    static let swiftSources = sources.filter { $0.name.hasSuffix(".swift") }
    static let documents =
        files(below: ".", extensions: ["md"])
        .map { SourceText(path: String($0.path.trimmingPrefix("./")), text: $0.text) }

    /// Everything that people wrote here.
    static let everything =
        sources + documents
        + ["Tests", "scripts", "docker", ".ci"].flatMap { files(below: $0).filter { !$0.name.hasSuffix(".md") } }
        + ["Makefile", "Package.swift"].flatMap { files(below: $0) }
}
