import TupleCore

/// The bytes of a log segment (specs/0004-journal.md, "Segments"): a header, records one after the other, zeros.
enum SegmentFormat {
    /// What is written. Version 1, of release 0.1, is read too: its entries have fewer kinds.
    static let version: UInt32 = 2
    static let oldestVersion: UInt32 = 1
    static let magic: [UInt8] = Array("TWINLOG\n".utf8)
    static let endMark: UInt32 = 0x474F_4C2E
    static let headerBytes = 64
    static let recordHeaderBytes = 40
    static let entryMagic: UInt32 = 0x5952_5445
    static let markMagic: UInt32 = 0x4B52_414D
    static let padding: UInt8 = 0xA5
    static let sectorBytes = 512
    static let wordBytes = 8
    /// Beyond it an index is not believed; it leaves room for arithmetic.
    static let maximumIndex: UInt64 = 1 << 62
    static let maximumPayloadBytes = Limits.maximumEntryBytes + 65_536
    static let maximumSegmentBytes = 268_435_456

    /// What a record of so many payload bytes takes up. The last word of it is never zero, because at least one byte of
    /// padding is there: that is how a lost or torn sector is told from a flipped bit.
    static func footprint(payloadBytes: Int) -> Int {
        (recordHeaderBytes + payloadBytes + wordBytes) / wordBytes * wordBytes
    }
}

/// The first 64 bytes of a segment.
struct SegmentHeader: Equatable {
    var firstIndex: LogIndex
    /// Grows by one with every truncation or reset. A segment with a lower one than a segment before it is a leftover.
    var generation: UInt64
    /// The epoch of the entry before `firstIndex`.
    var previousEpoch: Epoch
    /// What was known to be durable when the header was written.
    var durable: LogIndex

    func encoded() -> [UInt8] {
        var bytes = SegmentFormat.magic
        bytes.appendLittleEndian(SegmentFormat.version)
        bytes.appendLittleEndian(UInt32(0))
        bytes.appendLittleEndian(firstIndex.number)
        bytes.appendLittleEndian(generation)
        bytes.appendLittleEndian(previousEpoch.number)
        bytes.appendLittleEndian(durable.number)
        bytes.appendLittleEndian(UInt64(0))
        bytes.appendLittleEndian(bytes.checksum(0..<56))
        bytes.appendLittleEndian(SegmentFormat.endMark)
        return bytes
    }

    enum Decoded: Equatable {
        case valid(SegmentHeader)
        case unknownVersion(UInt32)
        /// Never completely written: some of it still has the zeros of the fresh file.
        case torn
        case bad
    }

    /// - Parameter bytes: what the file begins with; fewer than 64 where the file is shorter.
    static func decode(_ bytes: [UInt8], named firstIndex: LogIndex) -> Decoded {
        guard bytes.count >= SegmentFormat.headerBytes else { return bytes.isZero(0..<bytes.count) ? .torn : .bad }
        guard bytes.isZero(56..<64) == false else { return .torn }
        guard Array(bytes[0..<8]) == SegmentFormat.magic,
            bytes.littleEndian(UInt32.self, at: 56) == bytes.checksum(0..<56),
            bytes.littleEndian(UInt32.self, at: 60) == SegmentFormat.endMark
        else { return .bad }
        let version = bytes.littleEndian(UInt32.self, at: 8)
        guard (SegmentFormat.oldestVersion...SegmentFormat.version).contains(version) else {
            return .unknownVersion(version)
        }
        let header = SegmentHeader(
            firstIndex: LogIndex(bytes.littleEndian(UInt64.self, at: 16)),
            generation: bytes.littleEndian(UInt64.self, at: 24),
            previousEpoch: Epoch(bytes.littleEndian(UInt64.self, at: 32)),
            durable: LogIndex(bytes.littleEndian(UInt64.self, at: 40)))
        guard header.firstIndex == firstIndex, firstIndex.number >= 1,
            firstIndex.number <= SegmentFormat.maximumIndex, header.generation <= SegmentFormat.maximumIndex
        else { return .bad }
        return .valid(header)
    }
}

/// The 40 bytes before each payload.
struct RecordHeader: Equatable {
    enum Kind { case entry, mark }

    var kind: Kind
    var payloadBytes: Int
    var position: LogPosition
    /// What was known to be durable when the record was written: an entry up to there that is missing was lost by the
    /// disk, not by a crash.
    var durable: LogIndex
    var payloadChecksum: UInt32

    var footprint: Int { SegmentFormat.footprint(payloadBytes: payloadBytes) }

    /// Appends a whole record: header, payload, padding.
    static func append(
        _ kind: Kind, _ position: LogPosition, durable: LogIndex, payload: RawSpan, segment: LogIndex, offset: Int,
        to buffer: inout [UInt8]
    ) {
        let seed = placeSeed(segment.number, UInt64(offset))
        let start = buffer.count
        buffer.appendLittleEndian(kind == .entry ? SegmentFormat.entryMagic : SegmentFormat.markMagic)
        buffer.appendLittleEndian(UInt32(payload.byteCount))
        buffer.appendLittleEndian(position.index.number)
        buffer.appendLittleEndian(position.epoch.number)
        buffer.appendLittleEndian(durable.number)
        buffer.appendLittleEndian(checksum(payload, seed: seed))
        buffer.appendLittleEndian(buffer.checksum(start..<start + 36, seed: seed))
        buffer.append(bytesOf: payload)
        let end = start + SegmentFormat.footprint(payloadBytes: payload.byteCount)
        while buffer.count < end { buffer.append(SegmentFormat.padding) }
    }

    /// The header at `start`, nil where its checksum or a field is wrong.
    /// - Precondition: 40 bytes from `start` on lie within the array.
    static func decode(_ bytes: [UInt8], at start: Int, segment: LogIndex, offset: Int) -> RecordHeader? {
        let kind: Kind
        switch bytes.littleEndian(UInt32.self, at: start) {
        case SegmentFormat.entryMagic: kind = .entry
        case SegmentFormat.markMagic: kind = .mark
        default: return nil
        }
        let seed = placeSeed(segment.number, UInt64(offset))
        guard bytes.littleEndian(UInt32.self, at: start + 36) == bytes.checksum(start..<start + 36, seed: seed) else {
            return nil
        }
        let header = RecordHeader(
            kind: kind, payloadBytes: Int(bytes.littleEndian(UInt32.self, at: start + 4)),
            position: LogPosition(
                epoch: Epoch(bytes.littleEndian(UInt64.self, at: start + 16)),
                index: LogIndex(bytes.littleEndian(UInt64.self, at: start + 8))),
            durable: LogIndex(bytes.littleEndian(UInt64.self, at: start + 24)),
            payloadChecksum: bytes.littleEndian(UInt32.self, at: start + 32))
        guard header.payloadBytes <= SegmentFormat.maximumPayloadBytes,
            header.position.index.number <= SegmentFormat.maximumIndex,
            header.kind == .entry || header.payloadBytes == 0
        else { return nil }
        return header
    }

    /// Whether payload and padding are what the header promises.
    /// - Precondition: the whole footprint from `start` on lies within the array.
    func bodyIsIntact(_ bytes: [UInt8], at start: Int, segment: LogIndex, offset: Int) -> Bool {
        let body = start + SegmentFormat.recordHeaderBytes
        let seed = placeSeed(segment.number, UInt64(offset))
        guard bytes.checksum(body..<body + payloadBytes, seed: seed) == payloadChecksum else { return false }
        return bytes[(body + payloadBytes)..<(start + footprint)].allSatisfy { $0 == SegmentFormat.padding }
    }
}
