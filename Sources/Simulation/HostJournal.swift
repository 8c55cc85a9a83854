import Journal
import Replication
import TupleCore
import TupleStore
import WireProtocol

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
    struct Recovered {
        var state: ReplicatedState
        var record: SwitchRecord?
        var warnings: [String]
    }

    private unowned let host: ServerHost
    private let storage: FaultyStorage
    private let settings: DiskSettings
    let writer: JournalWriter
    private var member: DurableRecord
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
    ) throws(JournalError) -> (HostJournal, Recovered) {
        var journal = try Recovery.open(
            storage: storage,
            settings: JournalSettings(
                segmentBytes: settings.segmentBytes, retainedLogBytes: settings.retainedLogBytes, syncPolicy: .always))
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
                do throws(ReplicatedState.ApplyError) { try state.apply(entry) } catch { throw .invalid("entry") }
            } catch {
                throw .corrupt(Finding(.badRecordBody, file: "segment", index: found.position.index))
            }
        }
        let opened = HostJournal(host, storage, settings, journal.writer, member)
        opened.bytesSinceSnapshot = bytes
        return (opened, Recovered(state: state, record: record, warnings: journal.warnings.map { "\($0)" }))
    }

    private init(
        _ host: ServerHost, _ storage: FaultyStorage, _ settings: DiskSettings, _ writer: JournalWriter,
        _ member: DurableRecord
    ) {
        self.host = host
        self.storage = storage
        self.settings = settings
        self.writer = writer
        self.member = member
    }

    /// The last entry that is handed to the journal.
    var end: LogPosition { writer.end }

    func remember(_ record: SwitchRecord) {
        var bytes = ByteWriter()
        bytes.record(record)
        attempt { () throws(JournalError) in try member.write(bytes.bytes) }
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
        host.offload({ HostJournal.write(state, to: storage) }) { [weak self] result in
            guard let self else { return }
            isSnapshotting = false
            if let waiting = waitingInstall {
                waitingInstall = nil
                install(waiting)
                return
            }
            guard attempt({ () throws(JournalError) in try result.get() }) != nil,
                let removal = writer.releaseSegments(coveredBy: state.position.index)
            else { return }
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
