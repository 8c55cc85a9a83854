import func Glibc.memchr

/// An n-tuple (n >= 1) of non-empty strings, packed into one run of bytes.
///
/// The packed form is the elements' UTF-8 joined with commas. That is the very subject a single regular expression is
/// matched against, and the order of the packed bytes is the order in which a literal prefix selects a range. Where an
/// element itself contains a comma the joined form alone would be ambiguous; then a boundary table follows it:
///
///     joined 0xFF (length of each element but the last: digits base 128, low first, last digit + 0x80) (table bytes: u32 BE) 0xFF
///
/// UTF-8 never contains 0xFF, so its last byte tells whether a packed tuple has a table. A tuple has exactly one packed
/// form (a table only where it is needed, its numbers in their shortest form), so that equal tuples are equal bytes.
public struct Tuple: Hashable, Comparable, Sendable {
    /// The packed bytes; never empty.
    public let packed: [UInt8]

    /// Takes over bytes that were packed before: from the store, the journal or a peer, all of them checksummed.
    ///
    /// - Returns: nil where the bytes are not a packed tuple.
    public init?(packed: [UInt8]) {
        guard packed.withUnsafeBytes({ Tuple.isWellFormed($0) }) else { return nil }
        self.packed = packed
    }

    /// Takes bytes over unchecked: for what this process has packed itself and kept in memory.
    public init(trustedPacked: UnsafeRawBufferPointer) {
        packed = [UInt8](trustedPacked)
    }

    /// Packs `elements`.
    ///
    /// - Throws: ``TupleError`` where there is no element, one is not allowed by `rule`, or a limit is exceeded.
    /// - Complexity: O(bytes).
    public init(elements: [[UInt8]], rule: ElementRule) throws(TupleError) {
        guard !elements.isEmpty else { throw .empty }
        guard elements.count <= Limits.maximumTupleElements else { throw .tooManyElements }
        var joined: [UInt8] = []
        joined.reserveCapacity(elements.reduce(elements.count) { $0 + $1.count })
        var hasComma = false
        for (position, element) in elements.enumerated() {
            guard element.count <= Limits.maximumElementBytes else { throw .tooLarge }
            guard rule.allows(element) else { throw .element(position) }
            if position > 0 { joined.append(Tuple.separator) }
            // An alphanumeric element was found to have none.
            hasComma = hasComma || (rule == .text && element.withUnsafeBytes { Tuple.nextSeparator($0, 0) != nil })
            joined.append(contentsOf: element)
        }
        if hasComma {
            let begin = joined.count
            joined.append(Tuple.mark)
            for element in elements.dropLast() {
                var rest = element.count
                while rest >= 0x80 {
                    joined.append(UInt8(rest & 0x7F))
                    rest >>= 7
                }
                // The last digit's high bit ends the number; 0x7F | 0x80 would be the mark, so that digit is spilled.
                if rest == 0x7F {
                    joined.append(0x7F)
                    rest = 0
                }
                joined.append(UInt8(rest) | 0x80)
            }
            let table = UInt32(joined.count - begin - 1)
            withUnsafeBytes(of: table.bigEndian) { joined.append(contentsOf: $0) }
            joined.append(Tuple.mark)
        }
        guard joined.count <= Limits.maximumTupleBytes else { throw .tooLarge }
        packed = joined
    }

    static let separator = UInt8(ascii: ",")
    static let mark: UInt8 = 0xFF
    private static let trailerBytes = 5

    public static func < (a: Tuple, b: Tuple) -> Bool { a.packed.lexicographicallyPrecedes(b.packed) }

    /// How many of the packed bytes are the joined elements; what follows is the boundary table.
    ///
    /// - Complexity: O(1).
    public static func joinedCount(ofPacked packed: UnsafeRawBufferPointer) -> Int {
        guard let last = packed.last, last == mark else { return packed.count }
        return packed.count - trailerBytes - tableCount(packed) - 1
    }

    private static func tableCount(_ packed: UnsafeRawBufferPointer) -> Int {
        let at = packed.count - trailerBytes
        return Int(packed[at]) << 24 | Int(packed[at + 1]) << 16 | Int(packed[at + 2]) << 8 | Int(packed[at + 3])
    }

    /// Calls `body` with each element's range in the packed bytes, in order, until it returns false.
    ///
    /// - Complexity: O(joined bytes) without a boundary table, else O(elements).
    public static func forEachElement(ofPacked packed: UnsafeRawBufferPointer, _ body: (Range<Int>) -> Bool) {
        let joined = joinedCount(ofPacked: packed)
        var begin = 0
        if joined == packed.count {
            while let at = nextSeparator(packed, begin) {
                guard body(begin..<at) else { return }
                begin = at + 1
            }
        } else {
            var at = joined + 1
            let end = packed.count - trailerBytes
            while at < end {
                var length = 0
                var shift = 0
                while at < end, packed[at] & 0x80 == 0 {
                    length |= Int(packed[at]) << shift
                    shift += 7
                    at += 1
                }
                length |= Int(packed[at] & 0x7F) << shift
                at += 1
                guard body(begin..<begin + length) else { return }
                begin += length + 1
            }
        }
        _ = body(begin..<joined)
    }

    /// Where the first separator is, from `begin` on.
    @inline(__always)
    private static func nextSeparator(_ bytes: UnsafeRawBufferPointer, _ begin: Int) -> Int? {
        guard begin < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + begin, Int32(separator), bytes.count - begin)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// The elements, copied out.
    public var elements: [[UInt8]] {
        var elements: [[UInt8]] = []
        packed.withUnsafeBytes { bytes in
            Tuple.forEachElement(ofPacked: bytes) { range in
                elements.append([UInt8](bytes[range]))
                return true
            }
        }
        return elements
    }

    /// Whether bytes are a packed tuple.
    ///
    /// - Complexity: O(bytes).
    public static func isWellFormed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let last = bytes.last, bytes.count <= Limits.maximumTupleBytes else { return false }
        if last == mark {
            guard bytes.count > trailerBytes + 1 else { return false }
            let table = tableCount(bytes)
            let joined = bytes.count - trailerBytes - table - 1
            // The table of a single element is empty: there is only the last element.
            guard joined > 0, bytes[joined] == mark else { return false }
            guard boundariesFit(bytes, table: joined + 1..<bytes.count - trailerBytes, joined: joined) else {
                return false
            }
        }
        let joined = joinedCount(ofPacked: bytes)
        guard UTF8Check.isValid(UnsafeRawBufferPointer(rebasing: bytes[..<joined])) else { return false }
        var wellFormed = true
        var count = 0
        forEachElement(ofPacked: bytes) { range in
            count += 1
            wellFormed = !range.isEmpty && range.count <= Limits.maximumElementBytes
            return wellFormed
        }
        return wellFormed && count <= Limits.maximumTupleElements
    }

    /// Whether the table's lengths are in their only form, end at separators, leave something for the last element, and are
    /// needed: some separator lies inside an element.
    private static func boundariesFit(_ bytes: UnsafeRawBufferPointer, table: Range<Int>, joined: Int) -> Bool {
        var at = table.lowerBound
        var begin = 0
        var boundaries = 0
        while at < table.upperBound {
            let first = at
            var length = 0
            var shift = 0
            while at < table.upperBound, bytes[at] & 0x80 == 0 {
                guard shift <= 21 else { return false }
                length |= Int(bytes[at]) << shift
                shift += 7
                at += 1
            }
            guard at < table.upperBound, shift <= 21, bytes[at] != mark else { return false }
            // A last digit of 0 is a spilled 0x7F, nothing else.
            if bytes[at] == 0x80, at == first || bytes[at - 1] != 0x7F { return false }
            length |= Int(bytes[at] & 0x7F) << shift
            at += 1
            boundaries += 1
            guard begin + length < joined, bytes[begin + length] == separator else { return false }
            begin += length + 1
        }
        let separators = bytes[..<joined].reduce(0) { $1 == separator ? $0 + 1 : $0 }
        return begin < joined && separators > boundaries
    }
}

/// Why something is not a tuple.
public enum TupleError: Error, Hashable, Sendable {
    /// No element at all.
    case empty
    /// The element at this position (from 0) is empty, not a string, or has a character that the space does not allow.
    case element(Int)
    /// More than ``Limits/maximumTupleElements``.
    case tooManyElements
    /// Over ``Limits/maximumElementBytes`` or ``Limits/maximumTupleBytes``.
    case tooLarge
}

/// A key with its value.
public struct Pair: Hashable, Sendable {
    public var key: Tuple
    public var value: Tuple
    public init(key: Tuple, value: Tuple) {
        self.key = key
        self.value = value
    }
    /// What it takes in packed form, in bytes.
    public var byteCount: Int { key.packed.count + value.packed.count }
}
