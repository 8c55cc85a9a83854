import Testing
import TupleCore

@testable import Journal

/// One scene for each row of the recovery table: a directory in some state, and what recovery is to say about it.
struct Scene: Sendable, CustomStringConvertible {
    var condition: RecoveryCondition
    /// How many entries come back; nil where the directory is refused.
    var entries: Int?
    var prepare: @Sendable (InMemoryStorage) throws -> Void
    var description: String { condition.rawValue }
}

/// A log of `count` entries in `small` segments, synced in groups of five.
@discardableResult
private func fill(_ storage: InMemoryStorage, _ count: UInt64, bytes: Int = 150) throws -> JournalWriter {
    let writer = try Recovery.open(storage: storage, settings: small).writer
    for index in 1...count {
        try writer.append(record(index, bytes: bytes))
        if index % 5 == 0 { try writer.sync() }
    }
    try writer.sync()
    return writer
}

/// Replaces the content of a file.
private func edit(_ storage: InMemoryStorage, _ name: String, _ body: (inout [UInt8]) -> Void) throws {
    var bytes = try #require(storage.contents(of: name))
    body(&bytes)
    storage.install(bytes, as: name)
}

private func name(_ index: UInt64) -> String { FileName.segment(named: LogIndex(index)) }
private let footprint = SegmentFormat.footprint(payloadBytes: 150)
private func offset(ofRecord number: Int) -> Int { SegmentFormat.headerBytes + (number - 1) * footprint }

/// Writes a record by hand where the record `number` of the first segment belongs.
private func forge(_ storage: InMemoryStorage, number: Int, _ position: LogPosition) throws {
    try edit(storage, name(1)) { bytes in
        var forged: [UInt8] = []
        RecordHeader.append(
            .entry, position, durable: .zero, payload: [UInt8](repeating: 1, count: 150).span.bytes,
            segment: LogIndex(1), offset: offset(ofRecord: number), to: &forged)
        bytes.replaceSubrange(offset(ofRecord: number)..<offset(ofRecord: number) + footprint, with: forged)
    }
}

private let scenes: [Scene] = [
    Scene(condition: .emptyDirectory, entries: 0) { _ in },
    Scene(condition: .cleanEnd, entries: 12) { try fill($0, 12) },
    Scene(condition: .tornTail, entries: 10) { storage in
        try fill(storage, 12)
        // The sector with the rear of entry 11 and with entry 12 was never written.
        try edit(storage, name(1)) { bytes in
            let end = offset(ofRecord: 13)
            for at in (end / 512 * 512)..<end { bytes[at] = 0 }
        }
    },
    Scene(condition: .lostUnsyncedRecords, entries: 11) { storage in
        // The head of entry 12 was never written; 13 and 14, of the same group, were.
        try fill(storage, 14)
        try edit(storage, name(1)) { bytes in
            for at in offset(ofRecord: 12)..<offset(ofRecord: 12) + 48 { bytes[at] = 0 }
        }
    },
    Scene(condition: .tornSegmentHeader, entries: 12) { storage in
        try fill(storage, 12)
        storage.install([UInt8](repeating: 0, count: 4_096), as: name(13))
    },
    Scene(condition: .badSegmentHeader) { storage in
        try fill(storage, 12)
        storage.flip(bit: 8 * 17, of: name(1))
    },
    Scene(condition: .badRecordHeader) { storage in
        try fill(storage, 12)
        storage.flip(bit: 8 * (offset(ofRecord: 4) + 9), of: name(1))
    },
    Scene(condition: .badRecordBody) { storage in
        try fill(storage, 12)
        storage.flip(bit: 8 * (offset(ofRecord: 4) + 60), of: name(1))
    },
    Scene(condition: .durableRecordsLost) { storage in
        // As a torn tail, but entry 11 says that 10 had been durable.
        try fill(storage, 12)
        try edit(storage, name(1)) { bytes in
            for at in offset(ofRecord: 9)..<offset(ofRecord: 10) { bytes[at] = 0 }
        }
    },
    Scene(condition: .gapBetweenSegments) { storage in
        try fill(storage, 60)
        let names = try logNames(storage)
        try storage.remove(names[1])
    },
    Scene(condition: .wrongIndex) { storage in
        try fill(storage, 12)
        try forge(storage, number: 13, position(14))
    },
    Scene(condition: .olderEpoch) { storage in
        try fill(storage, 12)
        try forge(storage, number: 13, position(13, epoch: 0))
    },
    Scene(condition: .supersededSegment, entries: 10) { storage in
        let writer = try fill(storage, 60)
        let leftover = try #require(try logNames(storage).last)
        let bytes = try #require(storage.contents(of: leftover))
        try writer.truncate(after: LogIndex(10))
        storage.install(bytes, as: leftover)
    },
    Scene(condition: .missingSnapshot) { storage in
        try fill(storage, 60)
        try storage.remove(name(1))
    },
    Scene(condition: .badSnapshotWithFallback, entries: 12) { storage in
        try fill(storage, 12)
        try writeSnapshot(storage, position(8), chunks: [[1, 2, 3]])
        storage.flip(bit: 8 * 53, of: FileName.snapshot(named: position(8)))
    },
    Scene(condition: .badSnapshot) { storage in
        let writer = try fill(storage, 60)
        try writeSnapshot(storage, position(50), chunks: [[1, 2, 3]])
        try writer.releaseSegments(coveredBy: LogIndex(50))?.perform()
        storage.flip(bit: 8 * 53, of: FileName.snapshot(named: position(50)))
    },
    Scene(condition: .olderSnapshot, entries: 4) { storage in
        try fill(storage, 12)
        try writeSnapshot(storage, position(5), chunks: [[1]])
        let older = FileName.snapshot(named: position(5))
        let bytes = try #require(storage.contents(of: older))
        try writeSnapshot(storage, position(8), chunks: [[1]])
        storage.install(bytes, as: older)
    },
    Scene(condition: .snapshotWithoutLog, entries: 0) { storage in
        try writeSnapshot(storage, position(8), chunks: [[1]])
    },
    Scene(condition: .logEndsBeforeSnapshot, entries: 0) { storage in
        try fill(storage, 12)
        try writeSnapshot(storage, position(20), chunks: [[1]])
    },
    Scene(condition: .logOfAnotherHistory, entries: 0) { storage in
        try fill(storage, 12)
        try writeSnapshot(storage, position(8, epoch: 2), chunks: [[1]])
    },
    Scene(condition: .logContradictsSnapshot) { storage in
        try fill(storage, 12)
        try writeSnapshot(storage, position(8, epoch: 0), chunks: [[1]])
    },
    Scene(condition: .temporaryFile, entries: 12) { storage in
        try fill(storage, 12)
        storage.install([1, 2], as: "snapshot-00000000000000000009-1.tmp")
    },
    Scene(condition: .damagedCoveredSegment, entries: 10) { storage in
        try fill(storage, 60)
        try writeSnapshot(storage, position(50), chunks: [[1]])
        storage.flip(bit: 8 * 700, of: name(1))
    },
    Scene(condition: .badDurableRecord) { storage in
        var record = try DurableRecord(storage: storage, name: "switch")
        try record.write([1, 2, 3])
        storage.flip(bit: 8 * 33, of: "switch.record")
        storage.flip(bit: 8 * (4_096 + 33), of: "switch.record")
        _ = try DurableRecord(storage: storage, name: "switch")
    },
    Scene(condition: .unknownFile, entries: 12) { storage in
        try fill(storage, 12)
        storage.install([1], as: "log-7")
    },
    Scene(condition: .unknownVersion) { storage in
        try fill(storage, 12)
        try edit(storage, name(1)) { bytes in
            bytes[8] = 3
            let sum = bytes.checksum(0..<56)
            bytes.replaceSubrange(56..<60, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) })
        }
    },
]

@Suite struct RecoveryTableTests {
    @Test func everyConditionHasOneRowAndOneScene() {
        #expect(
            RecoveryTable.rows.map(\.condition).sorted { $0.rawValue < $1.rawValue }
                == RecoveryCondition.allCases.sorted { $0.rawValue < $1.rawValue })
        #expect(Set(scenes.map(\.condition)) == Set(RecoveryCondition.allCases))
    }

    @Test(arguments: scenes) func everyRowIsCarriedOut(_ scene: Scene) throws {
        let storage = InMemoryStorage()
        let decision = RecoveryTable[scene.condition].decision
        do {
            try scene.prepare(storage)
            storage.crash(.nothing)
            let before = try storage.list().map { storage.contents(of: $0) }
            let recovered: RecoveredJournal
            do { recovered = try Recovery.open(storage: storage, settings: small) } catch {
                #expect(try storage.list().map { storage.contents(of: $0) } == before, "a refusal changed something")
                throw error
            }
            #expect(decision != .refuse)
            let found = try #require(recovered.findings.first { $0.condition == scene.condition })
            #expect(!found.description.isEmpty)
            let warns = decision == .truncateAndWarn || decision == .useAndWarn
            #expect(recovered.warnings.contains(found) == warns)
            #expect(try recovered.allRecords().count == scene.entries)
            // What recovery has put in order stays in order, and can be written to.
            let end = recovered.writer.end
            try recovered.writer.append(record(end.index.number + 1, epoch: end.epoch.number))
            try recovered.writer.sync()
            storage.crash(.everythingUnsynced)
            let again = try Recovery.open(storage: storage, settings: small)
            #expect(again.writer.end.index == end.index.next)
            #expect(try again.allRecords().count == (scene.entries ?? 0) + 1)
            if decision == .truncateAndWarn || decision == .remove {
                #expect(!again.findings.contains { $0.condition == scene.condition })
            }
        } catch let error as JournalError {
            #expect(decision == .refuse, "\(error)")
            switch error {
            case .corrupt(let finding): #expect(finding.condition == scene.condition, "\(error)")
            case .unknownVersion(let file, 3, 2): #expect(scene.condition == .unknownVersion && file == name(1))
            default: Issue.record("\(error)")
            }
        }
    }

    /// Entries 11 and 12 say that all up to 10 had been durable; of those the last counts as much as any before it.
    @Test(arguments: 6...12) func noRecordThatIsKnownToBeDurableIsCutOff(_ number: Int) throws {
        let storage = InMemoryStorage()
        try fill(storage, 12)
        try edit(storage, name(1)) { bytes in
            for at in offset(ofRecord: number)..<offset(ofRecord: number + 1) { bytes[at] = 0 }
        }
        storage.crash(.nothing)
        guard number <= 10 else {
            #expect(try Recovery.open(storage: storage, settings: small).writer.end.index.number == UInt64(number) - 1)
            return
        }
        let place = Finding(
            .durableRecordsLost, file: name(1), offset: offset(ofRecord: number), index: LogIndex(UInt64(number)))
        #expect(throws: JournalError.corrupt(place)) { try Recovery.open(storage: storage, settings: small) }
    }

    /// A torn record tells what had been durable too, by its head.
    @Test func theHeadOfATornRecordTellsWhatHadBeenDurable() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        try writer.append(1...5, bytes: 150)
        try writer.sync()
        // Its body goes on in a sector of its own, which is lost; entry 5 is damaged.
        try writer.append(record(6, bytes: 1_200))
        try writer.sync()
        try edit(storage, name(1)) { bytes in
            for at in offset(ofRecord: 5)..<offset(ofRecord: 6) { bytes[at] = 0 }
            for at in offset(ofRecord: 6) + 600..<bytes.count { bytes[at] = 0 }
        }
        storage.crash(.nothing)
        #expect(throws: JournalError.self) { try Recovery.open(storage: storage, settings: small) }
    }

    /// The segment with the first entry never got its header, so it seems; the next one says that the entry was durable.
    @Test func aTornFirstSegmentIsNoLossOnlyWhereNothingInItWasDurable() throws {
        for isDurable in [true, false] {
            let storage = InMemoryStorage()
            let writer = try Recovery.open(storage: storage, settings: small).writer
            try writer.append(record(1, bytes: 150))
            if isDurable { try writer.sync() }
            try writer.append(2...40, bytes: 150)
            try writer.sync()
            #expect(try logNames(storage).count > 1)
            storage.install([UInt8](repeating: 0, count: 4_096), as: name(1))
            storage.crash(.nothing)
            if isDurable {
                #expect(throws: JournalError.self) { try Recovery.open(storage: storage, settings: small) }
            } else {
                #expect(try Recovery.open(storage: storage, settings: small).writer.end == .zero)
            }
        }
    }

    @Test func settingAsideIsTheWayOutOfARefusal() throws {
        let storage = InMemoryStorage()
        try fill(storage, 60)
        var kept = try DurableRecord(storage: storage, name: "member")
        try kept.write([5])
        storage.flip(bit: 8 * 700, of: name(1))
        storage.crash(.nothing)
        #expect(throws: JournalError.self) { try Recovery.open(storage: storage, settings: small) }
        let moved = try Recovery.quarantine(storage: storage)
        #expect(moved.count == storage.asideNames.count)
        #expect(moved.contains(name(1)))
        let recovered = try reopen(storage)
        #expect(recovered.findings.map(\.condition) == [.emptyDirectory])
        #expect(try DurableRecord(storage: storage, name: "member").payload == [5])
    }
}
