import Testing
import TupleCore

@testable import Journal

@Suite struct JournalWriterTests {
    @Test func whatWasSyncedIsThereAfterALossOfPower() throws {
        let storage = InMemoryStorage()
        let first = try Recovery.open(storage: storage, settings: small)
        #expect(first.findings.map(\.condition) == [.emptyDirectory])
        try first.writer.append(1...100, bytes: 90)
        #expect(first.writer.durable == .zero)
        #expect(try first.writer.sync() == position(100))
        #expect(try logNames(storage).count > 2)
        storage.crash(.everythingUnsynced)
        let second = try Recovery.open(storage: storage, settings: small)
        #expect(second.warnings.isEmpty)
        #expect(try second.allRecords() == (1...100).map { record($0, bytes: 90) })
        try second.writer.append(101...120, epoch: 3)
        try second.writer.sync()
        storage.crash(.everythingUnsynced)
        let third = try Recovery.open(storage: storage, settings: small)
        #expect(try third.allRecords().count == 120)
        #expect(third.writer.end == position(120, epoch: 3))
        #expect(third.writer.position(at: LogIndex(100)) == position(100))
        #expect(third.writer.position(at: LogIndex(101)) == position(101, epoch: 3))
    }

    @Test func appendsGoOnWhileASyncIsUnderWay() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        try writer.append(1...3)
        let request = try #require(try writer.beginSync())
        try writer.append(4...5)
        #expect(try writer.beginSync() == nil)
        #expect(try writer.completeSync(request.perform()) == position(3))
        #expect(writer.end == position(5))
        #expect(try writer.sync() == position(5))
        #expect(try writer.beginSync() == nil)
    }

    @Test func aGroupIsOneSync() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage).writer
        let before = storage.syncCount
        try writer.append(1...1_000)
        try writer.sync()
        #expect(storage.syncCount == before + 1)
    }

    @Test func positionsHaveToFollow() throws {
        let writer = try Recovery.open(storage: InMemoryStorage(), settings: small).writer
        try writer.append(1...2, epoch: 5)
        #expect(throws: JournalError.self) { try writer.append(record(4, epoch: 5)) }
        #expect(throws: JournalError.self) { try writer.append(record(2, epoch: 5)) }
        #expect(throws: JournalError.self) { try writer.append(record(3, epoch: 4)) }
        try writer.append(record(3, epoch: 5))
    }

    @Test func theLargestEntryGetsASegmentOfItsOwn() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        try writer.append(1...1)
        let large = JournalRecord(position(2), payload: [UInt8](repeating: 7, count: JournalWriter.maximumPayloadBytes))
        try writer.append(large)
        try writer.append(3...3)
        #expect(throws: JournalError.payloadTooLarge(bytes: 12_648_449, maximumBytes: 12_648_448)) {
            try writer.append(
                JournalRecord(position(4), payload: [UInt8](repeating: 7, count: 12_648_449)))
        }
        try writer.sync()
        storage.crash(.everythingUnsynced)
        let records = try Recovery.open(storage: storage, settings: small).allRecords()
        #expect(records.count == 3)
        #expect(records[1] == large)
        #expect(records[2] == record(3))
    }

    @Test func truncationReplacesTheTail() throws {
        for cut: UInt64 in [0, 1, 17, 30, 59] {
            let storage = InMemoryStorage()
            let writer = try Recovery.open(storage: storage, settings: small).writer
            try writer.append(1...60, bytes: 150)
            try writer.truncate(after: LogIndex(cut))
            #expect(writer.end.index.number == cut)
            storage.crash(.everythingUnsynced)
            let second = try Recovery.open(storage: storage, settings: small)
            #expect(try second.allRecords() == (1...60).prefix(Int(cut)).map { record($0, bytes: 150) })
            try second.writer.append((cut + 1)...70, epoch: 2)
            try second.writer.sync()
            storage.crash(.everythingUnsynced)
            let third = try Recovery.open(storage: storage, settings: small)
            #expect(third.warnings.isEmpty)
            #expect(try third.allRecords().map(\.position.epoch.number) == (1...70).map { $0 <= cut ? 1 : 2 })
        }
    }

    @Test func aSyncFromBeforeAResetConfirmsNothing() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        try writer.append(1...10)
        let request = try #require(try writer.beginSync())
        try writeSnapshot(storage, position(4, epoch: 2), chunks: [[1]])
        try writer.reset(to: position(4, epoch: 2))
        try writer.append(5...10, epoch: 2)
        #expect(try writer.completeSync(request.perform()) == position(4, epoch: 2))
    }

    /// The loop's side of a reset and of a rotation touches no disk: all of it is handed out.
    @Test func nothingBlocksWhereASegmentWasPrepared() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        #expect(writer.hasRoom(forPayloadBytes: 3_000))
        try writer.append(record(1, bytes: 3_000))
        #expect(!writer.hasRoom(forPayloadBytes: 3_000))
        let spare = try #require(try writer.beginSpare(forPayloadBytes: 9_000)).perform()
        try writer.completeSpare(spare)
        #expect(writer.hasRoom(forPayloadBytes: 9_000))
        var faults = InMemoryStorage.Faults()
        faults.syncsUntilFailure = 0
        faults.writesUntilFailure = 0
        storage.setFaults(faults)
        try writer.append(record(2, bytes: 9_000))
        let group = try #require(try writer.beginSync())
        storage.setFaults(InMemoryStorage.Faults())
        #expect(try writer.completeSync(group.perform()) == position(2))
        try writeSnapshot(storage, position(7, epoch: 3), chunks: [[1]])
        let reset = try writer.beginReset(to: position(7, epoch: 3)).perform()
        storage.setFaults(faults)
        let removal = try writer.completeReset(reset)
        storage.setFaults(InMemoryStorage.Faults())
        try removal.perform()
        storage.crash(.everythingUnsynced)
        let second = try Recovery.open(storage: storage, settings: small)
        #expect(second.writer.end == position(7, epoch: 3))
    }

    @Test func writingWithoutASyncPromisesTheProcessAlone() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        try writer.append(1...30, bytes: 300)
        let before = storage.syncCount
        let request = try #require(try writer.beginWrite())
        #expect(try writer.beginSync() == nil)
        try writer.completeSync(request.perform())
        #expect(writer.written == position(30))
        #expect(writer.durable == .zero)
        // Nothing but the new segments themselves was synced.
        #expect(storage.syncCount == before)
        storage.crash(.nothing)
        #expect(try Recovery.open(storage: storage, settings: small).allRecords().count == 30)
    }

    @Test func aResetGoesOnAfterTheSnapshotOfThePeer() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        try writer.append(1...60, bytes: 150)
        try writer.sync()
        #expect(throws: JournalError.snapshotMissing(position(40, epoch: 2))) {
            try writer.reset(to: position(40, epoch: 2))
        }
        try writeSnapshot(storage, position(40, epoch: 2), chunks: [[1, 2], [3]])
        try writer.reset(to: position(40, epoch: 2))
        #expect(try logNames(storage).count == 1)
        try writer.append(41...42, epoch: 2)
        try writer.sync()
        storage.crash(.everythingUnsynced)
        let second = try Recovery.open(storage: storage, settings: small)
        #expect(second.snapshotPosition == position(40, epoch: 2))
        #expect(try second.allChunks() == [[1, 2], [3]])
        #expect(try second.allRecords() == [record(41, epoch: 2), record(42, epoch: 2)])
    }

    @Test func segmentsThatASnapshotCoversGoButForTheRetained() throws {
        let storage = InMemoryStorage()
        var settings = small
        settings.retainedLogBytes = 8_192
        let writer = try Recovery.open(storage: storage, settings: settings).writer
        try writer.append(1...200, bytes: 150)
        try writer.sync()
        let before = try logNames(storage).count
        try writeSnapshot(storage, position(150), chunks: [[9]])
        try #require(writer.releaseSegments(coveredBy: LogIndex(150))).perform()
        let names = try logNames(storage)
        #expect(names.count < before)
        let second = try reopen(storage, settings)
        #expect(try second.allRecords() == (151...200).map { record($0, bytes: 150) })
        // Two segments of 20 entries or so before the one with entry 151 are still there for peers.
        #expect(second.writer.start.index.number < 130)
        #expect(second.writer.start.index.number > 80)
        #expect(second.writer.start == writer.start)
        #expect(writer.releaseSegments(coveredBy: LogIndex(150)) == nil)
        #expect(second.writer.cursor(after: position(1)) == nil)
        #expect(second.writer.cursor(after: position(140, epoch: 2)) == nil)
        var cursor = try #require(second.writer.cursor(after: position(140)))
        #expect(try cursor.next() == record(141, bytes: 150))
    }

    @Test func aCursorFollowsTheLog() throws {
        let writer = try Recovery.open(storage: InMemoryStorage(), settings: small).writer
        try writer.append(1...10)
        try writer.write()
        var cursor = try #require(writer.cursor(after: .zero))
        for index: UInt64 in 1...10 { #expect(try cursor.next() == record(index)) }
        #expect(try cursor.next() == nil)
        try writer.append(11...90, bytes: 200)
        try writer.write()
        #expect(try cursor.next() == nil)
        try writer.refresh(&cursor)
        for index: UInt64 in 11...90 { #expect(try cursor.next() == record(index, bytes: 200)) }
        #expect(try cursor.next() == nil)
        try writer.truncate(after: LogIndex(50))
        #expect(throws: JournalError.superseded) { try writer.refresh(&cursor) }
    }

    @Test func aPreparedSegmentIsUsed() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        let request = try #require(try writer.beginSpare())
        #expect(try writer.beginSpare() == nil)
        try writer.completeSpare(request.perform())
        #expect(try writer.beginSpare() == nil)
        let before = storage.syncCount
        try writer.append(1...30, bytes: 150)
        #expect(storage.syncCount == before)
        try writer.sync()
        #expect(try storage.list().allSatisfy { !$0.hasPrefix("spare") })
        storage.crash(.everythingUnsynced)
        #expect(try Recovery.open(storage: storage, settings: small).allRecords().count == 30)
    }

    @Test func aFullDiskRefusesTheEntryAndNothingElse() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        var faults = InMemoryStorage.Faults()
        faults.capacityBytes = 9_000
        storage.setFaults(faults)
        var index: UInt64 = 1
        let full = #expect(throws: JournalError.self) {
            while index < 1_000 {
                try writer.append(record(index, bytes: 150))
                index += 1
            }
        }
        guard case .storage(let error) = full else { return #expect(Bool(false), "\(String(describing: full))") }
        #expect(error.reason == .diskFull)
        #expect(index < 100)
        #expect(try writer.sync() == position(index - 1))
        storage.setFaults(InMemoryStorage.Faults())
        try writer.append(record(index, bytes: 150))
        try writer.sync()
        storage.crash(.everythingUnsynced)
        #expect(try Recovery.open(storage: storage, settings: small).allRecords().count == Int(index))
    }

    @Test func aFullDiskLeavesTheLogAsItWasWhereItWasToBeCut() throws {
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        try writer.append(1...5)
        try writeSnapshot(storage, position(9, epoch: 2), chunks: [[1]])
        var faults = InMemoryStorage.Faults()
        faults.capacityBytes = 5_000
        storage.setFaults(faults)
        #expect(throws: JournalError.self) { try writer.truncate(after: LogIndex(2)) }
        #expect(throws: JournalError.self) { try writer.reset(to: position(9, epoch: 2)) }
        #expect(writer.end == position(5))
        try writer.append(6...6)
        #expect(try writer.sync() == position(6))
        var cursor = try #require(writer.cursor(after: .zero))
        for index: UInt64 in 1...6 { #expect(try cursor.next() == record(index)) }
        storage.setFaults(InMemoryStorage.Faults())
        try writer.reset(to: position(9, epoch: 2))
        #expect(writer.end == position(9, epoch: 2))
    }

    @Test func aFailedSyncOrWriteIsFinal() throws {
        for failsSync in [true, false] {
            let storage = InMemoryStorage()
            let writer = try Recovery.open(storage: storage, settings: small).writer
            try writer.append(1...3)
            var faults = InMemoryStorage.Faults()
            if failsSync { faults.syncsUntilFailure = 0 } else { faults.writesUntilFailure = 0 }
            storage.setFaults(faults)
            #expect(throws: JournalError.self) { try writer.sync() }
            storage.setFaults(InMemoryStorage.Faults())
            let again = #expect(throws: JournalError.self) { try writer.append(4...4) }
            guard case .failedBefore = again else { return #expect(Bool(false), "\(String(describing: again))") }
            #expect(throws: JournalError.self) { try writer.beginSync() }
            #expect(throws: JournalError.self) { try writer.close() }
        }
    }

    @Test func aSecondProcessIsTurnedAway() throws {
        let storage = InMemoryStorage()
        let first = try Recovery.open(storage: storage, settings: small)
        let error = #expect(throws: JournalError.self) { try Recovery.open(storage: storage, settings: small) }
        #expect(error == .storage(StorageError(.lock, name: "lock", reason: .locked)))
        #expect(first.writer.end == .zero)
    }
}
