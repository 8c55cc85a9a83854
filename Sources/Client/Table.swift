import CEdit
import TupleCore

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

    /// The text without anything that a terminal would act on: control characters become `?`, all but the line feed.
    static func harmless(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for byte in text {
            if byte < 0x20 && byte != 0x0A || byte == 0x7F {
                result.append(UInt8(ascii: "?"))
            } else if result.last == 0xC2, byte < 0xA0 {
                result[result.count - 1] = UInt8(ascii: "?")
            } else {
                result.append(byte)
            }
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
                output.append(contentsOf: Style.harmless(cell))
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
