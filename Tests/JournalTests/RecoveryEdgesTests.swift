import Testing
import TupleCore

@testable import Journal

/// Edges of recovery at which a small slip would lose something unnoticed (specs/0004-journal.md, "Recovery table").
@Suite struct RecoveryEdgesTests {
    private static let footprint = SegmentFormat.footprint(payloadBytes: 150)
    /// So many records of 150 bytes fit a segment of `small`.
    private static let perSegment = UInt64((4_096 - SegmentFormat.headerBytes) / footprint)

    private func name(_ index: UInt64) -> String { FileName.segment(named: LogIndex(index)) }

    private func offset(ofRecord number: UInt64) -> Int {
        SegmentFormat.headerBytes + Int(number - 1) * Self.footprint
    }

    private func edit(_ storage: InMemoryStorage, _ name: String, _ body: (inout [UInt8]) -> Void) throws {
        var bytes = try #require(storage.contents(of: name))
        body(&bytes)
        storage.install(bytes, as: name)
    }

    /// A log of `count` entries, synced in groups of five.
    @discardableResult
    private func fill(_ storage: InMemoryStorage, _ count: UInt64) throws -> JournalWriter {
        let writer = try Recovery.open(storage: storage, settings: small).writer
        for index in 1...count {
            try writer.append(record(index, bytes: 150))
            if index % 5 == 0 { try writer.sync() }
        }
        try writer.sync()
        return writer
    }

    private func expectRefusal(_ storage: InMemoryStorage, _ condition: RecoveryCondition) {
        storage.crash(.nothing)
        do {
            let recovered = try Recovery.open(storage: storage, settings: small)
            Issue.record("recovered up to \(recovered.writer.end.index.number), \(recovered.findings)")
        } catch {
            guard case JournalError.corrupt(let finding) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(finding.condition == condition)
        }
    }

    /// The last record of a segment is lost, and the next segment has no header: the records in it tell what was durable.
    @Test func recordsBehindATornHeaderTellWhatWasDurable() throws {
        let storage = InMemoryStorage()
        try fill(storage, 2 * Self.perSegment - 2)
        try edit(storage, name(1)) { bytes in
            for at in offset(ofRecord: Self.perSegment)..<bytes.count { bytes[at] = 0 }
        }
        try edit(storage, name(Self.perSegment + 1)) { bytes in
            for at in 0..<SegmentFormat.headerBytes { bytes[at] = 0 }
        }
        expectRefusal(storage, .durableRecordsLost)
    }

    /// A stretch of zeros longer than what is read at once is no end: records behind it tell what was durable.
    @Test func recordsBehindALongStretchOfZerosTellWhatWasDurable() throws {
        let storage = InMemoryStorage()
        let large = JournalSettings(segmentBytes: 2 * 1_048_576, retainedLogBytes: 0)
        let writer = try Recovery.open(storage: storage, settings: large).writer
        try writer.append(record(1, bytes: 150))
        try writer.append(record(2, bytes: 700_000))
        try writer.sync()
        try writer.append(record(3, bytes: 150))
        try writer.sync()
        try edit(storage, name(1)) { bytes in
            let begin = offset(ofRecord: 2)
            for at in begin..<begin + SegmentFormat.footprint(payloadBytes: 700_000) { bytes[at] = 0 }
        }
        expectRefusal(storage, .durableRecordsLost)
    }

    /// A copy that was replaced by a shorter one of a later epoch may have left its snapshot behind.
    @Test func aLongerSnapshotOfAnOlderHistoryIsNotTheNewest() throws {
        let storage = InMemoryStorage()
        let writer = try fill(storage, 12)
        try writeSnapshot(storage, position(20), chunks: [[1]])
        try writeSnapshot(storage, position(10, epoch: 2), chunks: [[2]])
        try writer.reset(to: position(10, epoch: 2))
        try writer.append(11...12, epoch: 2, bytes: 150)
        try writer.sync()
        let recovered = try reopen(storage)
        #expect(recovered.snapshotPosition == position(10, epoch: 2))
        #expect(recovered.writer.end == position(12, epoch: 2))
    }

    /// The log has an entry of that index, but of another epoch: it does not lead to what the snapshot stood for.
    @Test func aLogOfAnotherEpochDoesNotReplaceADamagedSnapshot() throws {
        let storage = InMemoryStorage()
        try fill(storage, 12)
        try writeSnapshot(storage, position(8, epoch: 2), chunks: [[1, 2, 3]])
        storage.flip(bit: 8 * 53, of: FileName.snapshot(named: position(8, epoch: 2)))
        expectRefusal(storage, .badSnapshot)
    }

    /// Every byte of a record is checked, those that only fill it up too.
    @Test func theBytesThatFillARecordUpAreChecked() throws {
        let storage = InMemoryStorage()
        try fill(storage, 12)
        storage.flip(bit: 8 * (offset(ofRecord: 5) - 1), of: name(1))
        expectRefusal(storage, .badRecordBody)
    }
}
