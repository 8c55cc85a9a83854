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
    }

    /// The longest line of a JSON-lines file.
    static let maximumLineBytes = 16 * 1_048_576

    private let settings: ImportSettings
    private var lines = LineSplitter(maximumBytes: maximumLineBytes)
    private var lineNumber = 0
    private var csv = CSVReader()
    private var columns: Columns?

    private struct Columns {
        var key: [Int]
        /// Nil: all that are not in the key.
        var value: [Int]?
    }

    init(_ settings: ImportSettings) { self.settings = settings }

    /// The rows that end within `bytes`.
    ///
    /// - Throws: where the file has not the columns that were asked for.
    mutating func read(_ bytes: [UInt8]) throws(Problem) -> [Row] {
        switch settings.format {
        case .jsonl:
            lines.append(bytes)
            return jsonRows()
        case .csv:
            var rows: [CSVReader.Row] = []
            csv.read(bytes) { rows.append($0) }
            return try csvRows(rows)
        }
    }

    /// The last row, where the file does not end with a line end.
    mutating func finish() throws(Problem) -> [Row] {
        switch settings.format {
        case .jsonl:
            lines.end()
            return jsonRows()
        case .csv:
            var rows: [CSVReader.Row] = []
            csv.finish { rows.append($0) }
            return try csvRows(rows)
        }
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

    // MARK: CSV

    private mutating func csvRows(_ rows: [CSVReader.Row]) throws(Problem) -> [Row] {
        var result: [Row] = []
        for row in rows {
            switch row {
            case .problem(let reason, let line):
                if columns == nil, settings.hasHeader { throw Problem(message: "line \(line): the header: \(reason)") }
                result.append(Row(line: line, content: .malformed(reason)))
            case .fields(let fields, let line):
                if let columns {
                    result.append(Row(line: line, content: csvRow(fields, columns)))
                    continue
                }
                let header = settings.hasHeader ? fields : []
                let columns = Columns(
                    key: try ImportRows.positions(settings.keyColumns, header),
                    value: try settings.valueColumns.map { names throws(Problem) in
                        try ImportRows.positions(names, header)
                    })
                self.columns = columns
                if !settings.hasHeader { result.append(Row(line: line, content: csvRow(fields, columns))) }
            }
        }
        return result
    }

    /// A name of the header goes before a number.
    private static func positions(_ names: [String], _ header: [[UInt8]]) throws(Problem) -> [Int] {
        guard !names.isEmpty else { throw Problem(message: "no columns are given") }
        var positions: [Int] = []
        for name in names {
            if let position = header.firstIndex(of: [UInt8](name.utf8)) {
                positions.append(position)
            } else if let number = Int(name), number >= 1, header.isEmpty || number <= header.count {
                positions.append(number - 1)
            } else if header.isEmpty {
                throw Problem(message: "'\(name)' is no column number, and without a header columns have no names")
            } else {
                let known = header.map { String(decoding: Style.harmless($0), as: UTF8.self) }.joined(separator: ", ")
                throw Problem(message: "there is no column '\(name)'; there are: \(known)")
            }
        }
        return positions
    }

    private func csvRow(_ fields: [[UInt8]], _ columns: Columns) -> Content {
        let value = columns.value ?? fields.indices.filter { !columns.key.contains($0) }
        if let missing = (columns.key + value).first(where: { $0 >= fields.count }) {
            return .malformed("column \(missing + 1) is missing; the row has \(fields.count)")
        }
        return ImportRows.checked(key: tuple(columns.key, fields), value: tuple(value, fields))
    }

    private func tuple(_ positions: [Int], _ fields: [[UInt8]]) -> Term {
        .list(positions.flatMap { settings.splitsWords ? Words.split(fields[$0]) : [fields[$0]] }.map { .string($0) })
    }

    // MARK: Checks

    /// What no space takes, whatever its rule for elements, is found here; the rest is the server's to judge.
    private static func checked(key: Term, value: Term) -> Content {
        if let reason = reason(key, "key") ?? reason(value, "value") { return .malformed(reason) }
        return .pair(.list([key, value]))
    }

    private static func reason(_ term: Term, _ name: String) -> String? {
        guard case .list = term else { return "the \(name) is no list of strings" }
        do throws(TupleError) {
            _ = try Tuple(term, rule: .text)
            return nil
        } catch {
            return switch error {
            case .empty: "the \(name) has no element"
            case .element(let position): "element \(position + 1) of the \(name) is empty or no text"
            case .tooManyElements: "the \(name) has more than \(Limits.maximumTupleElements) elements"
            case .tooLarge: "the \(name) is too large"
            }
        }
    }
}

/// Words: the runs of alphanumeric characters.
enum Words {
    /// Bytes that are not UTF-8 divide like everything else that is not alphanumeric.
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
