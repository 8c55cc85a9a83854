public import Journal
public import TupleCore
public import TupleStore
import WireProtocol

/// A server's copy as its data directory holds it: read, judged and put in order.
///
/// What is damaged beyond what a crash can do is set aside, and the copy is marked as suspect before anything is moved:
/// the server then shows that it holds nothing, serves nothing, and fetches everything from the active one.
public struct DurableCopy {
    /// What snapshot and log gave; empty where they had to be set aside.
    public var state: ReplicatedState
    /// The last switch record that the server saw; nil where the directory is new, or the record was lost too.
    public var record: SwitchRecord?
    /// Whether the copy must not serve before it is replaced.
    public var isSuspect = false
    public var writer: JournalWriter
    /// Where ``record`` is kept.
    public var member: DurableRecord
    /// Where ``isSuspect`` is kept.
    public var mark: DurableRecord
    /// Which start of which directory this is; nil where nobody starts on it.
    public var lineage: Lineage?
    /// The position of the snapshot on disk; zero without one.
    public var snapshot = LogPosition.zero
    /// Bytes of entries after the snapshot.
    public var logBytes = 0
    /// What recovery cut off or used with care.
    public var warnings: [Finding] = []
    /// What was found damaged, in words, in the order in which it was met.
    public var damage: [String] = []
    /// What was damaged and could be mended from the directory itself.
    public var mended: [String] = []

    private static let memberName = "member"
    private static let markName = "copy"
    private static let suspectMark: [UInt8] = [1]
    private static let soundMark: [UInt8] = [0]

    /// Locks the storage and reads it.
    ///
    /// - Parameters:
    ///   - rule: the space's rule where the directory does not say it.
    ///   - start: who starts on it; nil to look at it alone. The start is counted durably before this returns.
    /// - Throws: `.storage`, `.unknownVersion`, `.invalidSetting`, and `.notOurs` where it is another server's directory;
    ///   damage is no error but is told by ``damage``.
    /// - Complexity: O(bytes of snapshot and log).
    public static func open(
        storage: any Storage, rule: ElementRule, settings: JournalSettings = JournalSettings(),
        start: DirectoryStart? = nil
    ) throws(JournalError) -> DurableCopy {
        do throws(StorageError) { try storage.lock() } catch { throw .storage(error) }
        var damage: [String] = []
        var mended: [String] = []
        // Before anything is mended: it may be another server's.
        var identity = try DirectoryIdentity.open(storage, for: start, damage: &damage)
        var mark: DurableRecord
        do throws(JournalError) { mark = try DurableRecord(storage: storage, name: markName) } catch {
            guard error.isDamage else { throw error }
            // Nobody knows what it said: the worse is believed.
            damage.append("\(error)")
            mark = try DurableRecord(storage: storage, replacing: markName)
            try mark.write(suspectMark)
        }
        var member: DurableRecord
        var record: SwitchRecord?
        do throws(JournalError) {
            member = try DurableRecord(storage: storage, name: memberName)
            record = try switchRecord(in: member)
        } catch {
            guard error.isDamage else { throw error }
            damage.append("\(error)")
            try mark.write(suspectMark)
            do throws(StorageError) { try storage.setAside(memberName + ".record") } catch { throw .storage(error) }
            member = try DurableRecord(storage: storage, name: memberName)
        }
        if !damage.isEmpty { try mark.write(suspectMark) }
        if try identity.file.repair() {
            mended.append("'\(DirectoryIdentity.fileName).record': one of its two copies was damaged")
        }
        if try mark.repair() { mended.append("'\(markName).record': one of its two copies was damaged") }
        if try member.repair() { mended.append("'\(memberName).record': one of its two copies was damaged") }
        var copy: DurableCopy
        do throws(JournalError) { copy = try read(storage, rule, settings, record, member, mark) } catch {
            guard error.isDamage else { throw error }
            damage.append("\(error)")
            try mark.write(suspectMark)
            damage += try Recovery.quarantine(storage: storage).map { "'\($0)' was set aside" }
            copy = try read(storage, rule, settings, record, member, mark)
        }
        copy.member.prepare()
        copy.mark.prepare()
        copy.isSuspect = copy.mark.payload.map { $0 != soundMark } ?? false
        copy.damage = damage
        copy.mended = mended
        if let start { copy.lineage = try identity.begin(start, cluster: record?.cluster ?? .none) }
        return copy
    }

    /// Keeps, durably, whether the copy is suspect.
    public static func write(isSuspect: Bool, to mark: inout DurableRecord) throws(JournalError) {
        try mark.write(isSuspect ? suspectMark : soundMark)
    }

    /// Keeps the record, durably.
    public static func write(_ record: SwitchRecord, to member: inout DurableRecord) throws(JournalError) {
        var bytes = ByteWriter()
        bytes.record(record)
        try member.write(bytes.bytes)
    }

    /// The switch's record that a server's or the proxy's durable record holds; nil where it holds nothing yet.
    ///
    /// - Throws: `.corrupt`, also where it is one that no switch ever recorded.
    public static func switchRecord(in file: DurableRecord) throws(JournalError) -> SwitchRecord? {
        guard let payload = file.payload else { return nil }
        var reader = ByteReader(payload)
        do throws(DecodingError) {
            // Release 0.1 knew of no incarnations.
            let record = file.version < 3 ? try reader.plainRecord() : try reader.record()
            try reader.end()
            return record
        } catch { throw .corrupt(Finding(.badDurableRecord, file: file.name + ".record", offset: 0)) }
    }

    private static func read(
        _ storage: any Storage, _ rule: ElementRule, _ settings: JournalSettings, _ record: SwitchRecord?,
        _ member: DurableRecord, _ mark: DurableRecord
    ) throws(JournalError) -> DurableCopy {
        let journal = try Recovery.openLocked(storage: storage, settings: settings)
        var state = ReplicatedState(rule: record?.rule ?? rule)
        if var snapshot = journal.snapshot { state = try read(&snapshot) }
        var cursor = try journal.records()
        let bytes = try apply(&cursor, to: &state)
        return DurableCopy(
            state: state, record: record, writer: journal.writer, member: member, mark: mark,
            snapshot: journal.snapshotPosition, logBytes: bytes, warnings: journal.warnings)
    }

    /// Puts a state together from a snapshot on disk.
    public static func read(_ snapshot: inout SnapshotReader) throws(JournalError) -> ReplicatedState {
        var decoder = SnapshotDecoder()
        var whole: ReplicatedState?
        while let chunk = try snapshot.next() {
            do throws(SnapshotError) { whole = try decoder.append(chunk) } catch {
                throw .corrupt(Finding(.badSnapshot, file: snapshot.name))
            }
        }
        guard let whole, whole.position == snapshot.position else {
            throw .corrupt(Finding(.badSnapshot, file: snapshot.name))
        }
        return whole
    }

    /// Applies what a cursor reads.
    ///
    /// - Returns: the bytes of the entries.
    public static func apply(
        _ cursor: inout LogCursor, to state: inout ReplicatedState
    ) throws(JournalError) -> Int {
        var bytes = 0
        while let found = try cursor.next() {
            bytes += found.payload.count
            do throws(EntryError) { try state.apply(encoded: found.payload[...]) } catch {
                throw .corrupt(Finding(.badRecordBody, index: found.position.index))
            }
        }
        return bytes
    }

    /// Writes a state as the newest snapshot, durably.
    ///
    /// - Returns: why an older snapshot could not be removed, nil where all are gone.
    public static func write(_ state: ReplicatedState, to storage: any Storage) throws(JournalError) -> StorageError? {
        var writer = try SnapshotWriter(storage: storage, position: state.position)
        var encoder = SnapshotEncoder(state)
        while let chunk = encoder.next() { try writer.add(chunk) }
        return try writer.finish()
    }

    private init(
        state: ReplicatedState, record: SwitchRecord?, writer: JournalWriter, member: DurableRecord,
        mark: DurableRecord, snapshot: LogPosition, logBytes: Int, warnings: [Finding]
    ) {
        self.state = state
        self.record = record
        self.writer = writer
        self.member = member
        self.mark = mark
        self.snapshot = snapshot
        self.logBytes = logBytes
        self.warnings = warnings
    }
}
