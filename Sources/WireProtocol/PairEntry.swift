public import TupleCore

/// Requests that update one pair each, gathered from the bytes that they came in and packed as the log has them: most
/// requests are such ones, and nothing of them is ever taken out of the bytes.
///
/// What they become is the same bytes as ``LogEntry/encoded`` makes; whatever is not plainly such a request is left to the
/// types that can say everything.
public struct PairRequests: Sendable {
    /// One of them, and where it is packed.
    public struct Item: Sendable {
        public let frame: Frame
        public let replaces: Bool
        fileprivate let bytes: Range<Int>
        fileprivate let key: Range<Int>
        fileprivate let value: Range<Int>
    }

    public private(set) var items: [Item] = []
    private var packed: [UInt8]
    private var used = 0

    /// Longer requests are read as a ``Request``.
    private static let maximumPayloadBytes = 2_048
    public static let capacity = 65_536
    /// Session, sequence, low-water mark, what it does.
    private static let prefixBytes = 25

    /// - Parameter capacity: what fits, in bytes.
    public init(capacity: Int = PairRequests.capacity) { packed = [UInt8](repeating: 0, count: capacity) }

    public var isEmpty: Bool { items.isEmpty }

    /// Gathers a PUT or POST of one pair.
    ///
    /// - Returns: false where the payload is anything else, has elements beyond ASCII or with commas, or finds no room.
    /// - Complexity: O(bytes).
    public mutating func add(_ frame: Frame, rule: ElementRule) -> Bool {
        // Each tuple is packed into no more than it takes in the request; a length takes two bytes at most.
        let needed = PairRequests.prefixBytes + frame.payload.count + 8
        guard frame.payload.count <= PairRequests.maximumPayloadBytes, used + needed <= packed.count else {
            return false
        }
        let begin = used
        let item = packed.withUnsafeMutableBytes { out in
            frame.payload.withUnsafeBytes { payload -> Item? in
                var reader = PairReader(bytes: payload, rule: rule)
                guard let replaces = reader.operatorName(), reader.expects([5, 1, 5, 2]),
                    let key = reader.tuple(into: out, at: begin + PairRequests.prefixBytes),
                    let value = reader.tuple(into: out, at: key.upperBound), reader.isAtEnd
                else { return nil }
                func put(_ value: UInt64, at offset: Int) {
                    out.storeBytes(of: value.littleEndian, toByteOffset: begin + offset, as: UInt64.self)
                }
                put(frame.header.session.number, at: 0)
                put(frame.header.sequence.number, at: 8)
                put(frame.header.lowWater.number, at: 16)
                out[begin + 24] = replaces ? 1 : 0
                return Item(frame: frame, replaces: replaces, bytes: begin..<value.upperBound, key: key, value: value)
            }
        }
        guard let item else { return false }
        items.append(item)
        used = item.bytes.upperBound
        return true
    }

    /// Hands them to `body` in their order, so many at a time that the memory of their pairs can be fetched side by side.
    public func forEachGroup(_ body: (_ first: Int, UnsafeBufferPointer<PackedPairUpdate>) -> Void) {
        packed.withUnsafeBytes { bytes in
            PackedPairUpdate.withGroup { group in
                for first in stride(from: 0, to: items.count, by: group.count) {
                    let count = min(group.count, items.count - first)
                    for offset in 0..<count { group[offset] = update(first + offset, bytes) }
                    body(first, UnsafeBufferPointer(rebasing: group[..<count]))
                }
            }
        }
    }

    private func update(_ number: Int, _ bytes: UnsafeRawBufferPointer) -> PackedPairUpdate {
        let item = items[number]
        let header = item.frame.header
        return PackedPairUpdate(
            session: header.session, sequence: header.sequence, lowWater: header.lowWater, replaces: item.replaces,
            key: UnsafeRawBufferPointer(rebasing: bytes[item.key]),
            value: UnsafeRawBufferPointer(rebasing: bytes[item.value]))
    }

    /// The log entry that some of them become together, as ``LogEntry/encoded`` makes it.
    public func entry(_ range: Range<Int>, at position: LogPosition, time: Int64) -> [UInt8] {
        guard let first = range.first, let last = range.last else { preconditionFailure("an entry has an update") }
        let source = items[first].bytes.lowerBound..<items[last].bytes.upperBound
        let total = PairEntry.prefixBytes + source.count
        return [UInt8](unsafeUninitializedCapacity: total) { output, count in
            let out = UnsafeMutableRawBufferPointer(output)
            func put<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
                out.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self)
            }
            put(position.epoch.number, at: 0)
            put(position.index.number, at: 8)
            put(time, at: 16)
            out[24] = LogEntry.Kind.pairs
            put(UInt32(range.count), at: 25)
            packed.withUnsafeBytes { packed in
                UnsafeMutableRawBufferPointer(rebasing: out[PairEntry.prefixBytes..<total])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: packed[source]))
            }
            count = total
        }
    }

    public mutating func removeAll() {
        items.removeAll(keepingCapacity: true)
        used = 0
    }
}

/// An encoded log entry of updates of one pair each, read in place.
public struct PairEntry {
    public let position: LogPosition
    public let time: Int64
    private let count: Int
    private let bytes: UnsafeRawBufferPointer

    /// Position, time, kind, how many.
    static let prefixBytes = 16 + 8 + 1 + 4

    /// - Returns: nil where the entry is anything else, or too short: ``LogEntry/init(decoding:)`` tells.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= PairEntry.prefixBytes, bytes[24] == LogEntry.Kind.pairs else { return nil }
        func number(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        position = LogPosition(epoch: Epoch(number(0)), index: LogIndex(number(8)))
        time = Int64(bitPattern: number(16))
        count = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 25, as: UInt32.self)))
        self.bytes = bytes
    }

    /// Hands the updates to `body` in their order, a group at a time, until it returns false.
    ///
    /// - Returns: whether all were handed over, and the entry is well-formed.
    public func forEachGroup(_ body: (UnsafeBufferPointer<PackedPairUpdate>) -> Bool) -> Bool {
        var reader = PairReader(bytes: bytes, rule: .text)
        reader.at = PairEntry.prefixBytes
        return PackedPairUpdate.withGroup { group in
            var left = count
            while left > 0 {
                let size = min(group.count, left)
                for offset in 0..<size {
                    guard let update = reader.update() else { return false }
                    group[offset] = update
                }
                guard body(UnsafeBufferPointer(rebasing: group[..<size])) else { return false }
                left -= size
            }
            return reader.isAtEnd
        }
    }
}

extension PackedPairUpdate {
    /// As many as the processor can fetch memory for at a time, about.
    private static let groupSize = 16

    fileprivate static func withGroup<R>(_ body: (UnsafeMutableBufferPointer<PackedPairUpdate>) -> R) -> R {
        // Its elements are trivial: they need be neither initialized nor destroyed.
        withUnsafeTemporaryAllocation(of: PackedPairUpdate.self, capacity: groupSize) { body($0) }
    }
}

/// Reads the few forms that the requests about one pair, and their entries, have.
struct PairReader {
    let bytes: UnsafeRawBufferPointer
    let rule: ElementRule
    var at = 0

    init(bytes: UnsafeRawBufferPointer, rule: ElementRule) {
        self.bytes = bytes
        self.rule = rule
    }

    var isAtEnd: Bool { at == bytes.count }

    /// One update of a ``PairEntry``.
    mutating func update() -> PackedPairUpdate? {
        func number(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at + offset, as: UInt64.self))
        }
        guard bytes.count - at >= 25, bytes[at + 24] <= 1 else { return nil }
        let (session, sequence, lowWater) = (number(0), number(8), number(16))
        let replaces = bytes[at + 24] == 1
        at += 25
        guard let key = run(), let value = run(), Tuple.isWellFormed(key), Tuple.isWellFormed(value) else { return nil }
        return PackedPairUpdate(
            session: SessionID(session), sequence: RequestSequence(sequence), lowWater: RequestSequence(lowWater),
            replaces: replaces, key: key, value: value)
    }

    mutating func expects(_ wanted: StaticBytes) -> Bool {
        guard bytes.count - at >= 4, bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self) == wanted.word else {
            return false
        }
        at += 4
        return true
    }

    /// Four bytes, as they follow each other.
    struct StaticBytes: ExpressibleByArrayLiteral {
        let word: UInt32
        init(arrayLiteral elements: UInt8...) {
            word = UInt32(littleEndian: elements.reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
    }

    /// PUT or POST: whether it is the latter.
    mutating func operatorName() -> Bool? {
        guard bytes.count >= 5 else { return nil }
        if bytes[0] == 3, bytes[1] == UInt8(ascii: "P"), bytes[2] == UInt8(ascii: "U"), bytes[3] == UInt8(ascii: "T") {
            at = 4
            return false
        }
        if bytes[0] == 4, bytes[1] == UInt8(ascii: "P"), bytes[2] == UInt8(ascii: "O"), bytes[3] == UInt8(ascii: "S"),
            bytes[4] == UInt8(ascii: "T")
        {
            at = 5
            return true
        }
        return nil
    }

    /// A length of at most two bytes, in its shortest form.
    mutating func length() -> Int? {
        guard at < bytes.count else { return nil }
        let low = Int(bytes[at])
        at += 1
        guard low >= 0x80 else { return low }
        guard at < bytes.count, bytes[at] < 0x80, bytes[at] > 0 else { return nil }
        at += 1
        return low & 0x7F | Int(bytes[at - 1]) << 7
    }

    mutating func run() -> UnsafeRawBufferPointer? {
        guard let length = length(), length <= bytes.count - at else { return nil }
        at += length
        return UnsafeRawBufferPointer(rebasing: bytes[at - length..<at])
    }

    /// Packs a list of strings, behind its length.
    ///
    /// - Returns: where the packed tuple is.
    mutating func tuple(into out: UnsafeMutableRawBufferPointer, at begin: Int) -> Range<Int>? {
        guard at < bytes.count, bytes[at] == 5 else { return nil }
        at += 1
        guard let count = length(), count > 0 else { return nil }
        let first = at
        var total = count - 1
        for _ in 0..<count {
            guard at < bytes.count, bytes[at] == 4 else { return nil }
            at += 1
            guard let element = run(), isPlain(element) else { return nil }
            total += element.count
        }
        var end = begin
        if total >= 0x80 {
            out[end] = UInt8(total & 0x7F) | 0x80
            out[end + 1] = UInt8(total >> 7)
            end += 2
        } else {
            out[end] = UInt8(total)
            end += 1
        }
        let packed = end..<end + total
        at = first
        for position in 0..<count {
            at += 1
            guard let element = run() else { return nil }
            if position > 0 {
                out[end] = UInt8(ascii: ",")
                end += 1
            }
            UnsafeMutableRawBufferPointer(rebasing: out[end..<end + element.count]).copyMemory(from: element)
            end += element.count
        }
        return packed
    }

    /// Whether the element is allowed for certain, and packs as it is.
    private func isPlain(_ element: UnsafeRawBufferPointer) -> Bool {
        guard !element.isEmpty else { return false }
        switch rule {
        case .alphanumeric:
            for byte in element {
                let isDigit = byte &- 0x30 < 10
                let isLetter = (byte | 0x20) &- 0x61 < 26
                guard isDigit || isLetter else { return false }
            }
        case .text:
            for byte in element where byte >= 0x80 || byte == UInt8(ascii: ",") { return false }
        }
        return true
    }
}
