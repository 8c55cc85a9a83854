/// A code point as Python's `str` has them: a Unicode scalar, or a surrogate written as an escape.
struct CodePoint: Hashable, Comparable, Sendable, ExpressibleByUnicodeScalarLiteral {
    let value: UInt32

    static let last = CodePoint(0x10FFFF)

    init(_ value: UInt32) { self.value = value }

    init(unicodeScalarLiteral scalar: Unicode.Scalar) { value = scalar.value }

    static func < (left: Self, right: Self) -> Bool { left.value < right.value }

    /// The scalar; nil for a surrogate.
    var scalar: Unicode.Scalar? { Unicode.Scalar(value) }

    var isASCII: Bool { value < 0x80 }
    var isASCIIDigit: Bool { value >= 0x30 && value <= 0x39 }
    var isASCIILetter: Bool { (value | 0x20) >= 0x61 && (value | 0x20) <= 0x7A }
    var isOctalDigit: Bool { value >= 0x30 && value <= 0x37 }
    var isHexDigit: Bool { isASCIIDigit || ((value | 0x20) >= 0x61 && (value | 0x20) <= 0x66) }

    /// What it is worth as a hexadecimal digit. It has to be one.
    var digitValue: UInt32 { isASCIIDigit ? value - 0x30 : (value | 0x20) - 0x61 + 10 }

    /// What verbose mode skips: only ASCII, also in a `str` pattern.
    var isVerboseWhitespace: Bool { value == 0x20 || (value >= 0x09 && value <= 0x0D) }
}

extension String {
    /// Text of code points; a surrogate becomes U+FFFD, which only a message can come to show.
    init(codePoints: some Sequence<CodePoint>) {
        var text = String.UnicodeScalarView()
        for point in codePoints { text.append(point.scalar ?? "\u{FFFD}") }
        self.init(text)
    }
}
