import Runtime
import TupleCore
import WireProtocol

extension ImportRows {
    mutating func csvRows(_ rows: [CSVReader.Row]) throws(Problem) -> [Row] {
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
                let columns = try columns(of: fields, line: line)
                self.columns = columns
                if !settings.hasHeader { result.append(Row(line: line, content: csvRow(fields, columns))) }
            }
        }
        return result
    }

    /// What the file's first row says of its columns.
    private func columns(of fields: [[UInt8]], line: Int) throws(Problem) -> Columns {
        try checkDelimiter(fields, line: line)
        let header = settings.hasHeader ? fields : []
        let key = try positions(settings.keyColumns, header, fields.count)
        let value = try settings.valueColumns.map { names throws(Problem) in
            try positions(names, header, fields.count)
        }
        let chosen = key + (value ?? [])
        if let twice = chosen.indices.first(where: { chosen[..<$0].contains(chosen[$0]) }) {
            throw Problem(message: "column \(chosen[twice] + 1) is chosen twice", code: .usage)
        }
        try checkNames(header, line: line)
        return Columns(key: key, value: value, count: fields.count, names: header)
    }

    /// A file with another delimiter has one column, and would be imported as such, or not at all.
    private func checkDelimiter(_ fields: [[UInt8]], line: Int) throws(Problem) {
        guard fields.count == 1, let other = [UInt8](";\t|,".utf8).first(where: { fields[0].contains($0) }) else {
            return
        }
        let name = other == 0x09 ? "tab" : "'\(Character(UnicodeScalar(other)))'"
        throw Problem(
            message:
                "line \(line): there is one column, '\(ImportRows.shown(fields[0]))'; if another character divides "
                + "columns here, say --delimiter \(name)")
    }

    /// Which of two columns of one name is meant only numbers can tell.
    private func checkNames(_ header: [[UInt8]], line: Int) throws(Problem) {
        let chosen = settings.valueColumns.map { settings.keyColumns + $0 }
        if let chosen, chosen.allSatisfy({ name in Int(name) != nil && !header.contains([UInt8](name.utf8)) }) {
            return
        }
        var first: [[UInt8]: Int] = [:]
        for (position, name) in header.enumerated() where !name.isEmpty {
            guard let before = first.updateValue(position, forKey: name) else { continue }
            throw Problem(
                message:
                    "line \(line): column '\(ImportRows.shown(name))' is there twice, as number \(before + 1) and as "
                    + "number \(position + 1); choose columns by number, with --key-columns and --value-columns")
        }
    }

    /// A name of the header goes before a number.
    private func positions(_ names: [String], _ header: [[UInt8]], _ count: Int) throws(Problem) -> [Int] {
        guard !names.isEmpty else { throw Problem(message: "no columns are given", code: .usage) }
        var positions: [Int] = []
        for name in names {
            if let position = header.firstIndex(of: [UInt8](name.utf8)) {
                positions.append(position)
            } else if let number = Int(name), (1...count).contains(number) {
                positions.append(number - 1)
            } else if Int(name) != nil {
                throw Problem(message: "there is no column \(name); the first row has \(count)", code: .usage)
            } else if header.isEmpty {
                throw Problem(
                    message: "'\(name)' is no column number, and without a header columns have no names", code: .usage)
            } else {
                let known = header.map { ImportRows.shown($0) }
                let near = Spelling.nearest(to: name.lowercased(), among: known.map { $0.lowercased() })
                let hint = near.flatMap { near in known.first { $0.lowercased() == near } }
                throw Problem(
                    message: "there is no column '\(name)'\(hint.map { "; did you mean '\($0)'?" } ?? "") There are: "
                        + known.joined(separator: ", "),
                    code: .usage)
            }
        }
        return positions
    }

    private static func shown(_ name: [UInt8]) -> String {
        let text = String(decoding: Style.harmless(name), as: UTF8.self)
        return text.count > 60 ? text.prefix(60) + "…" : text
    }

    private func csvRow(_ fields: [[UInt8]], _ columns: Columns) -> Content {
        guard fields.count == columns.count || fields.count < columns.count && settings.fillsShortRows else {
            let remedy = fields.count < columns.count ? "; --short-rows fill takes it without those it lacks" : ""
            return .malformed("the row has \(fields.count) columns; the first has \(columns.count)\(remedy)")
        }
        let value = columns.value ?? (0..<columns.count).filter { !columns.key.contains($0) }
        let key = columns.key.filter { $0 < fields.count }
        let rest = value.filter { $0 < fields.count }
        for position in key + rest {
            if let problem = problem(of: fields[position], position, columns) { return .malformed(problem) }
        }
        return ImportRows.checked(key: tuple(key, fields), value: tuple(rest, fields))
    }

    private func problem(of field: [UInt8], _ position: Int, _ columns: Columns) -> String? {
        let name = position < columns.names.count ? " ('\(ImportRows.shown(columns.names[position]))')" : ""
        if !UTF8Check.isValid(field) {
            return "column \(position + 1)\(name) is not UTF-8; convert the file, for example with iconv"
        }
        if field.isEmpty, !settings.splitsWords { return "column \(position + 1)\(name) is empty; no element can be" }
        return nil
    }

    private func tuple(_ positions: [Int], _ fields: [[UInt8]]) -> Term {
        .list(positions.flatMap { settings.splitsWords ? Words.split(fields[$0]) : [fields[$0]] }.map { .string($0) })
    }
}
