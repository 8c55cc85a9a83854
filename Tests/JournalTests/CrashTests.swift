import TestSupport
import Testing
import TupleCore

@testable import Journal

/// Random lives of a journal, with crashes: specs/0004-journal.md, "Promises".
@Suite struct CrashTests {
    /// What the journal owes its owner at the moment of a crash.
    private struct Model {
        /// Every entry ever appended and not truncated since, in order.
        var entries: [JournalRecord] = []
        /// How many of them have been confirmed as durable.
        var durable = 0
        /// The snapshot that is known to be durable.
        var snapshot = LogPosition.zero
    }

    @Test(arguments: 0..<300 as Range<UInt64>) func confirmedEntriesSurviveAndNothingIsInvented(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let storage = InMemoryStorage()
        var model = Model()
        var epoch: UInt64 = 1
        for life in 0..<6 {
            let label: Comment = "seed \(seed), life \(life)"
            let opened: RecoveredJournal
            do { opened = try Recovery.open(storage: storage, settings: small) } catch {
                Issue.record("seed \(seed), life \(life): \(error)")
                return
            }
            // An older snapshot with more log would do as well, but not here, where none is damaged.
            #expect(opened.snapshotPosition.index >= model.snapshot.index, label)
            let found = try opened.allRecords()
            let from = Int(opened.snapshotPosition.index.number)
            #expect(from <= model.entries.count, label)
            #expect(from + found.count >= model.durable, label)
            #expect(from + found.count <= model.entries.count, label)
            #expect(found == Array(model.entries[from..<min(from + found.count, model.entries.count)]), label)
            if from > 0 { #expect(try opened.allChunks() == Self.chunks(UInt64(from)), label) }
            model.entries = Array(model.entries.prefix(from + found.count))
            model.durable = model.entries.count
            model.snapshot = opened.snapshotPosition
            try live(opened.writer, storage, &model, &epoch, &random)
            storage.crash(random.next() % 5 == 0 ? .nothing : .unsynced(seed: random.next()))
        }
    }

    /// One life of random work, which ends anywhere.
    private func live(
        _ writer: JournalWriter, _ storage: InMemoryStorage, _ model: inout Model, _ epoch: inout UInt64,
        _ random: inout SeededRandom
    ) throws {
        var pending: (request: SyncRequest, count: Int)?
        for _ in 0..<Int.random(in: 0...60, using: &random) {
            switch Int.random(in: 0..<24, using: &random) {
            case 0..<12:
                let index = UInt64(model.entries.count + 1)
                if random.next() % 16 == 0 { epoch += 1 }
                let size = [0, 20, 100, 500, 1_300][Int.random(in: 0..<5, using: &random)]
                let entry = record(index, epoch: epoch, bytes: size)
                try writer.append(entry)
                model.entries.append(entry)
            case 12..<14: try writer.write()
            case 14..<19:
                guard pending == nil else { continue }
                if let request = try writer.beginSync() { pending = (request, model.entries.count) }
            case 19..<22:
                guard let (request, count) = pending else { continue }
                pending = nil
                let durable = try writer.completeSync(request.perform())
                #expect(Int(durable.index.number) == min(count, model.entries.count) || count <= model.durable)
                model.durable = max(model.durable, Int(durable.index.number))
            case 22:
                guard pending == nil, random.next() % 2 == 0 else { continue }
                let cut = UInt64.random(in: writer.start.index.number...writer.end.index.number, using: &random)
                guard cut >= model.snapshot.index.number else { continue }
                try writer.truncate(after: LogIndex(cut))
                if cut < UInt64(model.entries.count) {
                    model.entries = Array(model.entries.prefix(Int(cut)))
                    model.durable = Int(cut)
                    epoch += 1
                }
            default:
                guard let position = writer.position(at: LogIndex(UInt64(model.durable))),
                    position.index > model.snapshot.index
                else { continue }
                var snapshot = try SnapshotWriter(storage: storage, position: position)
                for chunk in Self.chunks(position.index.number) { try snapshot.add(chunk) }
                guard random.next() % 4 > 0 else { return }
                #expect(try snapshot.finish() == nil)
                model.snapshot = position
                try writer.releaseSegments(coveredBy: position.index)?.perform()
            }
        }
        if random.next() % 8 == 0, pending == nil {
            try writer.close()
            model.durable = model.entries.count
        }
    }

    private static func chunks(_ index: UInt64) -> [[UInt8]] {
        [Array("state after \(index)".utf8), [UInt8](repeating: 3, count: 700)]
    }

    /// A snapshot of the peer replaces a log of another history: before or after, never a mixture.
    @Test(arguments: 0..<200 as Range<UInt64>) func anInterruptedInstallationLeavesOneOrTheOther(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        let count = UInt64.random(in: 1...60, using: &random)
        let at = UInt64.random(in: 1...80, using: &random)
        try writer.append(1...count, bytes: 150)
        try writer.sync()
        // A failing sync is where the machine stops.
        var faults = InMemoryStorage.Faults()
        faults.syncsUntilFailure = Int.random(in: 0...6, using: &random)
        storage.setFaults(faults)
        do {
            try writeSnapshot(storage, position(at, epoch: 2), chunks: [[1], [2]])
            try writer.reset(to: position(at, epoch: 2))
            try writer.append((at + 1)...(at + 3), epoch: 2)
            try writer.sync()
        } catch {}
        storage.crash(.unsynced(seed: random.next()))
        let opened = try Recovery.open(storage: storage, settings: small)
        let records = try opened.allRecords()
        if opened.snapshotPosition == .zero {
            #expect(records == (1...count).map { record($0, bytes: 150) }, "seed \(seed)")
        } else {
            #expect(opened.snapshotPosition == position(at, epoch: 2), "seed \(seed)")
            #expect(records == (at + 1..<at + 1 + UInt64(records.count)).map { record($0, epoch: 2) }, "seed \(seed)")
        }
    }

    /// The machine stops while recovery puts the directory in order: the next recovery comes to the same.
    @Test(arguments: 0..<200 as Range<UInt64>) func recoveryItselfMayBeInterrupted(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let storage = InMemoryStorage()
        let writer = try Recovery.open(storage: storage, settings: small).writer
        let durable = UInt64.random(in: 1...40, using: &random)
        let all = durable + UInt64.random(in: 1...40, using: &random)
        try writer.append(1...durable, bytes: 150)
        try writer.sync()
        try writer.append((durable + 1)...all, bytes: 150)
        try writer.write()
        for _ in 0..<4 {
            storage.crash(.unsynced(seed: random.next()))
            var faults = InMemoryStorage.Faults()
            if random.next() % 2 == 0 {
                faults.syncsUntilFailure = Int.random(in: 0...4, using: &random)
            } else {
                faults.writesUntilFailure = 0
            }
            storage.setFaults(faults)
            _ = try? Recovery.open(storage: storage, settings: small)
        }
        storage.crash(.unsynced(seed: random.next()))
        let records = try Recovery.open(storage: storage, settings: small).allRecords()
        #expect(records.count >= Int(durable) && records.count <= Int(all), "seed \(seed)")
        #expect(records == (1...UInt64(records.count)).map { record($0, bytes: 150) }, "seed \(seed)")
    }
}
