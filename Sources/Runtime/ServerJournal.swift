package import Journal
package import Replication
package import TupleCore
package import TupleStore
import WireProtocol

/// A server's durable copy: journal, snapshots and the last switch record it saw, in its data directory.
///
/// Entries are collected while the loop hands out events, written once an iteration, and synced on another thread; how
/// far the log is durable comes back by `onDurable`.
package final class ServerJournal {
    /// How much log is written before the state is put into a snapshot, so that a restart need not read more.
    static let snapshotEveryBytes = 64 * 1_048_576

    /// What a data directory held.
    package struct Recovered {
        package var state: ReplicatedState
        package var record: SwitchRecord?
        package var warnings: [String]
    }

    package var onDurable: ((LogIndex) -> Void)?
    package var onInstalled: ((LogPosition) -> Void)?
    /// The disk cannot be trusted any more: what happened, in words. The server must end.
    package var onFailure: ((String) -> Void)?

    private let loop: EventLoop
    private let storage: FileStorage
    private let policy: SyncPolicy
    private var writer: JournalWriter
    private var member: DurableRecord
    private var isSyncing = false
    private var isDirty = false
    private var bytesSinceSnapshot = 0
    private var isSnapshotting = false
    /// A peer's state that waits until a snapshot of the old one is out of the way.
    private var waitingInstall: ReplicatedState?
    private var syncTimer: Timer?

    /// Opens `path`, creating it where it is missing, and recovers what it holds.
    package static func open(
        _ path: String, rule: ElementRule, policy: SyncPolicy, on loop: EventLoop
    ) throws(JournalError) -> (ServerJournal, Recovered) {
        let storage: FileStorage
        do throws(StorageError) { storage = try FileStorage(path: path) } catch { throw .storage(error) }
        var journal = try Recovery.open(storage: storage, settings: JournalSettings(syncPolicy: policy))
        let member = try DurableRecord(storage: storage, name: "member")
        var record: SwitchRecord?
        if let payload = member.payload {
            var reader = ByteReader(payload)
            do throws(DecodingError) { record = try reader.record() } catch {
                throw .corrupt(Finding(.badDurableRecord, file: "member.record", offset: 0))
            }
        }
        var state = ReplicatedState(rule: record?.rule ?? rule)
        var bytes = 0
        if var snapshot = journal.snapshot {
            var decoder = SnapshotDecoder()
            var whole: ReplicatedState?
            while let chunk = try snapshot.next() {
                do throws(SnapshotError) { whole = try decoder.append(chunk) } catch {
                    throw .corrupt(Finding(.badSnapshot, file: snapshot.name))
                }
            }
            guard let whole else { throw .corrupt(Finding(.badSnapshot, file: snapshot.name)) }
            state = whole
            journal.snapshot = nil
        }
        var cursor = try journal.records()
        while let found = try cursor.next() {
            bytes += found.payload.count
            do throws(DecodingError) {
                let entry = try LogEntry(decoding: found.payload[...])
                do throws(ReplicatedState.ApplyError) { try state.apply(entry) } catch {
                    throw .invalid("entry")
                }
            } catch {
                throw .corrupt(Finding(.badRecordBody, file: path, index: found.position.index))
            }
        }
        let opened = ServerJournal(loop: loop, storage: storage, policy: policy, writer: journal.writer, member: member)
        opened.bytesSinceSnapshot = bytes
        return (opened, Recovered(state: state, record: record, warnings: journal.warnings.map { "\($0)" }))
    }

    private init(
        loop: EventLoop, storage: FileStorage, policy: SyncPolicy, writer: JournalWriter, member: DurableRecord
    ) {
        self.loop = loop
        self.storage = storage
        self.policy = policy
        self.writer = writer
        self.member = member
        if case .interval(let interval) = policy {
            let timer = Timer(on: loop) { [weak self] in self?.beginSync() }
            timer.schedule(after: interval, repeatingEvery: interval)
            syncTimer = timer
        }
    }

    /// Keeps the record durably; returns when that is done.
    package func remember(_ record: SwitchRecord) {
        var bytes = ByteWriter()
        bytes.record(record)
        attempt { () throws(JournalError) in try member.write(bytes.bytes) }
    }

    /// Takes entries in; they are written by the next ``flush(_:)``.
    package func append(_ entries: [JournalEntry]) {
        attempt { () throws(JournalError) in
            for entry in entries {
                try writer.append(JournalRecord(entry.position, payload: entry.bytes))
                bytesSinceSnapshot += entry.bytes.count
            }
        }
        isDirty = true
    }

    /// Writes what has come in since the last call, and lets it become durable.
    ///
    /// - Parameter state: the state that all entries so far have made; kept for a snapshot when it is time for one.
    package func flush(_ state: ReplicatedState) {
        guard isDirty else { return }
        isDirty = false
        switch policy {
        case .always: beginSync()
        case .interval, .never:
            guard let written = attempt({ () throws(JournalError) in try writer.write() }) else { return }
            loop.soon { [weak self] in self?.onDurable?(written.index) }
        }
        keepSpare()
        if bytesSinceSnapshot >= ServerJournal.snapshotEveryBytes { takeSnapshot(of: state) }
    }

    /// Has the next segment zeroed before it is needed, so that no append waits for that.
    private func keepSpare() {
        guard let request = attempt({ () throws(JournalError) in try writer.beginSpare() }) ?? nil else { return }
        loop.offload({ request.perform() }) { [weak self] result in
            guard let self else { return }
            self.attempt { () throws(JournalError) in try self.writer.completeSpare(result) }
        }
    }

    private func beginSync() {
        guard !isSyncing, let request = attempt({ () throws(JournalError) in try writer.beginSync() }) ?? nil else {
            return
        }
        isSyncing = true
        loop.offload({ request.perform() }) { [weak self] result in
            guard let self else { return }
            self.isSyncing = false
            guard let durable = self.attempt({ () throws(JournalError) in try self.writer.completeSync(result) })
            else { return }
            if self.policy == .always {
                self.onDurable?(durable.index)
                self.beginSync()
            }
        }
    }

    // MARK: Snapshots

    private static func write(_ state: ReplicatedState, to storage: FileStorage) -> Result<Void, JournalError> {
        do throws(JournalError) {
            var writer = try SnapshotWriter(storage: storage, position: state.position)
            var encoder = SnapshotEncoder(state)
            while let chunk = encoder.next() { try writer.add(chunk) }
            try writer.finish()
            return .success(())
        } catch { return .failure(error) }
    }

    private func takeSnapshot(of state: ReplicatedState) {
        guard !isSnapshotting else { return }
        isSnapshotting = true
        bytesSinceSnapshot = 0
        let storage = storage
        loop.offload({ ServerJournal.write(state, to: storage) }) { [weak self] result in
            guard let self else { return }
            self.isSnapshotting = false
            if let waiting = self.waitingInstall {
                self.waitingInstall = nil
                self.install(waiting)
                return
            }
            guard self.attempt({ () throws(JournalError) in try result.get() }) != nil,
                let removal = self.writer.releaseSegments(coveredBy: state.position.index)
            else { return }
            // Files that stay behind cost room, no more: the next release takes them.
            self.loop.offload({ (try? removal.perform()) != nil }) { _ in }
        }
    }

    /// Makes `state`, which a peer has sent, the beginning of the journal.
    package func install(_ state: ReplicatedState) {
        guard !isSnapshotting else {
            waitingInstall = state
            return
        }
        isSnapshotting = true
        let storage = storage
        loop.offload({ ServerJournal.write(state, to: storage) }) { [weak self] result in
            guard let self else { return }
            self.isSnapshotting = false
            let done: Void? = self.attempt { () throws(JournalError) in
                try result.get()
                try self.writer.reset(to: state.position)
            }
            guard done != nil else { return }
            self.bytesSinceSnapshot = 0
            self.onInstalled?(state.position)
        }
    }

    /// Syncs what is written; for the end of the process.
    package func close() {
        guard !isSyncing else { return }
        attempt { () throws(JournalError) in try writer.close() }
    }

    @discardableResult
    private func attempt<T>(_ work: () throws(JournalError) -> T) -> T? {
        do throws(JournalError) { return try work() } catch {
            onFailure?("\(error)")
            return nil
        }
    }
}
