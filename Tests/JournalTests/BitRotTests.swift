import TestSupport
import Testing
import TupleCore

@testable import Journal

/// Single flipped bits: detected or harmless, never wrong data (specs/0004-journal.md, "Bit rot").
@Suite struct BitRotTests {
    private static let count: UInt64 = 40

    /// Segments, then a snapshot in the middle of them, and a log behind it.
    private func prepare(closed: Bool) throws -> InMemoryStorage {
        let storage = InMemoryStorage()
        var settings = small
        settings.retainedLogBytes = 1 << 20
        let writer = try Recovery.open(storage: storage, settings: settings).writer
        for index in 1...Self.count {
            try writer.append(record(index, bytes: 300))
            if index % 4 == 0 { try writer.sync() }
            if index == 20 { try writeSnapshot(storage, position(20), chunks: [Self.chunk, [1, 2, 3]]) }
        }
        try writer.sync()
        if closed { try writer.close() }
        storage.crash(.nothing)
        return storage
    }

    private static let chunk = [UInt8]((0..<900).map { UInt8(truncatingIfNeeded: $0 * 7) })

    @Test(arguments: [true, false]) func aFlippedBitNeverGivesWrongData(closed: Bool) throws {
        let seed: UInt64 = 20_261_121
        var random = SeededRandom(seed: seed)
        let template = try prepare(closed: closed)
        let files = try template.list().map { ($0, template.contents(of: $0) ?? []) }
        var detected = 0
        for trial in 0..<1_500 {
            let storage = InMemoryStorage()
            for (name, bytes) in files { storage.install(bytes, as: name) }
            // One in three goes to the snapshot, which is small beside the segments.
            let candidates = trial % 3 == 0 ? files.filter { $0.0.hasPrefix("snapshot") } : files
            guard let (name, bytes) = candidates.randomElement(using: &random) else { continue }
            let bit = Int.random(in: 0..<bytes.count * 8, using: &random)
            storage.flip(bit: bit, of: name)
            let label: Comment = "seed \(seed), trial \(trial): bit \(bit) of \(name)"
            do {
                let opened = try Recovery.open(storage: storage, settings: small)
                let from = opened.snapshotPosition.index.number
                #expect(from == 0 || from == 20, label)
                #expect(try opened.allRecords() == (from + 1...Self.count).map { record($0, bytes: 300) }, label)
                if from > 0 { #expect(try opened.allChunks() == [Self.chunk, [1, 2, 3]], label) }
            } catch let error as JournalError {
                detected += 1
                switch error {
                case .corrupt: break
                default: Issue.record("\(label): \(error)")
                }
            }
        }
        #expect(detected > 100)
    }

    /// The record is there twice: one damaged copy is noticed, and mended from the other.
    @Test func everyBitOfADurableRecordIsCorrected() throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "switch")
        try kept.write(Array("in sync: a, b".utf8))
        let bytes = try #require(storage.contents(of: "switch.record"))
        for bit in stride(from: 0, to: bytes.count * 8, by: 7) {
            storage.install(bytes, as: "switch.record")
            storage.flip(bit: bit, of: "switch.record")
            var read = try DurableRecord(storage: storage, name: "switch")
            #expect(read.payload == Array("in sync: a, b".utf8), "bit \(bit)")
            #expect(read.isDamaged, "bit \(bit)")
            #expect(try read.repair(), "bit \(bit)")
            #expect(try !DurableRecord(storage: storage, name: "switch").isDamaged, "bit \(bit)")
            // Noticed also while it is in use.
            storage.flip(bit: bit, of: "switch.record")
            #expect(try read.repair(), "bit \(bit)")
            #expect(try !read.repair(), "bit \(bit)")
        }
    }

    /// Both copies: no content is made up.
    @Test func aDurableRecordThatIsDamagedTwiceIsRefused() throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "switch")
        try kept.write(Array("in sync: a, b".utf8))
        let bytes = try #require(storage.contents(of: "switch.record"))
        for bit in 0..<45 * 8 {
            storage.install(bytes, as: "switch.record")
            storage.flip(bit: bit, of: "switch.record")
            storage.flip(bit: bit + bytes.count * 4, of: "switch.record")
            #expect(throws: JournalError.self) { try DurableRecord(storage: storage, name: "switch") }
        }
    }

    @Test func hostileFilesThrowAndNeverTrap() throws {
        let seed: UInt64 = 7
        var random = SeededRandom(seed: seed)
        let template = try prepare(closed: true)
        let files = try template.list().map { ($0, template.contents(of: $0) ?? []) }
        for trial in 0..<600 {
            let storage = InMemoryStorage()
            for (name, original) in files {
                var bytes = original
                switch random.next() % 4 {
                case 0: bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
                case 1:
                    for _ in 0..<20 {
                        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8(random.next() % 256)
                    }
                case 2: bytes.append(contentsOf: (0..<50).map { _ in UInt8(random.next() % 256) })
                default: break
                }
                storage.install(bytes, as: name)
            }
            do {
                let opened = try Recovery.open(storage: storage, settings: small)
                for entry in try opened.allRecords() {
                    #expect(entry == record(entry.position.index.number, bytes: 300), "seed \(seed), trial \(trial)")
                }
            } catch is JournalError {}
        }
    }
}
