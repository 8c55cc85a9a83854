import Testing
import TupleCore

@testable import Journal

/// The formats, to the byte: what these tests hold fast is what other versions of the program read.
@Suite struct FormatTests {
    @Test func theHeaderOfASegment() {
        let header = SegmentHeader(
            firstIndex: LogIndex(0x0102), generation: 3, previousEpoch: Epoch(4), durable: LogIndex(5))
        let bytes = header.encoded()
        #expect(bytes.count == 64)
        #expect(Array(bytes[0..<18]) == Array("TWINLOG\n".utf8) + [2, 0, 0, 0, 0, 0, 0, 0, 2, 1])
        #expect(Array(bytes[24..<25]) + Array(bytes[32..<33]) + Array(bytes[40..<41]) == [3, 4, 5])
        #expect(SegmentHeader.decode(bytes, named: LogIndex(0x0102)) == .valid(header))
        #expect(SegmentHeader.decode(bytes, named: LogIndex(0x0103)) == .bad)
        #expect(SegmentHeader.decode(versioned(bytes, 1), named: LogIndex(0x0102)) == .valid(header), "release 0.1")
        #expect(SegmentHeader.decode(versioned(bytes, 3), named: LogIndex(0x0102)) == .unknownVersion(3))
        #expect(SegmentHeader.decode(versioned(bytes, 0), named: LogIndex(0x0102)) == .unknownVersion(0))
        #expect(SegmentHeader.decode([UInt8](repeating: 0, count: 64), named: LogIndex(1)) == .torn)
        #expect(SegmentHeader.decode([], named: LogIndex(1)) == .torn)
    }

    private func versioned(_ header: [UInt8], _ version: UInt8) -> [UInt8] {
        var bytes = header
        bytes[8] = version
        let sum = bytes.checksum(0..<56)
        bytes.replaceSubrange(56..<60, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) })
        return bytes
    }

    @Test func aRecordNeverEndsWithAZeroWord() {
        for count in 0..<64 {
            var bytes: [UInt8] = []
            RecordHeader.append(
                .entry, position(9, epoch: 2), durable: LogIndex(8),
                payload: [UInt8](repeating: 0, count: count).span.bytes, segment: LogIndex(1), offset: 64, to: &bytes)
            #expect(bytes.count == SegmentFormat.footprint(payloadBytes: count))
            #expect(bytes.count.isMultiple(of: 8) && bytes.count > 40 + count && bytes.count <= 48 + count)
            #expect(bytes.last == 0xA5)
            #expect(Array(bytes[0..<9]) == Array("ETRY".utf8) + [UInt8(count), 0, 0, 0, 9])
            let header = RecordHeader.decode(bytes, at: 0, segment: LogIndex(1), offset: 64)
            #expect(header?.position == position(9, epoch: 2))
            #expect(header?.durable == LogIndex(8))
            #expect(header?.bodyIsIntact(bytes, at: 0, segment: LogIndex(1), offset: 64) == true)
            // In another place it is not that record.
            #expect(RecordHeader.decode(bytes, at: 0, segment: LogIndex(1), offset: 72) == nil)
            #expect(RecordHeader.decode(bytes, at: 0, segment: LogIndex(2), offset: 64) == nil)
        }
    }

    @Test func names() {
        #expect(FileName.segment(named: LogIndex(42)) == "log-00000000000000000042")
        #expect(FileName.snapshot(named: position(42, epoch: 7)) == "snapshot-00000000000000000042-7")
        #expect(FileName.parse("log-00000000000000000042") == .segment(LogIndex(42)))
        #expect(FileName.parse("snapshot-00000000000000000042-7") == .snapshot(position(42, epoch: 7)))
        #expect(FileName.parse("switch.record") == .record)
        #expect(FileName.parse("log-00000000000000000042.tmp") == .temporary)
        for name in [
            "", "log", "log-", "log-42", "log-00000000000000000000", "log-99999999999999999999", "log--1",
            "log-+0000000000000000042", "snapshot-00000000000000000042", "snapshot-00000000000000000042-07",
            "snapshot-00000000000000000042-", "Log-00000000000000000042",
        ] {
            #expect(FileName.parse(name) == .unknown, "\(name)")
        }
    }

    @Test func settingsHaveRanges() throws {
        #expect(try JournalSettings().validated() == JournalSettings())
        for settings in [
            JournalSettings(segmentBytes: 4_095), JournalSettings(segmentBytes: 1 << 30),
            JournalSettings(retainedLogBytes: -1), JournalSettings(syncPolicy: .interval(.zero)),
            JournalSettings(syncPolicy: .interval(.seconds(4_000))),
        ] {
            #expect(throws: JournalError.self) { try settings.validated() }
        }
    }
}
