/// What CPython's `str` methods say of names in a pattern.
extension [CodePoint] {
    /// `str.isidentifier()`.
    var isIdentifier: Bool {
        guard let first, CharacterClasses.isIdentifierStart(first) else { return false }
        return dropFirst().allSatisfy(CharacterClasses.isIdentifierPart)
    }

    /// `repr()`: in single quotes, unless there are only single ones inside.
    var pythonRepresentation: String {
        let quote: CodePoint = contains("'") && !contains("\"") ? "\"" : "'"
        var text = ""
        for point in self {
            switch point {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case quote: text += "\\" + String(codePoints: [quote])
            default: text += CharacterClasses.isPrintable(point) ? String(codePoints: [point]) : point.pythonEscape
            }
        }
        let mark = String(codePoints: [quote])
        return mark + text + mark
    }

    /// The digits of a text that `int()` takes, without what may surround and part them, in ASCII; nil for another
    /// text, and for a negative number other than zero.
    var pythonIntegerDigits: String? {
        var rest = self[...]
        while let first = rest.first, first.isPythonIntegerSpace { rest = rest.dropFirst() }
        while let last = rest.last, last.isPythonIntegerSpace { rest = rest.dropLast() }
        let isNegative = rest.first == "-"
        if isNegative || rest.first == "+" { rest = rest.dropFirst() }
        var digits = ""
        var mayPart = false
        for point in rest {
            if point == "_", mayPart {
                mayPart = false
            } else if let value = CharacterClasses.decimalValue(point) {
                digits += String(value)
                mayPart = true
            } else {
                return nil
            }
        }
        guard mayPart, digits.utf8.count <= Int.maximumPythonDigits else { return nil }
        let significant = digits.drop { $0 == "0" }
        if significant.isEmpty { return "0" }
        return isNegative ? nil : String(significant)
    }

    /// The same as a number, which stops at `limit`.
    func pythonInteger(limit: Int) -> Int? {
        pythonIntegerDigits.map { digits in
            digits.utf8.reduce(0) { Swift.min($0 * 10 + Int($1 - 0x30), limit) }
        }
    }
}

extension CodePoint {
    /// What `int()` takes around a number: of ASCII less than what `str.isspace` says.
    fileprivate var isPythonIntegerSpace: Bool { isASCII ? isVerboseWhitespace : CharacterClasses.isSpace(self) }

    /// `\x07`, `\u200b` or `\U000e0001`.
    fileprivate var pythonEscape: String {
        let digits = String(value, radix: 16)
        let (letter, width) = value < 0x100 ? ("x", 2) : value < 0x10000 ? ("u", 4) : ("U", 8)
        return "\\" + letter + String(repeating: "0", count: width - digits.count) + digits
    }
}
