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
        case .alphanumeric: UTF8Check.allCodePoints(of: bytes) { AlphanumericTable.contains($0) }
        case .text: UTF8Check.isValid(bytes)
        }
    }
}

/// A strict UTF-8 reader (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
public enum UTF8Check {
    public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool { allCodePoints(of: bytes) { _ in true } }

    public static func isValid(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { isValid($0) } }

    /// Whether `bytes` are UTF-8 and each code point of them satisfies `predicate`.
    @inline(__always)
    static func allCodePoints(of bytes: UnsafeRawBufferPointer, satisfy predicate: (UInt32) -> Bool) -> Bool {
        var at = 0
        let end = bytes.count
        while at < end {
            let first = bytes[at]
            if first < 0x80 {
                guard predicate(UInt32(first)) else { return false }
                at += 1
                continue
            }
            let (length, minimum, bits): (Int, UInt32, UInt32) =
                switch first {
                case 0xC2...0xDF: (2, 0x80, UInt32(first & 0x1F))
                case 0xE0...0xEF: (3, 0x800, UInt32(first & 0x0F))
                case 0xF0...0xF4: (4, 0x10000, UInt32(first & 0x07))
                default: (0, 0, 0)
                }
            guard length > 0, at + length <= end else { return false }
            var point = bits
            for offset in 1..<length {
                let next = bytes[at + offset]
                guard next & 0xC0 == 0x80 else { return false }
                point = point << 6 | UInt32(next & 0x3F)
            }
            guard point >= minimum, point <= 0x10FFFF, !(0xD800...0xDFFF).contains(point), predicate(point) else {
                return false
            }
            at += length
        }
        return true
    }
}
