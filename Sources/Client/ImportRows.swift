import TupleCore
import WireProtocol

/// Turns the bytes of a file into pairs, or into reasons why a row is none. Pure.
struct ImportRows {
    struct Row: Equatable {
        /// The line that the row begins on, from 1.
        var line: Int
        var content: Content
    }

    enum Content: Equatable {
        case pair(Term)
        /// Why it is none.
        case malformed(String)
    }

    /// A file that cannot be imported at all.
    struct Problem: Error, Equatable {
        var message: String
        var code = ExitCode.malformed
    }

    /// The longest line of a JSON-lines file.
    static let maximumLineBytes = 16 * 1_048_576

    let settings: ImportSettings
    private var lines = LineSplitter(maximumBytes: maximumLineBytes)
    private var lineNumber = 0
    private var csv: CSVReader
    var columns: Columns?

    struct Columns {
        var key: [Int]
        /// Nil: all that are not in the key.
        var value: [Int]?
        /// How many each row has: as many as the first.
        var count: Int
        /// The header's, where there is one.
        var names: [[UInt8]]
    }

    init(_ settings: ImportSettings) {
        self.settings = settings
        csv = CSVReader(delimiter: settings.delimiter)
    }

    /// The rows that end within `bytes`.
    ///
    /// - Throws: where the file has not the columns that were asked for.
    mutating func read(_ bytes: [UInt8]) throws(Problem) -> [Row] {
        switch settings.format {
        case .jsonl:
            lines.append(bytes)
            return wanted(jsonRows())
        case .csv:
            var rows: [CSVReader.Row] = []
            csv.read(bytes) { rows.append($0) }
            return wanted(try csvRows(rows))
        }
    }

    /// The last row, where the file does not end with a line end.
    mutating func finish() throws(Problem) -> [Row] {
        switch settings.format {
        case .jsonl:
            lines.end()
            return wanted(jsonRows())
        case .csv:
            var rows: [CSVReader.Row] = []
            csv.finish { rows.append($0) }
            return wanted(try csvRows(rows))
        }
    }

    private func wanted(_ rows: [Row]) -> [Row] {
        settings.firstLine > 1 ? rows.filter { $0.line >= settings.firstLine } : rows
    }

    // MARK: JSON lines

    private mutating func jsonRows() -> [Row] {
        var rows: [Row] = []
        while let line = lines.next() {
            lineNumber += 1
            switch line {
            case .tooLong:
                let reason = "the line is longer than \(ImportRows.maximumLineBytes) bytes"
                rows.append(Row(line: lineNumber, content: .malformed(reason)))
            case .text(let text):
                // Empty lines hold nothing that could be lost.
                if text.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
                rows.append(Row(line: lineNumber, content: ImportRows.jsonRow(text)))
            }
        }
        return rows
    }

    private static func jsonRow(_ text: ArraySlice<UInt8>) -> Content {
        let term: Term
        do throws(JSONError) { term = try JSON.parse(text) } catch { return .malformed("\(error)") }
        if case .list(let parts) = term, parts.count == 2 { return checked(key: parts[0], value: parts[1]) }
        if let key = term["key"], let value = term["value"] { return checked(key: key, value: value) }
        return .malformed(#"neither [KEY, VALUE] nor {"key": […], "value": […]}"#)
    }

    // MARK: Checks

    /// What no space takes, whatever its rule for elements, is found here; the rest is the server's to judge.
    static func checked(key: Term, value: Term) -> Content {
        let pair = Term.list([key, value])
        return MalformedItem.detail(of: pair, rule: .text).map(Content.malformed) ?? .pair(pair)
    }
}

/// Words: the runs of alphanumeric characters.
enum Words {
    /// - Precondition: the text is UTF-8.
    static func split(_ text: [UInt8]) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var word: [UInt8] = []
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            let bytes = UTF8.encode(scalar).map { Array($0) } ?? []
            if ElementRule.alphanumeric.allows(bytes) {
                word.append(contentsOf: bytes)
            } else if !word.isEmpty {
                words.append(word)
                word = []
            }
        }
        if !word.isEmpty { words.append(word) }
        return words
    }
}
