import Testing
import TupleCore

@testable import Journal

@Suite struct SnapshotTests {
    @Test func chunksComeBackInOrder() throws {
        let storage = InMemoryStorage()
        let chunks = (1...40).map { [UInt8](repeating: UInt8($0), count: $0 * 997) }
        try writeSnapshot(storage, position(7, epoch: 3), chunks: chunks)
        storage.crash(.everythingUnsynced)
        var reader = try SnapshotReader(storage: storage, position: position(7, epoch: 3))
        try reader.verify()
        var read: [[UInt8]] = []
        while let chunk = try reader.next() { read.append(chunk) }
        #expect(read == chunks)
        #expect(try reader.next() == nil)
    }

    @Test func aLargeSnapshotIsSyncedAsItGrows() throws {
        let storage = InMemoryStorage()
        let chunk = [UInt8](repeating: 7, count: SnapshotWriter.maximumChunkBytes)
        let before = storage.syncCount
        var writer = try SnapshotWriter(storage: storage, position: position(7))
        var bytes = 0
        while bytes < 3 * SnapshotWriter.bytesPerSync {
            try writer.add(chunk)
            bytes += chunk.count
        }
        #expect(storage.syncCount >= before + 2)
        #expect(try writer.finish() == nil)
    }

    @Test func anUnfinishedSnapshotLeavesNothing() throws {
        let storage = InMemoryStorage()
        do {
            var writer = try SnapshotWriter(storage: storage, position: position(7))
            try writer.add([1, 2, 3])
            #expect(throws: JournalError.self) { _ = try SnapshotWriter(storage: storage, position: position(7)) }
            #expect(try storage.list().count == 1)
        }
        #expect(try storage.list() == [])
    }

    @Test func theOlderOneGoesOnlyWhenTheNewerIsDurable() throws {
        let storage = InMemoryStorage()
        try writeSnapshot(storage, position(7), chunks: [[1]])
        for syncs in 0..<2 {
            var faults = InMemoryStorage.Faults()
            faults.syncsUntilFailure = syncs
            storage.setFaults(faults)
            #expect(throws: JournalError.self) { try writeSnapshot(storage, position(9), chunks: [[2]]) }
            storage.crash(.everythingUnsynced)
            #expect(try storage.list() == [FileName.snapshot(named: position(7))])
        }
        try writeSnapshot(storage, position(9), chunks: [[2]])
        storage.crash(.everythingUnsynced)
        #expect(try reopen(storage).allChunks() == [[2]])
        #expect(try !storage.list().contains(FileName.snapshot(named: position(7))))
    }

    @Test func aFullDiskIsReportedAndTheOldSnapshotStays() throws {
        let storage = InMemoryStorage()
        try writeSnapshot(storage, position(7), chunks: [[1]])
        var faults = InMemoryStorage.Faults()
        faults.capacityBytes = 1_000
        storage.setFaults(faults)
        #expect(throws: JournalError.self) {
            try writeSnapshot(storage, position(9), chunks: [[UInt8](repeating: 1, count: 2_000)])
        }
        #expect(try storage.list() == [FileName.snapshot(named: position(7))])
    }

    @Test func everyBitCounts() throws {
        let storage = InMemoryStorage()
        try writeSnapshot(storage, position(7), chunks: [[1, 2, 3], [4]])
        let name = FileName.snapshot(named: position(7))
        let bytes = try #require(storage.contents(of: name))
        for bit in 0..<bytes.count * 8 {
            storage.install(bytes, as: name)
            storage.flip(bit: bit, of: name)
            #expect(throws: JournalError.self) {
                var reader = try SnapshotReader(storage: storage, position: position(7))
                try reader.verify()
            }
        }
        for count in 0..<bytes.count {
            storage.install(Array(bytes.prefix(count)), as: name)
            #expect(throws: JournalError.self) {
                var reader = try SnapshotReader(storage: storage, position: position(7))
                try reader.verify()
            }
        }
    }
}
