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
        try storage.remove("member.record.tmp")
        storage.setFaults(.full)
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

    /// What must be remembered must not wait for a descriptor: the record's two files stay open.
    @Test(arguments: [false, true])
    func aProcessWithoutDescriptorsRemembers(startsAgain: Bool) throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "member")
        try kept.write([0])
        try kept.write([1])
        if startsAgain { kept = try DurableRecord(storage: storage, name: "member") }
        var faults = InMemoryStorage.Faults()
        faults.hasNoDescriptor = true
        storage.setFaults(faults)
        for round: UInt8 in 2...6 { try kept.write([round]) }
        #expect(try kept.isIntact())
        storage.crash(.everythingUnsynced)
        #expect(try DurableRecord(storage: storage, name: "member").payload == [6])
    }

    /// Found by the random faults: a server that was killed on a full disk could not remember who was active after its
    /// return, and ended. What it has prepared is still there, and nobody else may take its room between two writes.
    @Test func aFullDiskHasRoomForTheNextRecordAfterARestart() throws {
        for seed: UInt64 in 0..<20 {
            let storage = InMemoryStorage()
            var kept = try DurableRecord(storage: storage, name: "member")
            for round: UInt8 in 0...UInt8(seed % 3) { try kept.write([round]) }
            // What was prepared with the first write is durable with the next.
            storage.crash(seed % 3 == 0 ? .nothing : .unsynced(seed: seed))
            storage.setFaults(.full)
            for life: UInt8 in 1...3 {
                kept = try DurableRecord(storage: storage, name: "member")
                for round: UInt8 in 1...5 {
                    try kept.write([life, round])
                    #expect(try DurableRecord(storage: storage, name: "member").payload == [life, round])
                }
                storage.crash(.unsynced(seed: seed))
                storage.setFaults(.full)
            }
        }
    }

    /// A write that dies between the exchange of the names and their being durable: the former record, which now has the
    /// temporary name, may be the record again after a power cut. Whoever writes next must not write into it before that.
    @Test(arguments: [true, false])
    func whatAPowerCutMakesTheRecordIsNotWrittenInto(startsAgain: Bool) throws {
        for seed: UInt64 in 0..<200 {
            let storage = InMemoryStorage()
            var kept = try DurableRecord(storage: storage, name: "switch")
            try kept.write([1])
            try kept.write([2])
            var faults = InMemoryStorage.Faults()
            faults.syncsUntilFailure = 1
            storage.setFaults(faults)
            #expect(throws: JournalError.self) { try kept.write([3]) }
            storage.setFaults(InMemoryStorage.Faults())
            if startsAgain {
                storage.crash(.nothing)
                kept = try DurableRecord(storage: storage, name: "switch")
                #expect(kept.payload == [3])
            }
            faults.syncsUntilFailure = 0
            storage.setFaults(faults)
            #expect(throws: JournalError.self) { try kept.write([4]) }
            storage.crash(.unsynced(seed: seed))
            let read = try DurableRecord(storage: storage, name: "switch")
            #expect(read.payload == [3] || (!startsAgain && read.payload == [2]), "seed \(seed)")
            #expect(!read.isDamaged, "seed \(seed)")
        }
    }

    @Test func aRecordIsOldOrNewWhereNamesCannotBeExchanged() throws {
        for seed: UInt64 in 0..<50 {
            let storage = InMemoryStorage()
            var faults = InMemoryStorage.Faults()
            faults.hasNoExchange = true
            storage.setFaults(faults)
            var kept = try DurableRecord(storage: storage, name: "switch")
            for round: UInt8 in 1...3 { try kept.write([round]) }
            #expect(try storage.list() == ["switch.record", "switch.record.tmp"])
            faults.syncsUntilFailure = Int(seed % 3)
            storage.setFaults(faults)
            let confirmed = (try? kept.write([4])) != nil
            storage.crash(.unsynced(seed: seed))
            let read = try DurableRecord(storage: storage, name: "switch")
            #expect(read.payload == [4] || (!confirmed && read.payload == [3]), "seed \(seed)")
        }
    }

    /// Whatever lies under the temporary name, the record has its two copies where they are looked for.
    @Test(arguments: [0, 1, 4_096, 8_191, 8_192, 8_193, 16_384])
    func anythingMayLieUnderTheTemporaryName(bytes: Int) throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "switch")
        try kept.write([1])
        storage.install((0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31) }, as: "switch.record.tmp")
        for round: UInt8 in 2...4 {
            kept = try DurableRecord(storage: storage, name: "switch")
            #expect(kept.payload == [round - 1])
            try kept.write([round])
            #expect(try kept.isIntact())
            #expect(storage.contents(of: "switch.record")?.count == 8_192)
        }
    }

    @Test func contentsOfAllSizesFollowEachOther() throws {
        let storage = InMemoryStorage()
        var kept = try DurableRecord(storage: storage, name: "switch")
        for count in [1, 5_000, 4_064, 4_065, 100_000, 0, 1, 20_000, 20_000, 2] {
            try kept.write([UInt8](repeating: 7, count: count))
            #expect(try kept.isIntact())
            let read = try DurableRecord(storage: storage, name: "switch")
            // Apart from the value, so that a failure does not print it.
            let (found, isDamaged) = (read.payload?.count, read.isDamaged)
            #expect(found == count)
            #expect(!isDamaged)
        }
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

extension InMemoryStorage.Faults {
    /// Whoever gives room back does not get it again.
    fileprivate static var full: Self {
        var faults = Self()
        faults.capacityBytes = 0
        return faults
    }
}
