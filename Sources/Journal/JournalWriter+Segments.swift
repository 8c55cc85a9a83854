public import TupleCore

extension JournalWriter {
    // MARK: - New segments

    /// Goes on in a new segment. Where that fails because the disk is full, nothing has changed.
    func rotate(toHold footprint: Int) throws(JournalError) {
        let first = end.index.next
        let (temporary, file, bytes) = try newSegment(first, toHold: footprint)
        let current = segments[segments.count - 1].file
        if !buffer.isEmpty { waitingSteps.append(.write(current, offset: writeOffset, bytes: buffer)) }
        if currentIsUnsynced || !buffer.isEmpty { unsyncedFiles.append(current) }
        waitingSteps.append(.rename(temporary, to: FileName.segment(named: first)))
        currentIsUnsynced = false
        segments.append(
            Segment(
                first: first, name: FileName.segment(named: first), file: file, bytes: bytes, generation: generation,
                previousEpoch: end.epoch))
        directoryIsUnsynced = true
        writeOffset = 0
        // The header goes out with the first records, in one write.
        buffer = header(first: first, previousEpoch: end.epoch, durable: durable.index).encoded()
    }

    private func header(first: LogIndex, previousEpoch: Epoch, durable: LogIndex) -> SegmentHeader {
        SegmentHeader(firstIndex: first, generation: generation, previousEpoch: previousEpoch, durable: durable)
    }

    private func newSegment(
        _ first: LogIndex, toHold footprint: Int
    ) throws(JournalError) -> (temporary: String, file: any StorageFile, bytes: Int) {
        let needed = SegmentFormat.headerBytes + footprint
        if case .ready(let name, let file, let bytes) = spare, bytes >= needed {
            spare = .none
            return (name, file, bytes)
        }
        let temporary = FileName.segment(named: first) + FileName.temporarySuffix
        let bytes = segmentBytes(toHold: needed)
        do throws(StorageError) {
            return (temporary, try makeZeroed(storage, temporary, bytes: bytes), bytes)
        } catch { throw error.shortage != nil ? .storage(error) : fail(error) }
    }

    private func segmentBytes(toHold bytes: Int) -> Int { max(settings.segmentBytes, (bytes + 4_095) / 4_096 * 4_096) }

    // MARK: - Preparing segments ahead

    /// Hands out the making of the next segment (writing some megabytes of zeros), so that no append has to wait for it.
    /// - Parameter count: payload bytes of an entry that it has to hold.
    /// - Returns: nil where one is ready or under way.
    public func beginSpare(forPayloadBytes count: Int = 0) throws(JournalError) -> SpareRequest? {
        try checkUsable()
        let needed = SegmentFormat.headerBytes + SegmentFormat.footprint(payloadBytes: count)
        var tooSmall: String?
        switch spare {
        case .underWay: return nil
        case .ready(let name, _, let bytes):
            guard bytes < needed else { return nil }
            tooSmall = name
        case .none: break
        }
        spare = .underWay
        spareCount += 1
        return SpareRequest(
            storage: storage, name: "spare-\(spareCount)" + FileName.temporarySuffix,
            bytes: segmentBytes(toHold: needed), replaced: tooSmall)
    }

    /// Takes in the result of `SpareRequest.perform()`.
    /// - Throws: `.storage`. `.diskFull` is an early warning: the current segment still has `remainingBytes`.
    public func completeSpare(_ result: SpareResult) throws(JournalError) {
        try checkUsable()
        spare = .none
        switch result.outcome {
        case .success(let file): spare = .ready(name: result.name, file: file, bytes: result.bytes)
        case .failure(let error): throw error.shortage != nil ? .storage(error) : fail(error)
        }
    }

    // MARK: - Cutting

    /// Throws away all entries after `index`, for good: it blocks until that is durable. A crash in between leaves
    /// either the old log or the cut one. Not to be called while a sync is under way.
    /// - Parameter index: from `start.index` to `end.index`.
    /// - Throws: `.positionNotHeld`; `.storage`, with `.diskFull` leaving the log as it was.
    public func truncate(after index: LogIndex) throws(JournalError) {
        try checkUsable()
        precondition(!syncIsUnderWay, "a sync is under way; complete it first")
        guard let position = position(at: index) else { throw .positionNotHeld(index) }
        guard index < end.index else { return }
        // What stays has to be durable before the new segment says so.
        try write()
        try syncNow()
        try beginGeneration(after: position)
        let superseded = segments.dropLast().filter { $0.first > index }
        segments = segments.filter { $0.first <= index || $0.generation == generation }
        epochs.removeAll { $0.index > index }
        end = position
        written = position
        durable = position
        try remove(superseded.filter { $0.first != index.next })
    }

    /// Drops the whole log in favour of a snapshot that was fetched from the peer: the log is empty afterwards, and its
    /// next entry is the one after `position`. It blocks until that is durable; `beginReset` does not.
    /// - Parameter position: the position of a snapshot that `SnapshotWriter.finish()` has made durable.
    /// - Throws: `.snapshotMissing`; `.storage`, with `.diskFull` leaving the log as it was.
    public func reset(to position: LogPosition) throws(JournalError) {
        let removal = try completeReset(try beginReset(to: position).perform())
        do throws(StorageError) { try removal.perform() } catch { throw fail(error) }
    }

    /// Hands out the part of a reset that blocks. Nothing may be appended before `completeReset`.
    public func beginReset(to position: LogPosition) throws(JournalError) -> ResetRequest {
        try checkUsable()
        return ResetRequest(
            storage: storage, position: position, generation: generation + 1, segmentBytes: settings.segmentBytes)
    }

    /// Takes in the result of `ResetRequest.perform()`.
    /// - Returns: the removal of the old files, to be performed on any thread.
    /// - Throws: as `reset`.
    public func completeReset(_ result: ResetResult) throws(JournalError) -> RemovalRequest {
        try checkUsable()
        let fresh: Segment
        switch result.outcome {
        case .success(let segment): fresh = segment
        case .failure(.storage(let error)) where error.shortage == nil: throw fail(error)
        case .failure(let error): throw error
        }
        let old = segments.filter { $0.first != fresh.first }
        segments = []
        begin(fresh)
        epochs = []
        start = result.position
        end = result.position
        written = result.position
        durable = result.position
        return RemovalRequest(storage: storage, names: old.map(\.name).reversed())
    }

    /// Puts a new, empty segment after `position` in place, in one step and durably. From then on segments behind it are
    /// leftovers, and so are the entries from there on in the segment before it.
    func beginGeneration(after position: LogPosition) throws(JournalError) {
        let made: Segment
        do throws(StorageError) {
            made = try makeFirstSegment(
                storage, after: position, generation: generation + 1, bytes: settings.segmentBytes)
        } catch { throw error.shortage != nil ? .storage(error) : fail(error) }
        begin(made)
    }

    private func begin(_ segment: Segment) {
        generation = segment.generation
        segments.append(segment)
        writeOffset = SegmentFormat.headerBytes
        buffer = []
        waitingSteps = []
        unsyncedFiles = []
        currentIsUnsynced = false
        directoryIsUnsynced = false
    }

    private func syncNow() throws(JournalError) {
        do {
            for file in unsyncedFiles { try file.sync() }
            if let current = segments.last { try current.file.sync() }
            try storage.syncDirectory()
        } catch { throw fail(error) }
    }

    private func remove(_ segments: some Sequence<Segment>) throws(JournalError) {
        // From the end, so that what a crash leaves is recognised as leftovers; they do no harm.
        do { for segment in segments.reversed() { try storage.remove(segment.name) } } catch { throw fail(error) }
    }

    /// Hands out the part of a truncation that blocks. Everything has to be written, no sync be under way, and nothing
    /// may be appended before `completeTruncation`.
    /// - Throws: `.positionNotHeld`.
    public func beginTruncation(after position: LogPosition) throws(JournalError) -> TruncationRequest {
        try checkUsable()
        precondition(!syncIsUnderWay && buffer.isEmpty && waitingSteps.isEmpty, "what stays has to be written")
        guard self.position(at: position.index) == position else { throw .positionNotHeld(position.index) }
        let files = unsyncedFiles + segments.suffix(1).map(\.file)
        return TruncationRequest(
            files: files,
            reset: ResetRequest(
                storage: storage, position: position, generation: generation + 1, segmentBytes: settings.segmentBytes))
    }

    /// Takes in the result of `TruncationRequest.perform()`.
    /// - Returns: the removal of files that are leftovers now, to be performed on any thread.
    public func completeTruncation(_ result: ResetResult) throws(JournalError) -> RemovalRequest {
        try checkUsable()
        let fresh: Segment
        switch result.outcome {
        case .success(let segment): fresh = segment
        case .failure(.storage(let error)) where error.shortage == nil: throw fail(error)
        case .failure(let error): throw error
        }
        let superseded = segments.filter { $0.first > fresh.first }
        segments = segments.filter { $0.first < fresh.first }
        begin(fresh)
        epochs.removeAll { $0.index > result.position.index }
        end = result.position
        written = result.position
        durable = result.position
        return RemovalRequest(storage: storage, names: superseded.map(\.name).reversed())
    }

    // MARK: - After a snapshot

    /// Forgets segments that a durable snapshot covers, except for `settings.retainedLogBytes`, and hands out the
    /// removal of their files, to be performed on any thread.
    /// - Parameters:
    ///   - snapshot: the index of a snapshot that `SnapshotWriter.finish()` has made durable.
    ///   - retained: how many bytes of what is covered are kept; nil for the setting.
    /// - Returns: nil where there is nothing to remove.
    public func releaseSegments(coveredBy snapshot: LogIndex, retaining bytes: Int? = nil) -> RemovalRequest? {
        let limit = bytes ?? settings.retainedLogBytes
        // What is not durable yet may still have to be renamed.
        let covered = min(snapshot, durable.index)
        var retained = 0
        var keep = segments.count - 1
        while keep > 0,
            segments[keep].first.number > covered.number + 1 || retained + segments[keep - 1].bytes <= limit
        {
            keep -= 1
            if segments[keep + 1].first.number <= covered.number + 1 { retained += segments[keep].bytes }
        }
        guard keep > 0 else { return nil }
        let names = segments[..<keep].map(\.name)
        segments.removeFirst(keep)
        start = LogPosition(
            epoch: segments[0].previousEpoch, index: LogIndex(segments[0].first.number - 1))
        while epochs.count > 1, epochs[1].index <= start.index.next { epochs.removeFirst() }
        return RemovalRequest(storage: storage, names: names)
    }

    /// About how many bytes of log lie behind an entry, as whole segments.
    public func bytes(after index: LogIndex) -> Int {
        segments.drop { $0.first <= index }.reduce(0) { $0 + $1.bytes }
    }

    // MARK: - Reading

    /// The position of an entry that the log holds (or of the one before the first); nil for any other index.
    /// - Complexity: O(log of the number of epochs).
    public func position(at index: LogIndex) -> LogPosition? {
        guard index >= start.index, index <= end.index else { return nil }
        if index == start.index { return start }
        var low = 0
        var high = epochs.count
        while low < high {
            let middle = (low + high) / 2
            if epochs[middle].index <= index { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        return LogPosition(epoch: epochs[low - 1].epoch, index: index)
    }

    /// The last position that this log shares with any log that holds `position`, where this one does not hold it but
    /// reaches back so far: logs that agree on the epoch of an entry agree on all before it.
    public func lastCommonPosition(with position: LogPosition) -> LogPosition? {
        guard let own = epochs.lastIndex(where: { $0.epoch <= position.epoch }) else { return nil }
        let last = own + 1 < epochs.count ? LogIndex(epochs[own + 1].index.number - 1) : end.index
        let index = epochs[own].epoch == position.epoch ? min(last, position.index) : last
        return index <= written.index ? LogPosition(epoch: epochs[own].epoch, index: index) : nil
    }

    /// Reads what follows `position`, up to what is written. Nil where the log does not hold that position: the peer
    /// then needs a snapshot, or has entries of another history.
    /// - Complexity: the first entry takes a scan of its segment.
    public func cursor(after position: LogPosition) -> LogCursor? {
        guard self.position(at: position.index) == position, position.index <= written.index else { return nil }
        let from = segments.lastIndex { $0.first <= position.index.next } ?? 0
        return LogCursor(
            segments: Array(segments[from...]), generation: generation, after: position, through: written.index)
    }

    /// Lets a cursor go on to what is written by now.
    /// - Throws: `.superseded` where entries under it were truncated or removed.
    public func refresh(_ cursor: inout LogCursor) throws(JournalError) {
        try cursor.extend(segments, generation: generation, through: written.index)
    }
}

/// A file of zeros, durable but for its name. Nothing is left of it where that fails.
private func makeZeroed(
    _ storage: any Storage, _ name: String, bytes: Int
) throws(StorageError) -> any StorageFile {
    let file = try storage.create(name, zeroedBytes: bytes)
    do throws(StorageError) { try file.sync() } catch {
        // File systems that allocate late notice a full disk only here; nothing refers to the file yet.
        try? storage.remove(name)
        throw error
    }
    return file
}

/// The first segment of a new generation, in place and durable.
private func makeFirstSegment(
    _ storage: any Storage, after position: LogPosition, generation: UInt64, bytes: Int
) throws(StorageError) -> Segment {
    let first = position.index.next
    let name = FileName.segment(named: first)
    let temporary = name + FileName.temporarySuffix
    let file = try makeZeroed(storage, temporary, bytes: bytes)
    let header = SegmentHeader(
        firstIndex: first, generation: generation, previousEpoch: position.epoch, durable: position.index)
    try file.write(header.encoded().span.bytes, at: 0)
    try file.sync()
    try storage.rename(temporary, to: name)
    try storage.syncDirectory()
    return Segment(
        first: first, name: name, file: file, bytes: bytes, generation: generation, previousEpoch: position.epoch)
}

/// The making of a zero-filled segment; any thread may perform it.
public struct SpareRequest: Sendable {
    let storage: any Storage
    let name: String
    let bytes: Int
    /// An older one that is too small; it goes.
    let replaced: String?

    /// Blocks until the zeros are on the disk. To be called once; the result goes to `JournalWriter.completeSpare`.
    public func perform() -> SpareResult {
        do throws(StorageError) {
            if let replaced { try storage.remove(replaced) }
            return SpareResult(name: name, bytes: bytes, outcome: .success(try makeZeroed(storage, name, bytes: bytes)))
        } catch { return SpareResult(name: name, bytes: bytes, outcome: .failure(error)) }
    }
}

/// How the making of a segment went.
public struct SpareResult: Sendable {
    let name: String
    let bytes: Int
    let outcome: Result<any StorageFile, StorageError>
}

/// The part of a reset that blocks; any thread may perform it.
public struct ResetRequest: Sendable {
    let storage: any Storage
    let position: LogPosition
    let generation: UInt64
    let segmentBytes: Int

    /// Blocks until an empty log begins after the snapshot. To be called once; the result goes to
    /// `JournalWriter.completeReset`.
    public func perform() -> ResetResult { perform(needsSnapshot: true) }

    func perform(needsSnapshot: Bool) -> ResetResult {
        do throws(StorageError) {
            if needsSnapshot, try !storage.list().contains(FileName.snapshot(named: position)) {
                return ResetResult(position: position, outcome: .failure(.snapshotMissing(position)))
            }
            let segment = try makeFirstSegment(
                storage, after: position, generation: generation, bytes: segmentBytes)
            return ResetResult(position: position, outcome: .success(segment))
        } catch { return ResetResult(position: position, outcome: .failure(.storage(error))) }
    }
}

/// The part of a truncation that blocks; any thread may perform it.
public struct TruncationRequest: Sendable {
    let files: [any StorageFile]
    let reset: ResetRequest

    /// Blocks until the log ends where it is to end. To be called once; the result goes to
    /// `JournalWriter.completeTruncation`.
    public func perform() -> ResetResult {
        // What stays has to be durable before the new segment says so.
        do throws(StorageError) { for file in files { try file.sync() } } catch {
            return ResetResult(position: reset.position, outcome: .failure(.storage(error)))
        }
        return reset.perform(needsSnapshot: false)
    }
}

/// How a reset went.
public struct ResetResult: Sendable {
    let position: LogPosition
    let outcome: Result<Segment, JournalError>
}

/// The removal of files that nothing needs any more; any thread may perform it, and a failure does no harm.
public struct RemovalRequest: Sendable {
    let storage: any Storage
    let names: [String]

    public func perform() throws(StorageError) {
        for name in names {
            do throws(StorageError) { try storage.remove(name) } catch {
                // A segment that was dropped before it got its name.
                guard error.reason == .notFound else { throw error }
            }
        }
    }
}
