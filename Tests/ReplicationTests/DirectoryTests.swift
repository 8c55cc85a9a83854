import Journal
import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// A data directory says whose it is, and how often it was started on (specs/0004; G12).
@Suite struct DirectoryTests {
    /// Segments as small as the entries allow: each start may make one.
    private static let small = JournalSettings(segmentBytes: 65_536)

    private func open(_ storage: InMemoryStorage, _ name: String, life: UInt64) throws -> DurableCopy {
        storage.crash(.nothing)
        return try DurableCopy.open(
            storage: storage, rule: .text, settings: Self.small, start: DirectoryStart(name: nodeID(name), life: life))
    }

    @Test func eachStartIsCountedDurablyBeforeAnythingIsTold() throws {
        let storage = InMemoryStorage()
        #expect(
            try open(storage, "a", life: 11).lineage?.incarnation == Incarnation(directory: 11, starts: 1, life: 11))
        // Whatever of it was not synced is gone.
        storage.crash(.everythingUnsynced)
        let second = try open(storage, "a", life: 12).lineage
        #expect(second?.incarnation == Incarnation(directory: 11, starts: 2, life: 12))
        #expect(second?.earlierLives == [11])
        for life in 13...60 as ClosedRange<UInt64> { _ = try open(storage, "a", life: life) }
        let last = try open(storage, "a", life: 61).lineage
        #expect(last?.incarnation.starts == 51)
        #expect(last?.earlierLives == Array((29...60).reversed()))
    }

    @Test func anotherServersDirectoryIsRefusedAndLeftAsItIs() throws {
        let storage = InMemoryStorage()
        _ = try open(storage, "a", life: 11)
        let before = storage.contents(of: "identity.record")
        let error = #expect(throws: JournalError.self) { try open(storage, "b", life: 12) }
        #expect("\(try #require(error))".contains("directory of server a, and this is server b"))
        #expect(storage.contents(of: "identity.record") == before)
        #expect(try open(storage, "a", life: 13).lineage?.incarnation.starts == 2)
    }

    /// Nobody knows whose a directory of release 0.1 is: it is believed at its first start, and names its server from then on.
    @Test func aDirectoryWithoutAnIdentityGetsOne() throws {
        let storage = InMemoryStorage()
        storage.crash(.nothing)
        #expect(try DurableCopy.open(storage: storage, rule: .text, settings: Self.small).lineage == nil)
        #expect(try open(storage, "b", life: 5).lineage?.incarnation.starts == 1)
        #expect(throws: JournalError.self) { try open(storage, "a", life: 6) }
    }

    /// A damaged identity is the first start of another directory, and the copy does not count.
    @Test func aDamagedIdentityMakesTheCopySuspect() throws {
        let storage = InMemoryStorage()
        _ = try open(storage, "a", life: 11)
        // Both copies of the content.
        storage.flip(bit: 8 * 40, of: "identity.record")
        storage.flip(bit: 8 * (4_096 + 40), of: "identity.record")
        let copy = try open(storage, "a", life: 12)
        #expect(copy.isSuspect && !copy.damage.isEmpty)
        #expect(copy.lineage?.incarnation == Incarnation(directory: 12, starts: 1, life: 12))
    }

    @Test func aRecordThatNoSwitchEverHadCountsAsDamage() throws {
        for invalid in [
            record(.max, ["a"]), record(3, ["b"]), record(3, []), record(3, ["a", "a"]), record(0, ["a"]),
        ] {
            let storage = InMemoryStorage()
            storage.crash(.nothing)
            var copy = try DurableCopy.open(storage: storage, rule: .text, settings: Self.small)
            try DurableCopy.write(invalid, to: &copy.member)
            storage.crash(.nothing)
            copy = try DurableCopy.open(storage: storage, rule: .text, settings: Self.small)
            #expect(copy.record == nil && copy.isSuspect, "\(invalid)")
        }
    }

    @Test func recordsWithIncarnationsAreReadAsTheyWereWritten() throws {
        let storage = InMemoryStorage()
        storage.crash(.nothing)
        var copy = try DurableCopy.open(storage: storage, rule: .text, settings: Self.small)
        var known = record(3, ["a", "b"])
        known.incarnations = [nodeID("b"): Incarnation(directory: 1, starts: 2, life: 3)]
        try DurableCopy.write(known, to: &copy.member)
        storage.crash(.nothing)
        #expect(try DurableCopy.open(storage: storage, rule: .text, settings: Self.small).record == known)
    }

    private func record(_ epoch: UInt64, _ inSync: [String]) -> SwitchRecord {
        SwitchRecord(
            cluster: ClusterID(9), epoch: Epoch(epoch), version: 1, active: nodeID("a"), inSync: inSync.map(nodeID),
            rule: .text)
    }
}

/// Entries that are cut off are kept for an operator, within bounds.
@Suite struct CutTailTests {
    /// Segments as small as the entries allow: each start may make one.
    private static let small = JournalSettings(segmentBytes: 65_536)

    private func log(_ storage: InMemoryStorage, bytes: Int, count: Int) throws -> JournalWriter {
        storage.crash(.nothing)
        let writer = try DurableCopy.open(storage: storage, rule: .text, settings: Self.small).writer
        for index in 1...UInt64(count) {
            let payload = [UInt8](repeating: UInt8(index), count: bytes)
            while !writer.hasRoom(forPayloadBytes: bytes) {
                if let spare = try writer.beginSpare(forPayloadBytes: bytes) {
                    try writer.completeSpare(spare.perform())
                }
            }
            try writer.append(LogPosition(epoch: Epoch(1), index: LogIndex(index)), payload: payload.span.bytes)
        }
        if let sync = try writer.beginSync() { try writer.completeSync(sync.perform()) }
        return writer
    }

    @Test func whatIsCutOffIsInAFileOfItsOwn() throws {
        let storage = InMemoryStorage()
        let writer = try log(storage, bytes: 100, count: 10)
        let cursor = try #require(writer.cursor(after: LogPosition(epoch: Epoch(1), index: LogIndex(7))))
        let outcome = CutTail.keep(cursor, in: storage)
        let file = "cut-00000000000000000008-1"
        #expect(outcome == .kept(file: file, entries: 3, isWhole: true))
        var reader = ByteReader(try #require(storage.contents(of: file)))
        for _ in 0..<16 { _ = try reader.byte() }
        for index in 8...10 as ClosedRange<UInt64> {
            #expect(try reader.position() == LogPosition(epoch: Epoch(1), index: LogIndex(index)))
            #expect(try [UInt8](reader.run()) == [UInt8](repeating: UInt8(index), count: 100))
        }
        try reader.end()
    }

    @Test func theFilesAreBoundedInNumberAndBytes() throws {
        let storage = InMemoryStorage()
        let writer = try log(storage, bytes: 3_000, count: 12)
        for index in 0..<12 as Range<UInt64> {
            let epoch = Epoch(index == 0 ? 0 : 1)
            let cursor = try #require(writer.cursor(after: LogPosition(epoch: epoch, index: LogIndex(index))))
            _ = CutTail.keep(cursor, in: storage, atMost: 16_000)
        }
        let kept = try storage.list().filter { $0.hasPrefix("cut-") }.sorted()
        #expect(kept.count == CutTail.maximumFiles)
        #expect(kept.last == "cut-00000000000000000012-1")
        for name in kept { #expect(storage.contents(of: name)?.count ?? 0 <= 16_000) }
    }
}
