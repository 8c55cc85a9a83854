import Journal
import Replication
import TupleCore
import TupleStore

/// How a simulated server keeps its journal: sizes small enough that a short run comes through everything.
package struct DiskSettings: Sendable {
    package var segmentBytes = 8_192
    package var retainedLogBytes = 8_192
    package var snapshotEveryBytes = 16_384
    package init() {}
}

/// A server's durable copy, kept as `ServerJournal` of the runtime keeps it: entries are written once a turn and synced
/// beside the loop, which here means: later.
final class HostJournal {
    private unowned let host: ServerHost
    private let storage: FaultyStorage
    private let settings: DiskSettings
    let writer: JournalWriter
    private var member: DurableRecord
    private var mark: DurableRecord
    /// The position of the snapshot on disk.
    private var snapshot: LogPosition
    /// The process is gone; what it still meant to do is not done.
    var isAbandoned = false
    private var isSyncing = false
    private var isDirty = false
    private var bytesSinceSnapshot = 0
    private var isSnapshotting = false
    private var waitingInstall: ReplicatedState?

    /// Recovers what the disk holds.
    static func open(
        _ host: ServerHost, _ storage: FaultyStorage, rule: ElementRule, settings: DiskSettings
    ) throws(JournalError) -> (HostJournal, DurableCopy) {
        let copy = try DurableCopy.open(
            storage: storage, rule: rule,
            settings: JournalSettings(
                segmentBytes: settings.segmentBytes, retainedLogBytes: settings.retainedLogBytes, syncPolicy: .always))
        return (HostJournal(host, storage, settings, copy), copy)
    }

    private init(_ host: ServerHost, _ storage: FaultyStorage, _ settings: DiskSettings, _ copy: DurableCopy) {
        self.host = host
        self.storage = storage
        self.settings = settings
        writer = copy.writer
        member = copy.member
        mark = copy.mark
        snapshot = copy.snapshot
        bytesSinceSnapshot = copy.logBytes
    }

    /// The last entry that is handed to the journal.
    var end: LogPosition { writer.end }

    func remember(_ record: SwitchRecord) {
        attempt { () throws(JournalError) in try DurableCopy.write(record, to: &member) }
    }

    func markCopy(isSuspect: Bool) {
        attempt { () throws(JournalError) in try DurableCopy.write(isSuspect: isSuspect, to: &mark) }
    }

    /// What follows `position`, for a follower.
    func read(after position: LogPosition, bytes: Int) -> JournalRun {
        guard var cursor = writer.cursor(after: position) else {
            return .lacking(common: writer.lastCommonPosition(with: position))
        }
        var entries: [JournalEntry] = []
        var left = min(bytes, settings.segmentBytes / 2)
        do throws(JournalError) {
            while left > 0, let record = try cursor.next() {
                left -= record.payload.count
                entries.append(JournalEntry(position: record.position, bytes: record.payload))
            }
        } catch { return .lacking(common: nil) }
        return .entries(entries)
    }

    /// Drops all entries after `position`; nil where the disk does not reach back so far, or is busy.
    func rewind(to position: LogPosition, rule: ElementRule) -> ReplicatedState? {
        guard !isSyncing, !isSnapshotting, !isAbandoned, snapshot.index <= position.index else { return nil }
        do throws(JournalError) {
            try writer.write()
            guard writer.position(at: position.index) == position, var cursor = writer.cursor(after: snapshot) else {
                return nil
            }
            cursor.stop(at: position.index)
            var state = ReplicatedState(rule: rule)
            if snapshot != .zero {
                var reader = try SnapshotReader(storage: storage, position: snapshot)
                state = try DurableCopy.read(&reader)
            }
            _ = try DurableCopy.apply(&cursor, to: &state)
            guard state.position == position else { return nil }
            try writer.truncate(after: position.index)
            host.becameDurable(position)
            return state
        } catch {
            host.journalFailed("\(error)")
            return nil
        }
    }

    func append(_ entries: [JournalEntry]) {
        attempt { () throws(JournalError) in
            for entry in entries {
                try writer.append(JournalRecord(entry.position, payload: entry.bytes))
                bytesSinceSnapshot += entry.bytes.count
            }
        }
        isDirty = true
    }

    func flush(_ state: ReplicatedState) {
        guard isDirty else { return }
        isDirty = false
        beginSync()
        keepSpare()
        if bytesSinceSnapshot >= settings.snapshotEveryBytes { takeSnapshot(of: state) }
    }

    private func keepSpare() {
        guard let request = attempt({ () throws(JournalError) in try writer.beginSpare() }) ?? nil else { return }
        host.offload({ request.perform() }) { [weak self] result in
            guard let self else { return }
            attempt { () throws(JournalError) in try writer.completeSpare(result) }
        }
    }

    private func beginSync() {
        guard !isSyncing, let request = attempt({ () throws(JournalError) in try writer.beginSync() }) ?? nil else {
            return
        }
        isSyncing = true
        host.offload({ request.perform() }) { [weak self] result in
            guard let self else { return }
            isSyncing = false
            guard let durable = attempt({ () throws(JournalError) in try writer.completeSync(result) }) else { return }
            host.becameDurable(writer.durable)
            host.happened(.durable(durable.index))
            beginSync()
        }
    }

    // MARK: Snapshots

    private static func write(_ state: ReplicatedState, to storage: FaultyStorage) -> Result<Void, JournalError> {
        do throws(JournalError) { return .success(try DurableCopy.write(state, to: storage)) } catch {
            return .failure(error)
        }
    }

    private func takeSnapshot(of state: ReplicatedState) {
        guard !isSnapshotting else { return }
        isSnapshotting = true
        bytesSinceSnapshot = 0
        let storage = storage
        host.offload({ HostJournal.write(state, to: storage) }) { [weak self] result in
            guard let self else { return }
            isSnapshotting = false
            if let waiting = waitingInstall {
                waitingInstall = nil
                install(waiting)
                return
            }
            guard attempt({ () throws(JournalError) in try result.get() }) != nil else { return }
            snapshot = state.position
            guard let removal = writer.releaseSegments(coveredBy: state.position.index) else { return }
            host.offload({ (try? removal.perform()) != nil }) { _ in }
        }
    }

    /// Makes `state`, which a peer has sent, the beginning of the journal.
    func install(_ state: ReplicatedState) {
        guard !isSnapshotting else {
            waitingInstall = state
            return
        }
        isSnapshotting = true
        let storage = storage
        host.offload({ HostJournal.write(state, to: storage) }) { [weak self] result in
            guard let self else { return }
            isSnapshotting = false
            let done: Void? = attempt { () throws(JournalError) in
                try result.get()
                try writer.reset(to: state.position)
            }
            guard done != nil else { return }
            bytesSinceSnapshot = 0
            snapshot = state.position
            host.installed(state.position)
            host.happened(.snapshotInstalled(state.position))
        }
    }

    /// Syncs what is written; for the end of the process.
    func close() {
        guard !isSyncing else { return }
        if attempt({ () throws(JournalError) in try writer.close() }) != nil { host.becameDurable(writer.durable) }
    }

    @discardableResult
    private func attempt<T>(_ work: () throws(JournalError) -> T) -> T? {
        guard !isAbandoned else { return nil }
        do throws(JournalError) { return try work() } catch {
            host.journalFailed("\(error)")
            return nil
        }
    }
}
