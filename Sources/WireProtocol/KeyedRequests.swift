public import TupleCore

/// Requests about one key each, gathered from the bytes that they came in: a PUT or POST of one pair, packed as the log has
/// it, and a GET whose expression for the key is plain text and whose expression for the value is `.*`, which is answered
/// by looking the key up. Most requests are such ones, and nothing of them is ever taken out of the bytes.
///
/// What the updates become is the same bytes as ``LogEntry/encoded`` makes; whatever is not plainly such a request is left
/// to the types that can say everything.
public struct KeyedRequests: Sendable {
    /// One of them, and where it is packed.
    public struct Item: Sendable {
        public let header: Header
        /// Where its frame begins in the run that it came in.
        public let offset: Int
        public let kind: Kind
        fileprivate let bytes: Range<Int>
        fileprivate let key: Range<Int>
        fileprivate let value: Range<Int>
    }

    public enum Kind: Sendable {
        case lookup
        case add
        case replace
    }

    public private(set) var items: [Item] = []
    private var packed: [UInt8]
    private var used = 0

    /// Longer requests are no such ones: two tuples with a length for each element fit.
    private static let maximumPayloadBytes = 2 * (Limits.maximumTupleBytes + 4 * Limits.maximumTupleElements) + 64
    /// What is gathered together at most, in bytes; but one request always fits.
    public static let capacity = 65_536
    /// Session, sequence, low-water mark, what it does.
    private static let prefixBytes = 25

    /// - Parameter capacity: what fits, in bytes.
    public init(capacity: Int = KeyedRequests.capacity) { packed = [UInt8](repeating: 0, count: capacity) }

    public var isEmpty: Bool { items.isEmpty }

    /// Gathers a request about one key.
    ///
    /// - Parameter offset: where its frame begins in its run.
    /// - Returns: false where the payload is anything else, has elements that the rule does not allow or with commas, or finds no room; and
    ///   where more than one key may match the text of a GET: one in which a comma stands can be split into elements in
    ///   several ways, unless the rule excludes commas from elements.
    /// - Complexity: O(bytes).
    public mutating func add(
        _ header: Header, _ payload: UnsafeRawBufferPointer, offset: Int, rule: ElementRule
    ) -> Bool {
        // Each tuple is packed into no more than it takes in the request; a length takes three bytes at most.
        let needed = KeyedRequests.prefixBytes + payload.count + 8
        guard payload.count <= KeyedRequests.maximumPayloadBytes, makeRoom(for: needed, payload) else { return false }
        let begin = used
        let item = packed.withUnsafeMutableBytes { out in
            var reader = PairReader(bytes: payload, rule: rule)
            return KeyedRequests.update(header, offset, &reader, out, at: begin)
                ?? KeyedRequests.lookup(header, offset, &reader, out, at: begin)
        }
        guard let item else { return false }
        items.append(item)
        used = item.bytes.upperBound
        return true
    }

    /// - Returns: false where others have to be carried out before.
    private mutating func makeRoom(for needed: Int, _ payload: UnsafeRawBufferPointer) -> Bool {
        if used + needed <= packed.count { return true }
        guard items.isEmpty else { return false }
        // No memory for a long list, or a long expression, that would be no such request anyway.
        var reader = PairReader(bytes: payload, rule: .text)
        guard reader.operatorName() != nil, reader.expects([5, 1, 5, 2]) else { return false }
        packed = [UInt8](repeating: 0, count: needed)
        return true
    }

    private static func update(
        _ header: Header, _ offset: Int, _ reader: inout PairReader, _ out: UnsafeMutableRawBufferPointer, at begin: Int
    ) -> Item? {
        guard let replaces = reader.operatorName(), reader.expects([5, 1, 5, 2]),
            let key = reader.tuple(into: out, at: begin + prefixBytes),
            let value = reader.tuple(into: out, at: key.upperBound), reader.isAtEnd
        else { return nil }
        func put(_ value: UInt64, at offset: Int) {
            out.storeBytes(of: value.littleEndian, toByteOffset: begin + offset, as: UInt64.self)
        }
        put(header.session.number, at: 0)
        put(header.sequence.number, at: 8)
        put(header.lowWater.number, at: 16)
        out[begin + 24] = replaces ? 1 : 0
        return Item(
            header: header, offset: offset, kind: replaces ? .replace : .add, bytes: begin..<value.upperBound, key: key,
            value: value)
    }

    private static func lookup(
        _ header: Header, _ offset: Int, _ reader: inout PairReader, _ out: UnsafeMutableRawBufferPointer, at begin: Int
    ) -> Item? {
        guard header.flags.isEmpty, reader.expectsGet(), let key = reader.plainKey(into: out, at: begin),
            reader.expectsAnything(), reader.isAtEnd
        else { return nil }
        return Item(
            header: header, offset: offset, kind: .lookup, bytes: begin..<key.upperBound, key: key,
            value: key.upperBound..<key.upperBound)
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
        let header = item.header
        return PackedPairUpdate(
            session: header.session, sequence: header.sequence, lowWater: header.lowWater,
            replaces: item.kind == .replace,
            key: UnsafeRawBufferPointer(rebasing: bytes[item.key]),
            value: UnsafeRawBufferPointer(rebasing: bytes[item.value]))
    }

    /// The log entry that the updates among some of them become together, as ``LogEntry/encoded`` makes it; nil where there
    /// is none.
    public func entry(_ range: Range<Int>, at position: LogPosition, time: Int64) -> [UInt8]? {
        var updates = 0
        var total = PairEntry.prefixBytes
        for item in items[range] where item.kind != .lookup {
            updates += 1
            total += item.bytes.count
        }
        guard updates > 0 else { return nil }
        return [UInt8](unsafeUninitializedCapacity: total) { output, count in
            let out = UnsafeMutableRawBufferPointer(output)
            func put<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
                out.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self)
            }
            put(position.epoch.number, at: 0)
            put(position.index.number, at: 8)
            put(time, at: 16)
            out[24] = LogEntry.Kind.pairs
            put(UInt32(updates), at: 25)
            count = PairEntry.prefixBytes
            packed.withUnsafeBytes { packed in
                for item in items[range] where item.kind != .lookup {
                    UnsafeMutableRawBufferPointer(rebasing: out[count..<count + item.bytes.count])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: packed[item.bytes]))
                    count += item.bytes.count
                }
            }
        }
    }

    public mutating func removeAll() {
        items.removeAll(keepingCapacity: true)
        used = 0
        // One large request does not keep its room.
        if packed.count > 2 * KeyedRequests.capacity { packed = [UInt8](repeating: 0, count: KeyedRequests.capacity) }
    }
}

extension Answer {
    /// Appends the payload of an answer of one pair of packed tuples.
    public static func encode(
        key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) {
        var writer = ByteWriter()
        swap(&writer.bytes, &output)
        writer.byte(Status.ok.rawValue)
        writer.length(0)
        writer.length(0)
        writer.length(1)
        writer.tuple(key)
        writer.tuple(value)
        writer.length(0)
        swap(&writer.bytes, &output)
    }
}
