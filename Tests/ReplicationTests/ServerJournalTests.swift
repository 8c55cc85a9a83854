import Journal
import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// Where a server's journal writes: on the loop itself, or beside it.
@Suite struct ServerJournalTests {
    /// A process whose clock goes on by `step` each time it is read, and whose other threads do nothing until told.
    private final class HandProcess: JournalProcess {
        var clock = Instant(nanoseconds: 0)
        var step = Duration.zero
        var pending: [(lane: DiskLane, work: () -> Void)] = []
        var repeated: [() -> Void] = []

        var now: Instant {
            defer { clock = clock.advanced(by: step) }
            return clock
        }

        func after(_ duration: Duration, _ body: @escaping () -> Void) {}
        func every(_ duration: Duration, _ body: @escaping () -> Void) { repeated.append(body) }

        func perform<T: Sendable>(
            _ lane: DiskLane, _ work: @escaping @Sendable () -> T, then: @escaping (T) -> Void
        ) {
            pending.append((lane, { then(work()) }))
        }

        func waiting<T, E: Error>(isKnown: Bool, _ work: () throws(E) -> T) throws(E) -> T { try work() }

        /// What was handed out for the lane is done; how much that was.
        func work(_ lane: DiskLane) -> Int {
            let due = pending.filter { $0.lane == lane }
            pending.removeAll { $0.lane == lane }
            for item in due { item.work() }
            return due.count
        }
    }

    private final class Server {
        let process = HandProcess()
        let journal: ServerJournal
        var state: ReplicatedState
        var durable: LogIndex = .zero

        let storage = InMemoryStorage()
        var conditions: [DiskCondition] = []
        var failures: [String] = []

        init(_ policy: SyncPolicy, settings: JournalSettings = JournalSettings()) throws {
            let copy = try DurableCopy.open(storage: storage, rule: .text, settings: settings)
            state = copy.state
            journal = ServerJournal(copy, storage: storage, policy: policy, scrubInterval: .seconds(60), on: process)
            journal.onDurable = { [unowned self] in durable = $0 }
            journal.onDisk = { [unowned self] in conditions.append($0) }
            journal.onFailure = { [unowned self] in failures.append($0) }
        }

        func write(_ bytes: Int = 10) throws {
            let position = LogPosition(epoch: Epoch(1), index: state.position.index.next)
            let update = LogEntry.Update(
                session: SessionID(1), sequence: RequestSequence(position.index.number), lowWater: RequestSequence(0),
                effects: [], outcome: [UInt8](repeating: 7, count: bytes))
            let entry = LogEntry(position: position, time: 1, body: .update(update))
            try state.apply(entry)
            journal.append([JournalEntry(position: position, bytes: entry.encoded[...])])
            journal.flush(state, neededAfter: nil)
        }
    }

    @Test func whatIsNotSyncedIsWrittenOnTheSpot() throws {
        for policy in [SyncPolicy.never, .interval(.seconds(1))] {
            let server = try Server(policy)
            try server.write()
            #expect(server.durable == LogIndex(1))
            try server.write()
            #expect(server.durable == LogIndex(2))
            #expect(server.process.work(.commits) == 0)
        }
    }

    @Test func syncsNeverHoldUpTheLoop() throws {
        let server = try Server(.always)
        try server.write()
        #expect(server.durable == .zero)
        #expect(server.process.work(.commits) == 1)
        #expect(server.durable == LogIndex(1))
    }

    @Test func longWritesDoNotHoldUpTheLoop() throws {
        let server = try Server(.never)
        try server.write(ServerJournal.maximumBytesOnTheSpot + 1)
        #expect(server.durable == .zero)
        #expect(server.process.work(.commits) == 1)
        #expect(server.durable == LogIndex(1))
    }

    /// Strangers may take all descriptors: the server waits for them as for room, and goes on.
    @Test func withoutDescriptorsItWaitsAndGoesOn() throws {
        let server = try Server(.never, settings: JournalSettings(segmentBytes: 65_536))
        var faults = InMemoryStorage.Faults()
        faults.hasNoDescriptor = true
        server.storage.setFaults(faults)
        var written: UInt64 = 0
        while server.conditions.isEmpty, written < 10_000 {
            try server.write(10_000)
            written += 1
            _ = server.process.work(.spares)
        }
        let told = server.conditions
        #expect(told == [.full("no file descriptor is left (ulimit -n)")])
        #expect(server.failures == [])
        server.storage.setFaults(InMemoryStorage.Faults())
        for body in server.process.repeated { body() }
        #expect(server.process.work(.spares) == 1)
        #expect(server.conditions == told + [.well])
        #expect(server.durable == LogIndex(written))
    }

    @Test func afterASlowWriteTheLoopDoesNotWaitForAWhile() throws {
        let server = try Server(.never)
        server.process.step = ServerJournal.longestWrite + .milliseconds(1)
        try server.write()
        // This one has been waited for; that is how it was found slow.
        #expect(server.durable == LogIndex(1))
        server.process.step = .zero
        try server.write()
        #expect(server.durable == LogIndex(1))
        #expect(server.process.work(.commits) == 1)
        #expect(server.durable == LogIndex(2))
        server.process.clock = server.process.clock.advanced(by: ServerJournal.slowness)
        try server.write()
        #expect(server.durable == LogIndex(3))
        #expect(server.process.work(.commits) == 0)
    }
}
