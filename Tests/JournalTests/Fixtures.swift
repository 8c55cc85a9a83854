import Journal
import Testing
import TupleCore

/// Entries whose payload tells their position, so that a test sees at once what was mixed up.
func record(_ index: UInt64, epoch: UInt64 = 1, bytes: Int = 0) -> JournalRecord {
    var payload = Array("entry \(index) of epoch \(epoch)".utf8)
    while payload.count < bytes { payload.append(UInt8(truncatingIfNeeded: 1 + payload.count % 251)) }
    return JournalRecord(position(index, epoch: epoch), payload: payload)
}

func position(_ index: UInt64, epoch: UInt64 = 1) -> LogPosition {
    LogPosition(epoch: Epoch(epoch), index: LogIndex(index))
}

let small = JournalSettings(segmentBytes: 4_096, retainedLogBytes: 0)

extension JournalWriter {
    func append(_ range: ClosedRange<UInt64>, epoch: UInt64 = 1, bytes: Int = 0) throws {
        for index in range { try append(record(index, epoch: epoch, bytes: bytes)) }
    }
}

extension RecoveredJournal {
    func allRecords() throws -> [JournalRecord] {
        var cursor = try records()
        var result: [JournalRecord] = []
        while let record = try cursor.next() { result.append(record) }
        return result
    }

    func allChunks() throws -> [[UInt8]] {
        var chunks: [[UInt8]] = []
        guard var reader = snapshot else { return [] }
        while let chunk = try reader.next() { chunks.append(chunk) }
        return chunks
    }
}

func writeSnapshot(_ storage: any Storage, _ position: LogPosition, chunks: [[UInt8]]) throws {
    var writer = try SnapshotWriter(storage: storage, position: position)
    for chunk in chunks { try writer.add(chunk) }
    #expect(try writer.finish() == nil)
}

/// Opens after the process ended and the machine went on.
func reopen(_ storage: InMemoryStorage, _ settings: JournalSettings = small) throws -> RecoveredJournal {
    storage.crash(.nothing)
    return try Recovery.open(storage: storage, settings: settings)
}

func logNames(_ storage: InMemoryStorage) throws -> [String] {
    try storage.list().filter { $0.hasPrefix("log-") }
}
