public import TupleCore

/// The log entry of an update of one pair whose outcome is a plain `ok`, without any of its parts taken out of the bytes:
/// most requests are such an update, and most entries come from one.
///
/// It is the same bytes as ``LogEntry/encoded`` makes; whatever is not plainly such a request or entry is left to the types
/// that can say everything.
public struct PairEntry {
    public let bytes: [UInt8]
    public let key: Range<Int>
    public let value: Range<Int>
    /// POST, not PUT.
    public let replaces: Bool

    /// Longer requests are read as a ``Request``.
    private static let maximumPayloadBytes = 2_048
    /// Position, time, kind, session, sequence, low-water mark.
    private static let prefixBytes = 16 + 8 + 1 + 24
    private static let updateKind: UInt8 = 1

    /// The entry that a PUT or POST of one pair becomes, if its effect fits.
    ///
    /// - Returns: nil where the payload is anything else, or has elements beyond ASCII or with commas.
    /// - Complexity: O(bytes).
    public init?(
        request payload: ArraySlice<UInt8>, header: Header, rule: ElementRule, position: LogPosition, time: Int64
    ) {
        guard payload.count <= PairEntry.maximumPayloadBytes else { return nil }
        var found: (key: Range<Int>, value: Range<Int>, replaces: Bool)?
        // Each tuple is packed into no more than it takes in the request; a length takes two bytes at most.
        let entry = [UInt8](unsafeUninitializedCapacity: PairEntry.prefixBytes + payload.count + 8) { output, count in
            let out = UnsafeMutableRawBufferPointer(output)
            payload.withUnsafeBytes { payload in
                var reader = PairReader(bytes: payload, rule: rule)
                guard let replaces = reader.operatorName(), reader.expects([5, 1, 5, 2]) else { return }
                var end = PairEntry.prefixBytes
                out[end] = 0
                out[end + 1] = 1
                out[end + 2] = replaces ? 1 : 0
                end += 3
                guard let key = reader.tuple(into: out, at: end),
                    let value = reader.tuple(into: out, at: key.upperBound),
                    reader.isAtEnd
                else { return }
                PairEntry.prefix(out, header, position, time)
                found = (key, value, replaces)
                count = value.upperBound
            }
        }
        guard let found else { return nil }
        bytes = entry
        key = found.key
        value = found.value
        replaces = found.replaces
    }

    private static func prefix(
        _ out: UnsafeMutableRawBufferPointer, _ header: Header, _ position: LogPosition, _ time: Int64
    ) {
        func put(_ value: UInt64, at offset: Int) {
            out.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self)
        }
        put(position.epoch.number, at: 0)
        put(position.index.number, at: 8)
        put(UInt64(bitPattern: time), at: 16)
        out[24] = updateKind
        put(header.session.number, at: 25)
        put(header.sequence.number, at: 33)
        put(header.lowWater.number, at: 41)
    }

    /// What an encoded entry of this kind says.
    public struct View {
        public let position: LogPosition
        public let time: Int64
        public let session: SessionID
        public let sequence: RequestSequence
        public let lowWater: RequestSequence
        public let replaces: Bool
        public let key: UnsafeRawBufferPointer
        public let value: UnsafeRawBufferPointer
    }

    /// - Returns: nil where the entry is anything else, or malformed: ``LogEntry/init(decoding:)`` tells.
    public static func view(_ entry: UnsafeRawBufferPointer) -> View? {
        func number(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: entry.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        guard entry.count > prefixBytes + 3, entry[24] == updateKind, entry[prefixBytes] == 0,
            entry[prefixBytes + 1] == 1, entry[prefixBytes + 2] <= 1
        else { return nil }
        var reader = PairReader(bytes: entry, rule: .text)
        reader.at = prefixBytes + 3
        guard let key = reader.run(), let value = reader.run(), reader.isAtEnd, Tuple.isWellFormed(key),
            Tuple.isWellFormed(value)
        else { return nil }
        return View(
            position: LogPosition(epoch: Epoch(number(0)), index: LogIndex(number(8))),
            time: Int64(bitPattern: number(16)), session: SessionID(number(25)),
            sequence: RequestSequence(number(33)), lowWater: RequestSequence(number(41)),
            replaces: entry[prefixBytes + 2] == 1, key: key, value: value)
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
