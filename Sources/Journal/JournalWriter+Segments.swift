public import TupleCore

extension JournalWriter {
    // MARK: - New segments

    /// Goes on in a new segment. Where that fails because the disk is full, nothing has changed.
    func rotate(toHold footprint: Int) throws(JournalError) {
        let first = end.index.next
        let (file, bytes) = try newSegment(first, toHold: footprint)
        try write()
        if currentIsUnsynced { unsyncedFiles.append(segments[segments.count - 1].file) }
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
    ) throws(JournalError) -> (file: any StorageFile, bytes: Int) {
        let needed = (SegmentFormat.headerBytes + footprint + 4_095) / 4_096 * 4_096
        let bytes = max(settings.segmentBytes, needed)
        let temporary: String
        let file: any StorageFile
        switch spare {
        case .ready(let name, let ready) where bytes == settings.segmentBytes:
            temporary = name
            file = ready
        case .ready, .none, .underWay:
            temporary = FileName.segment(named: first) + FileName.temporarySuffix
            file = try createSegmentFile(temporary, bytes: bytes)
        }
        do throws(StorageError) { try storage.rename(temporary, to: FileName.segment(named: first)) } catch {
            throw fail(error)
        }
        if case .ready(let name, _) = spare, name == temporary { spare = .none }
        return (file, bytes)
    }

    private func createSegmentFile(_ name: String, bytes: Int) throws(JournalError) -> any StorageFile {
        let file: any StorageFile
        do throws(StorageError) { file = try storage.create(name, zeroedBytes: bytes) } catch {
            throw error.reason == .diskFull ? .storage(error) : fail(error)
        }
        do throws(StorageError) { try file.sync() } catch {
            guard error.reason == .diskFull else { throw fail(error) }
            // File systems that allocate late notice a full disk only here; nothing refers to the file yet.
            try? storage.remove(name)
            throw .storage(error)
        }
        return file
    }

    // MARK: - Preparing segments ahead

    /// Hands out the making of the next segment (writing some megabytes of zeros), so that no append has to wait for it.
    /// - Returns: nil where one is ready or under way.
    public func beginSpare() throws(JournalError) -> SpareRequest? {
        try checkUsable()
        guard case .none = spare else { return nil }
        spare = .underWay
        spareCount += 1
        return SpareRequest(
            storage: storage, name: "spare-\(spareCount)" + FileName.temporarySuffix, bytes: settings.segmentBytes)
    }

    /// Takes in the result of `SpareRequest.perform()`.
    /// - Throws: `.storage`. `.diskFull` is an early warning: the current segment still has `remainingBytes`.
    public func completeSpare(_ result: SpareResult) throws(JournalError) {
        try checkUsable()
        spare = .none
        switch result.outcome {
        case .success(let file): spare = .ready(name: result.name, file: file)
        case .failure(let error): throw error.reason == .diskFull ? .storage(error) : fail(error)
        }
    }

    // MARK: - Cutting

    /// Throws away all entries after `index`, for good: it blocks until that is durable. A crash in between leaves
    /// either the old log or the cut one.
    /// - Parameter index: from `start.index` to `end.index`.
    /// - Throws: `.positionNotHeld`; `.storage`, with `.diskFull` leaving the log as it was.
    public func truncate(after index: LogIndex) throws(JournalError) {
        try checkUsable()
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
    /// next entry is the one after `position`. It blocks until that is durable.
    /// - Parameter position: the position of a snapshot that `SnapshotWriter.finish()` has made durable.
    /// - Throws: `.snapshotMissing`; `.storage`, with `.diskFull` leaving the log as it was.
    public func reset(to position: LogPosition) throws(JournalError) {
        try checkUsable()
        let names = try attempt { () throws(StorageError) in try storage.list() }
        guard names.contains(FileName.snapshot(named: position)) else { throw .snapshotMissing(position) }
        try beginGeneration(after: position)
        let old = segments.dropLast()
        segments = segments.suffix(1)
        epochs = []
        start = position
        end = position
        written = position
        durable = position
        try remove(old.filter { $0.first != position.index.next })
    }

    /// Puts a new, empty segment after `position` in place, in one step and durably. From then on segments behind it are
    /// leftovers, and so are the entries from there on in the segment before it.
    func beginGeneration(after position: LogPosition) throws(JournalError) {
        let first = position.index.next
        let name = FileName.segment(named: first)
        let temporary = name + FileName.temporarySuffix
        let file = try createSegmentFile(temporary, bytes: settings.segmentBytes)
        let header = SegmentHeader(
            firstIndex: first, generation: generation + 1, previousEpoch: position.epoch, durable: position.index)
        do {
            try file.write(header.encoded().span.bytes, at: 0)
            try file.sync()
            try storage.rename(temporary, to: name)
            try storage.syncDirectory()
        } catch { throw fail(error) }
        generation += 1
        segments.append(
            Segment(
                first: first, name: name, file: file, bytes: settings.segmentBytes, generation: generation,
                previousEpoch: position.epoch))
        writeOffset = SegmentFormat.headerBytes
        buffer = []
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

    // MARK: - After a snapshot

    /// Forgets segments that a durable snapshot covers, except for `settings.retainedLogBytes`, and hands out the
    /// removal of their files, to be performed on any thread.
    /// - Parameter snapshot: the index of a snapshot that `SnapshotWriter.finish()` has made durable.
    /// - Returns: nil where there is nothing to remove.
    public func releaseSegments(coveredBy snapshot: LogIndex) -> RemovalRequest? {
        var retained = 0
        var keep = segments.count - 1
        while keep > 0,
            segments[keep].first.number > snapshot.number + 1
                || retained + segments[keep - 1].bytes <= settings.retainedLogBytes
        {
            keep -= 1
            if segments[keep + 1].first.number <= snapshot.number + 1 { retained += segments[keep].bytes }
        }
        guard keep > 0 else { return nil }
        let names = segments[..<keep].map(\.name)
        segments.removeFirst(keep)
        start = LogPosition(
            epoch: segments[0].previousEpoch, index: LogIndex(segments[0].first.number - 1))
        while epochs.count > 1, epochs[1].index <= start.index.next { epochs.removeFirst() }
        return RemovalRequest(storage: storage, names: names)
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

/// The making of a zero-filled segment; any thread may perform it.
public struct SpareRequest: Sendable {
    let storage: any Storage
    let name: String
    let bytes: Int

    /// Blocks until the zeros are on the disk. To be called once; the result goes to `JournalWriter.completeSpare`.
    public func perform() -> SpareResult {
        do {
            let file = try storage.create(name, zeroedBytes: bytes)
            try file.sync()
            return SpareResult(name: name, outcome: .success(file))
        } catch {
            try? storage.remove(name)
            return SpareResult(name: name, outcome: .failure(error))
        }
    }
}

/// How the making of a segment went.
public struct SpareResult: Sendable {
    let name: String
    let outcome: Result<any StorageFile, StorageError>
}

/// The removal of files that nothing needs any more; any thread may perform it, and a failure does no harm.
public struct RemovalRequest: Sendable {
    let storage: any Storage
    let names: [String]

    public func perform() throws(StorageError) {
        for name in names { try storage.remove(name) }
    }
}
