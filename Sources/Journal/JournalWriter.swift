public import TupleCore

/// The end of the log, where entries are added. It is made by `RecoveredJournal`, which see.
///
/// It belongs to one thread (the event loop's). What blocks for long is handed out as a request that any thread may
/// perform, while the owner goes on:
///
///     try writer.append(position, payload: bytes)            // loop, any number of times
///     if let request = try writer.beginSync() {              // loop: nil while a sync is under way
///         let result = request.perform()                     // worker: one write, fdatasync
///         let durable = try writer.completeSync(result)      // loop: release the answers up to here
///     }
///
/// `append` itself touches the disk only where it needs a new segment and none was prepared: see `hasRoom` and
/// `beginSpare`. After a failed write or sync the disk's content is unknown: the writer then refuses everything with
/// `.failedBefore`, and the process is to end. A full disk is not such a failure where it meets the making of a segment.
public final class JournalWriter {
    let storage: any Storage
    public let settings: JournalSettings
    var segments: [Segment]
    /// Where the next write goes in the last segment.
    var writeOffset: Int
    /// Records of the last segment that are not yet handed out to be written.
    var buffer: [UInt8] = []
    /// What is to be written before `buffer`: the rest of the segments before the last one, and their successors' names.
    var waitingSteps: [DiskStep] = []
    /// Segments before the last one whose records are not yet synced.
    var unsyncedFiles: [any StorageFile] = []
    var directoryIsUnsynced = false
    /// Whether the last segment was written since it was last handed out to be synced.
    var currentIsUnsynced = false
    var syncIsUnderWay = false
    var generation: UInt64
    var failure: StorageError?
    var spare: Spare = .none
    var spareCount = 0
    /// Each epoch with its first entry, oldest first, for all that the log holds.
    var epochs: [LogPosition]
    /// The position before the first entry that the log holds.
    public internal(set) var start: LogPosition
    /// The last entry that was appended; it may not be written or durable yet.
    public internal(set) var end: LogPosition
    /// The last entry that was handed to the operating system: it survives the end of the process, not of the machine.
    public internal(set) var written: LogPosition
    /// The last entry that is on stable storage.
    public internal(set) var durable: LogPosition

    enum Spare {
        case none
        case underWay
        case ready(name: String, file: any StorageFile, bytes: Int)
    }

    init(
        storage: any Storage, settings: JournalSettings, segments: [Segment], writeOffset: Int, start: LogPosition,
        end: LogPosition, epochs: [LogPosition]
    ) {
        self.storage = storage
        self.settings = settings
        self.segments = segments
        self.writeOffset = writeOffset
        self.epochs = epochs
        self.start = start
        self.end = end
        generation = segments.last?.generation ?? 0
        written = end
        durable = end
    }

    // MARK: - Appending

    /// Adds an entry to what the next `write` or `beginSync` writes.
    /// - Parameter position: the index after `end`, and an epoch that is not older.
    /// - Throws: `.outOfOrder`, `.payloadTooLarge` (see `maximumPayloadBytes`), `.storage` with `.diskFull` where a new segment has no room: in these cases the entry is not in the log, everything before it is, and the
    ///   same call may be made again later. Every other `.storage` and `.failedBefore` are final.
    public func append(_ position: LogPosition, payload: RawSpan) throws(JournalError) {
        try checkUsable()
        guard position.index == end.index.next, position.epoch >= end.epoch else {
            throw .outOfOrder(expected: end.index.next, last: end, got: position)
        }
        guard payload.byteCount <= Self.maximumPayloadBytes else {
            throw .payloadTooLarge(bytes: payload.byteCount, maximumBytes: Self.maximumPayloadBytes)
        }
        let footprint = SegmentFormat.footprint(payloadBytes: payload.byteCount)
        if remainingBytes < footprint { try rotate(toHold: footprint) }
        add(.entry, position, payload: payload)
        if epochs.isEmpty || end.epoch != position.epoch { epochs.append(position) }
        end = position
    }

    /// The same for an array of bytes.
    public func append(_ record: JournalRecord) throws(JournalError) {
        try append(record.position, payload: record.payload.span.bytes)
    }

    /// What an entry's payload may be, in bytes.
    public static var maximumPayloadBytes: Int { SegmentFormat.maximumPayloadBytes }

    /// Whether an entry of so many payload bytes can be appended without waiting for the disk.
    public func hasRoom(forPayloadBytes count: Int) -> Bool {
        let footprint = SegmentFormat.footprint(payloadBytes: count)
        if remainingBytes >= footprint { return true }
        guard case .ready(_, _, let bytes) = spare else { return false }
        return bytes >= SegmentFormat.headerBytes + footprint
    }

    /// Hands everything appended to the operating system before it returns, without syncing it. While a sync is under
    /// way it does nothing.
    /// - Returns: the last entry that is written now.
    @discardableResult
    public func write() throws(JournalError) -> LogPosition {
        guard let request = try beginWrite() else { return written }
        try completeSync(request.perform())
        return written
    }

    private func add(_ kind: RecordHeader.Kind, _ position: LogPosition, payload: RawSpan) {
        RecordHeader.append(
            kind, position, durable: durable.index, payload: payload, segment: segments[segments.count - 1].first,
            offset: writeOffset + buffer.count, to: &buffer)
    }

    /// What is left of the current segment, in bytes.
    var remainingBytes: Int { segments[segments.count - 1].bytes - writeOffset - buffer.count }

    // MARK: - Syncing

    /// Hands out the writing of what was appended and the sync that makes it durable. One may be under way at a time;
    /// what is appended meanwhile waits for the next one, which is what forms groups.
    /// - Returns: nil where one is under way, or where everything is durable.
    public func beginSync() throws(JournalError) -> SyncRequest? { try begin(syncing: true) }

    /// The same without the sync: what `SyncPolicy.interval` and `.never` wait for before an answer.
    /// - Returns: nil where a request is under way, or where everything is written.
    public func beginWrite() throws(JournalError) -> SyncRequest? { try begin(syncing: false) }

    private func begin(syncing: Bool) throws(JournalError) -> SyncRequest? {
        try checkUsable()
        guard !syncIsUnderWay else { return nil }
        let current = segments[segments.count - 1].file
        if !buffer.isEmpty {
            waitingSteps.append(.write(current, offset: writeOffset, bytes: buffer))
            writeOffset += buffer.count
            buffer = []
            currentIsUnsynced = true
        }
        var steps = waitingSteps
        waitingSteps = []
        if syncing {
            if currentIsUnsynced { unsyncedFiles.append(current) }
            steps += unsyncedFiles.map { .sync($0) }
            if directoryIsUnsynced { steps.append(.syncDirectory) }
            unsyncedFiles = []
            directoryIsUnsynced = false
            currentIsUnsynced = false
        }
        guard !steps.isEmpty else { return nil }
        syncIsUnderWay = true
        return SyncRequest(storage: storage, steps: steps, isSyncing: syncing, through: end, generation: generation)
    }

    /// Takes in the result of `SyncRequest.perform()`.
    /// - Returns: the last entry that is durable now: answers up to it may go out.
    /// - Throws: `.storage` where the write or the sync failed. The process is then to end.
    @discardableResult
    public func completeSync(_ result: SyncResult) throws(JournalError) -> LogPosition {
        try checkUsable()
        syncIsUnderWay = false
        switch result.outcome {
        case .failure(let error): throw fail(error)
        case .success:
            // A sync from before a truncation says nothing about the entries that came in place of those it covered.
            guard result.generation == generation else { return durable }
            if result.through.index > written.index { written = result.through }
            if result.isSyncing, result.through.index > durable.index { durable = result.through }
            return durable
        }
    }

    /// Makes everything durable before it returns. Not to be called while a sync is under way.
    @discardableResult
    public func sync() throws(JournalError) -> LogPosition {
        guard let request = try beginSync() else {
            precondition(!syncIsUnderWay, "a sync is under way; complete it first")
            return durable
        }
        return try completeSync(request.perform())
    }

    /// Makes everything durable and notes so in the log, so that after a clean end a damaged last record is told from
    /// one that was cut short. To be called on a clean shutdown; the writer stays usable.
    public func close() throws(JournalError) {
        try sync()
        guard remainingBytes >= SegmentFormat.footprint(payloadBytes: 0) else { return }
        add(.mark, end, payload: [UInt8]().span.bytes)
        try sync()
    }

    func checkUsable() throws(JournalError) {
        if let failure { throw .failedBefore(failure) }
    }

    /// Puts the writer out of use.
    func fail(_ error: StorageError) -> JournalError {
        failure = error
        return .storage(error)
    }
}

/// One thing to be done on the disk, in its turn.
enum DiskStep: Sendable {
    case write(any StorageFile, offset: Int, bytes: [UInt8])
    case rename(String, to: String)
    case sync(any StorageFile)
    case syncDirectory
}

/// The part of writing and syncing that blocks; any thread may perform it.
public struct SyncRequest: Sendable {
    let storage: any Storage
    let steps: [DiskStep]
    /// Whether it waits for the disk, not only for the system's memory.
    public let isSyncing: Bool
    let through: LogPosition
    let generation: UInt64

    /// What is written, in bytes.
    public var byteCount: Int {
        steps.reduce(0) { if case .write(_, _, let bytes) = $1 { $0 + bytes.count } else { $0 } }
    }

    /// Blocks until the entries are written, and durable where that was asked for. To be called once; the result goes to
    /// `JournalWriter.completeSync`.
    public func perform() -> SyncResult {
        do throws(StorageError) {
            for step in steps {
                switch step {
                case .write(let file, let offset, let bytes): try file.write(bytes.span.bytes, at: offset)
                case .rename(let name, let newName): try storage.rename(name, to: newName)
                case .sync(let file):
                    #if PLANTED_BUGS
                        if PlantedBug.noSync.isOn { continue }
                    #endif
                    try file.sync()
                case .syncDirectory: try storage.syncDirectory()
                }
            }
            return result(.success(()))
        } catch { return result(.failure(error)) }
    }

    private func result(_ outcome: Result<Void, StorageError>) -> SyncResult {
        SyncResult(outcome: outcome, through: through, isSyncing: isSyncing, generation: generation)
    }
}

/// How writing and syncing went.
public struct SyncResult: Sendable {
    public let outcome: Result<Void, StorageError>
    let through: LogPosition
    let isSyncing: Bool
    let generation: UInt64
}
