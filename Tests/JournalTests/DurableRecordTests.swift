import Testing

@testable import Journal

@Suite struct DurableRecordTests {
    @Test func aRecordIsOldOrNewAfterACrash() throws {
        for seed: UInt64 in 0..<200 {
            let storage = InMemoryStorage()
            var kept = try DurableRecord(storage: storage, name: "switch")
            #expect(kept.payload == nil)
            try kept.write([1])
            try kept.write([2])
            var faults = InMemoryStorage.Faults()
            faults.syncsUntilFailure = Int(seed % 3)
            storage.setFaults(faults)
            let confirmed = (try? kept.write([3])) != nil
            storage.crash(.unsynced(seed: seed))
            let read = try DurableRecord(storage: storage, name: "switch")
            #expect(read.payload == [3] || (!confirmed && read.payload == [2]), "seed \(seed)")
            #expect(read.generation == (read.payload == [3] ? 3 : 2))
            var next = read
            try next.write([4])
            storage.crash(.everythingUnsynced)
            #expect(try DurableRecord(storage: storage, name: "switch").payload == [4])
        }
    }

    /// The process dies between the renaming and its being durable, is started again, and acts on what it reads: then the
    /// power fails. Found by the simulator: the switch went back.
    @Test func whatWasReadIsDurable() throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "switch")
        try kept.write([1])
        var faults = InMemoryStorage.Faults()
        faults.syncsUntilFailure = 1
        storage.setFaults(faults)
        #expect(throws: JournalError.self) { try kept.write([2]) }
        storage.crash(.nothing)
        let read = try DurableRecord(storage: storage, name: "switch")
        storage.crash(.everythingUnsynced)
        #expect(try DurableRecord(storage: storage, name: "switch").payload == read.payload)
    }

    @Test func errorsChangeNothing() throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "member")
        try kept.write([1])
        #expect(throws: JournalError.self) {
            try kept.write([UInt8](repeating: 0, count: DurableRecord.maximumPayloadBytes + 1))
        }
        var faults = InMemoryStorage.Faults()
        faults.capacityBytes = 0
        storage.setFaults(faults)
        kept = try DurableRecord(storage: storage, name: "member")
        let error = #expect(throws: JournalError.self) { try kept.write([2]) }
        guard case .storage(let cause) = error, cause.reason == .diskFull else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
        #expect(kept.payload == [1])
        #expect(try DurableRecord(storage: storage, name: "member").payload == [1])
    }

    /// A server that may not remember who is active must end: so the next record has its place before it is needed.
    @Test func aFullDiskHasRoomForTheNextRecord() throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "member")
        try kept.write([0])
        var faults = InMemoryStorage.Faults()
        faults.capacityBytes = 16_384
        storage.setFaults(faults)
        for round: UInt8 in 1...5 { try kept.write([round]) }
        #expect(try DurableRecord(storage: storage, name: "member").payload == [5])
    }

    @Test func recordsHaveTheirOwnNames() throws {
        let storage = InMemoryStorage()
        for name in ["", "a.b", "a/b", ".a", String(repeating: "a", count: 65)] {
            #expect(throws: JournalError.invalidRecordName(name)) {
                try DurableRecord(storage: storage, name: name)
            }
        }
        var kept = try DurableRecord(storage: storage, name: "a")
        try kept.write([])
        #expect(try DurableRecord(storage: storage, name: "a").payload == [])
        // A record under another's name is not that other's.
        storage.install(try #require(storage.contents(of: "a.record")), as: "b.record")
        #expect(throws: JournalError.corrupt(Finding(.badDurableRecord, file: "b.record", offset: 0))) {
            try DurableRecord(storage: storage, name: "b")
        }
    }
}
