import CEdit
import TupleCore
import WireProtocol

/// Escape sequences, where they are wanted.
struct Style: Equatable {
    var isOn: Bool
    static let none = Style(isOn: false)

    func bold(_ text: String) -> String { wrap(text, "1") }
    func dim(_ text: String) -> String { wrap(text, "2") }
    func red(_ text: String) -> String { wrap(text, "31") }
    func green(_ text: String) -> String { wrap(text, "32") }
    func yellow(_ text: String) -> String { wrap(text, "33") }

    private func wrap(_ text: String, _ code: String) -> String {
        isOn && !text.isEmpty ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }

    /// The text without anything that a terminal, or a reader of lines, would act on: control characters, those that
    /// reorder a line, and line separators become `\u001b` and the like.
    ///
    /// - Parameter keepsLines: whether line feeds stay: in texts of our own.
    static func harmless(_ text: [UInt8], keepsLines: Bool = false) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var at = 0
        while at < text.count {
            let byte = text[at]
            if byte == 0x0A, keepsLines {
                result.append(byte)
            } else if byte < 0x20 || byte == 0x7F {
                JSON.escape(UInt16(byte), to: &result)
            } else if byte >= 0x80, let found = Invisible.at(at, of: text) {
                JSON.escape(found.code, to: &result)
                at += found.count - 1
            } else {
                result.append(byte)
            }
            at += 1
        }
        return result
    }
}

/// Columns of text, each as wide as its widest cell up to a bound; the last one has no bound and no padding.
struct Table {
    var header: [String]
    var rows: [[[UInt8]]]

    /// A wider cell just pushes what follows it to the right.
    static let widestPadding = 48

    func text(_ style: Style) -> [UInt8] {
        // As they are shown: an escape takes more room than what it stands for.
        let rows = rows.map { $0.map { Style.harmless($0) } }
        var widths = header.map { Table.width([UInt8]($0.utf8)) }
        for row in rows {
            for (column, cell) in row.enumerated() where column < widths.count {
                widths[column] = max(widths[column], min(Table.width(cell), Table.widestPadding))
            }
        }
        var output: [UInt8] = []
        for (column, title) in header.enumerated() {
            output.append(contentsOf: style.bold(title).utf8)
            pad(Table.width([UInt8](title.utf8)), column, widths, header.count, &output)
        }
        output.append(UInt8(ascii: "\n"))
        for row in rows {
            for (column, cell) in row.enumerated() {
                output.append(contentsOf: cell)
                pad(Table.width(cell), column, widths, row.count, &output)
            }
            output.append(UInt8(ascii: "\n"))
        }
        return output
    }

    private func pad(_ width: Int, _ column: Int, _ widths: [Int], _ count: Int, _ output: inout [UInt8]) {
        guard column < count - 1 else { return }
        output.append(contentsOf: repeatElement(UInt8(ascii: " "), count: max(0, widths[column] - width) + 2))
    }

    /// How many columns of a terminal the text takes.
    static func width(_ text: [UInt8]) -> Int {
        if text.allSatisfy({ $0 < 0x80 }) { return text.count }
        return String(decoding: text, as: UTF8.self).unicodeScalars.reduce(0) { width, scalar in
            let columns = wcwidth(wchar_t(bitPattern: scalar.value))
            return width + Int(columns < 0 ? 1 : columns)
        }
    }
}
