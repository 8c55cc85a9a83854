/// Which strings may be elements. It belongs to the space: fixed when the first server starts on empty data.
public enum ElementRule: UInt8, Sendable, CaseIterable {
    /// What CPython 3.11's `str.isalnum` calls alphanumeric: not empty, every code point alphabetic or numeric.
    case alphanumeric = 0
    /// Any non-empty UTF-8.
    case text = 1

    /// The word of the `--elements` flag.
    public var name: String {
        switch self {
        case .alphanumeric: "alphanumeric"
        case .text: "text"
        }
    }

    public init?(name: String) {
        switch name {
        case "alphanumeric": self = .alphanumeric
        case "text": self = .text
        default: return nil
        }
    }

    /// Whether `bytes` may be an element. Bytes that are not UTF-8 never may.
    ///
    /// - Complexity: O(bytes); O(log ranges) more for each code point beyond ASCII.
    public func allows(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { allows($0) }
    }

    public func allows(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !bytes.isEmpty else { return false }
        return switch self {
        case .alphanumeric:
            UTF8Check.allCodePoints(of: bytes, words: ASCIIWord.areAlphanumeric) { AlphanumericTable.contains($0) }
        case .text: UTF8Check.isValid(bytes)
        }
    }
}

/// Questions about eight bytes at once, by arithmetic on the word that they are.
enum ASCIIWord {
    private static let high: UInt64 = 0x8080_8080_8080_8080

    private static func each(_ byte: UInt8) -> UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }

    /// Whether all are ASCII.
    @inline(__always)
    static func areASCII(_ word: UInt64) -> Bool { word & high == 0 }

    /// The high bit of each byte that is `bound` or more. - Precondition: all are ASCII, and so is `bound`.
    @inline(__always)
    private static func atLeast(_ bound: UInt8, _ word: UInt64) -> UInt64 { word &+ each(0x80 - bound) }

    /// Whether all are ASCII letters and digits.
    @inline(__always)
    static func areAlphanumeric(_ word: UInt64) -> Bool {
        guard areASCII(word) else { return false }
        let digits = atLeast(UInt8(ascii: "0"), word) & ~atLeast(UInt8(ascii: "9") + 1, word)
        // Upper case becomes lower case; nothing else becomes a letter.
        let lower = word | each(0x20)
        let letters = atLeast(UInt8(ascii: "a"), lower) & ~atLeast(UInt8(ascii: "z") + 1, lower)
        return (digits | letters) & high == high
    }
}

/// A strict UTF-8 reader (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
public enum UTF8Check {
    public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        allCodePoints(of: bytes, words: ASCIIWord.areASCII) { _ in true }
    }

    public static func isValid(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { isValid($0) } }

    /// Whether `bytes` are UTF-8 and each code point of them satisfies `predicate`.
    ///
    /// - Parameter words: tells of eight ASCII bytes at once whether all of them satisfy it; false sends them one by one.
    /// - Complexity: O(bytes); a word at a time where they are ASCII.
    @inline(__always)
    static func allCodePoints(
        of bytes: UnsafeRawBufferPointer, words: (UInt64) -> Bool, satisfy predicate: (UInt32) -> Bool
    ) -> Bool {
        var at = 0
        let end = bytes.count
        while at < end {
            while end - at >= 8, words(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) { at += 8 }
            guard at < end else { break }
            let first = bytes[at]
            if first < 0x80 {
                guard predicate(UInt32(first)) else { return false }
                at += 1
                continue
            }
            guard let (point, length) = codePoint(bytes, at), predicate(point) else { return false }
            at += length
        }
        return true
    }

    /// The code point beyond ASCII that begins there, and its bytes; nil where there is none.
    @inline(__always)
    private static func codePoint(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> (point: UInt32, length: Int)? {
        let first = bytes[at]
        let (length, minimum, bits): (Int, UInt32, UInt32) =
            switch first {
            case 0xC2...0xDF: (2, 0x80, UInt32(first & 0x1F))
            case 0xE0...0xEF: (3, 0x800, UInt32(first & 0x0F))
            case 0xF0...0xF4: (4, 0x10000, UInt32(first & 0x07))
            default: (0, 0, 0)
            }
        guard length > 0, at + length <= bytes.count else { return nil }
        var point = bits
        for offset in 1..<length {
            let next = bytes[at + offset]
            guard next & 0xC0 == 0x80 else { return nil }
            point = point << 6 | UInt32(next & 0x3F)
        }
        guard point >= minimum, point <= 0x10FFFF, !(0xD800...0xDFFF).contains(point) else { return nil }
        return (point, length)
    }
}
