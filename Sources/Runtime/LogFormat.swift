/// How one line of the log is written. Pure: time in, bytes out.
package enum LogFormat: String, Sendable, CaseIterable {
    case text, json

    /// Bytes of one value beyond which it is cut.
    static let maximumValueBytes = 1024

    func appendLine(
        milliseconds: Int64, level: LogLevel, event: String, fields: [(String, String)], to line: inout [UInt8]
    ) {
        switch self {
        case .text:
            WallClock.appendTimestamp(milliseconds, to: &line)
            line.append(UInt8(ascii: " "))
            line.append(contentsOf: level.name.utf8)
            line.append(UInt8(ascii: " "))
            LogFormat.appendWord(event, to: &line)
            for (key, value) in fields {
                line.append(UInt8(ascii: " "))
                LogFormat.appendWord(key, to: &line)
                line.append(UInt8(ascii: "="))
                if LogFormat.needsQuotes(value) {
                    LogFormat.appendQuoted(value, to: &line)
                } else {
                    line.append(contentsOf: value.utf8)
                }
            }
        case .json:
            line.append(contentsOf: "{\"time\":\"".utf8)
            WallClock.appendTimestamp(milliseconds, to: &line)
            line.append(contentsOf: "\",\"level\":\"".utf8)
            line.append(contentsOf: level.name.utf8)
            line.append(contentsOf: "\",\"event\":".utf8)
            LogFormat.appendQuoted(event, to: &line)
            for (key, value) in fields {
                line.append(UInt8(ascii: ","))
                LogFormat.appendQuoted(key, to: &line)
                line.append(UInt8(ascii: ":"))
                LogFormat.appendQuoted(value, to: &line)
            }
            line.append(UInt8(ascii: "}"))
        }
        line.append(UInt8(ascii: "\n"))
    }

    /// A value that could be mistaken for something else: empty, with blanks, quotes, `=` or control characters. Any
    /// byte beyond ASCII is quoted too, because among those there are blanks and line ends that look like ours.
    private static func needsQuotes(_ value: String) -> Bool {
        value.isEmpty || value.utf8.count > maximumValueBytes
            || value.utf8.contains { byte in
                byte <= 0x20 || byte >= 0x7F || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
                    || byte == UInt8(ascii: "=")
            }
    }

    /// An event or a key: programs name them, so anything strange is replaced rather than quoted.
    private static func appendWord(_ word: String, to line: inout [UInt8]) {
        for byte in word.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                line.append(byte)
            default: line.append(UInt8(ascii: "_"))
            }
        }
    }

    /// A JSON string. Control characters are escaped (C1 ones and Unicode's line ends and direction marks as well), so
    /// that nothing that a client sends can end a line, or change how the line looks on a terminal.
    private static func appendQuoted(_ value: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        var used = 0
        for scalar in value.unicodeScalars {
            guard used < maximumValueBytes else {
                line.append(contentsOf: "…".utf8)
                break
            }
            used += UTF8.width(scalar)
            switch scalar.value {
            case 0x22: line.append(contentsOf: "\\\"".utf8)
            case 0x5C: line.append(contentsOf: "\\\\".utf8)
            case 0x0A: line.append(contentsOf: "\\n".utf8)
            case 0x0D: line.append(contentsOf: "\\r".utf8)
            case 0x09: line.append(contentsOf: "\\t".utf8)
            case 0...0x1F, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
                line.append(contentsOf: "\\u".utf8)
                for shift in [12, 8, 4, 0] {
                    line.append(Array("0123456789abcdef".utf8)[Int(scalar.value >> UInt32(shift)) & 0xF])
                }
            default: line.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
        line.append(UInt8(ascii: "\""))
    }
}

/// What a line of the log asks of the operator.
package enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    case debug, info, warning, error
    /// Somebody must act on it, or know of it now.
    case alert

    package var name: String {
        switch self {
        case .debug: "DEBUG"
        case .info: "INFO"
        case .warning: "WARN"
        case .error: "ERROR"
        case .alert: "ALERT"
        }
    }

    package static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}
