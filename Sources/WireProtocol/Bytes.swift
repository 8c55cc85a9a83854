public import TupleCore

/// Puts numbers, strings and tuples into bytes. Fixed-width numbers are little endian; lengths and counts are LEB128.
public struct ByteWriter: Sendable {
    public var bytes: [UInt8] = []
    public init() {}

    public mutating func byte(_ value: UInt8) { bytes.append(value) }
    public mutating func flag(_ value: Bool) { bytes.append(value ? 1 : 0) }
    public mutating func fixed32(_ value: UInt32) { fixed(value) }
    public mutating func fixed64(_ value: UInt64) { fixed(value) }
    public mutating func signed64(_ value: Int64) { fixed(UInt64(bitPattern: value)) }

    private mutating func fixed(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    public mutating func length(_ value: Int) {
        precondition(value >= 0, "a length is never negative")
        var rest = UInt64(value)
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    public mutating func run(_ value: some Collection<UInt8>) {
        length(value.count)
        bytes.append(contentsOf: value)
    }

    public mutating func text(_ value: String) { run(value.utf8) }

    public mutating func node(_ value: NodeID) { text(value.name) }

    public mutating func position(_ value: LogPosition) {
        fixed64(value.epoch.number)
        fixed64(value.index.number)
    }

    /// A tuple as a count of elements and each element as a run of bytes.
    public mutating func tuple(_ packed: UnsafeRawBufferPointer) {
        var count = 0
        Tuple.forEachElement(ofPacked: packed) { _ in
            count += 1
            return true
        }
        length(count)
        Tuple.forEachElement(ofPacked: packed) { range in
            length(range.count)
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: packed[range]))
            return true
        }
    }

    public mutating func tuple(_ value: Tuple) { value.packed.withUnsafeBytes { tuple($0) } }
}

/// Why bytes are not the message they should be.
public enum DecodingError: Error, Hashable, Sendable {
    case truncated
    /// Bytes were left over after the message's end.
    case trailing
    /// A length or count over its limit.
    case tooLong
    /// A value that the field does not have; the field's name.
    case invalid(StaticText)

    /// A string literal that can be compared: the name of a field.
    public struct StaticText: Hashable, Sendable, ExpressibleByStringLiteral {
        public let text: String
        public init(stringLiteral value: String) { text = value }
    }
}

/// Takes a message apart. Every read is bounds-checked and throws; hostile bytes never trap, and nothing is allocated on
/// the word of a length alone.
public struct ByteReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    private var at: Int

    public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        at = bytes.startIndex
    }

    public var remaining: Int { bytes.endIndex - at }

    /// - Throws: ``DecodingError/trailing`` where anything is left.
    public func end() throws(DecodingError) {
        guard remaining == 0 else { throw .trailing }
    }

    public mutating func byte() throws(DecodingError) -> UInt8 {
        guard remaining >= 1 else { throw .truncated }
        defer { at += 1 }
        return bytes[at]
    }

    public mutating func flag() throws(DecodingError) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw .invalid("flag")
        }
    }

    public mutating func fixed32() throws(DecodingError) -> UInt32 { try fixed() }
    public mutating func fixed64() throws(DecodingError) -> UInt64 { try fixed() }
    public mutating func signed64() throws(DecodingError) -> Int64 { Int64(bitPattern: try fixed()) }

    private mutating func fixed<T: FixedWidthInteger>() throws(DecodingError) -> T {
        let width = MemoryLayout<T>.size
        guard remaining >= width else { throw .truncated }
        var value: T = 0
        for offset in 0..<width { value |= T(truncatingIfNeeded: bytes[at + offset]) << T(offset * 8) }
        at += width
        return value
    }

    public mutating func length(atMost limit: Int = .max) throws(DecodingError) -> Int {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            guard shift < 63 else { throw .tooLong }
            value |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { break }
            shift += 7
        }
        guard value <= UInt64(limit) else { throw .tooLong }
        return Int(value)
    }

    /// A count of items that take at least `minimum` bytes each: never more than what is left can hold.
    public mutating func count(ofAtLeast minimum: Int = 1) throws(DecodingError) -> Int {
        let value = try length()
        guard value <= remaining / minimum else { throw .truncated }
        return value
    }

    public mutating func run(atMost limit: Int = .max) throws(DecodingError) -> ArraySlice<UInt8> {
        let length = try length(atMost: limit)
        guard length <= remaining else { throw .truncated }
        defer { at += length }
        return bytes[at..<at + length]
    }

    public mutating func rest() -> ArraySlice<UInt8> {
        defer { at = bytes.endIndex }
        return bytes[at...]
    }

    public mutating func text(atMost limit: Int = 65_536) throws(DecodingError) -> String {
        let raw = try run(atMost: limit)
        guard UTF8Check.isValid([UInt8](raw)) else { throw .invalid("text") }
        return String(decoding: raw, as: UTF8.self)
    }

    public mutating func node() throws(DecodingError) -> NodeID {
        guard let node = NodeID(try text(atMost: Limits.maximumNodeNameBytes)) else { throw .invalid("node") }
        return node
    }

    public mutating func position() throws(DecodingError) -> LogPosition {
        let epoch = try number("epoch")
        return LogPosition(epoch: Epoch(epoch), index: LogIndex(try number("index")))
    }

    /// A number that something is added to: at most ``Limits/maximumNumber``.
    ///
    /// - Parameter field: what it is, for the error.
    public mutating func number(_ field: DecodingError.StaticText) throws(DecodingError) -> UInt64 {
        let value: UInt64 = try fixed()
        guard value <= Limits.maximumNumber else { throw .invalid(field) }
        return value
    }

    /// A tuple as ``ByteWriter/tuple(_:)-(Tuple)`` writes it.
    public mutating func tuple() throws(DecodingError) -> Tuple {
        var elements: [[UInt8]] = []
        let count = try count()
        guard count <= Limits.maximumTupleElements else { throw .tooLong }
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append([UInt8](try run(atMost: Limits.maximumElementBytes))) }
        guard let tuple = try? Tuple(elements: elements, rule: .text) else { throw .invalid("tuple") }
        return tuple
    }
}
