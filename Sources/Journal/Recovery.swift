public import TupleCore

/// A data directory as it was found and put in order, ready for use.
public struct RecoveredJournal {
    /// The newest usable snapshot, verified; nil where the log begins at the beginning. Read it with `next()`.
    public var snapshot: SnapshotReader?
    /// The position of the snapshot; zero without one.
    public let snapshotPosition: LogPosition
    /// Everything that recovery met, in the order in which it met it.
    public let findings: [Finding]
    /// The end of the log, where entries are added.
    public let writer: JournalWriter

    /// What the operator is to be told.
    public var warnings: [Finding] {
        findings.filter { finding in
            switch finding.decision {
            case .truncateAndWarn, .useAndWarn: true
            case .use, .remove, .refuse: false
            }
        }
    }

    /// The entries after the snapshot, to be applied on top of it, in order.
    public func records() throws(JournalError) -> LogCursor {
        guard let cursor = writer.cursor(after: snapshotPosition) else {
            throw .positionNotHeld(snapshotPosition.index)
        }
        return cursor
    }
}

/// Opens data directories.
public enum Recovery {
    /// Locks the data directory, decides by `RecoveryTable` what of it is used, and puts it in order: leftovers are
    /// removed, a torn tail is cut off, and all that is recovered is made durable (it may have been written but not
    /// synced before the process ended).
    ///
    /// The caller then reads `snapshot` to its end, then `records()` to their end, and appends to `writer`.
    /// - Throws: `.corrupt` with file and offset where the decision is to refuse: nothing was changed then; `.storage`,
    ///   with `.locked` where another process uses the directory; `.unknownVersion`; `.invalidSetting`.
    /// - Complexity: O(bytes of snapshot and log).
    public static func open(
        storage: any Storage, settings: JournalSettings = JournalSettings()
    ) throws(JournalError) -> RecoveredJournal {
        try attempt { () throws(StorageError) in try storage.lock() }
        return try openLocked(storage: storage, settings: settings)
    }

    /// The same for a storage that is locked already: after ``quarantine(storage:)``.
    public static func openLocked(
        storage: any Storage, settings: JournalSettings = JournalSettings()
    ) throws(JournalError) -> RecoveredJournal {
        let settings = try settings.validated()
        var inventory = try Inventory.read(storage)
        let (base, plan) = try inventory.choose()
        var findings = inventory.findings + plan.findings
        let writer = try plan.carryOut(storage, settings, base: base, inventory: inventory, findings: &findings)
        return RecoveredJournal(
            snapshot: base, snapshotPosition: base?.position ?? .zero, findings: findings, writer: writer)
    }

    /// Sets log and snapshots aside, so that the server starts empty and fetches everything from its peer: the way out
    /// after `.corrupt`. Durable records stay. The directory has to be locked.
    /// - Returns: the names of the files.
    public static func quarantine(storage: any Storage) throws(JournalError) -> [String] {
        do throws(StorageError) {
            var moved: [String] = []
            // Snapshots last: without them a log that does not begin at 1 is refused, never taken for complete.
            let names = try storage.list().sorted()
            for name in names {
                guard case .segment = FileName.parse(name) else { continue }
                try storage.setAside(name)
                moved.append(name)
            }
            try storage.syncDirectory()
            for name in names {
                guard case .snapshot = FileName.parse(name) else { continue }
                try storage.setAside(name)
                moved.append(name)
            }
            try storage.syncDirectory()
            return moved
        } catch { throw .storage(error) }
    }
}

/// A segment file and what its header says.
struct FoundSegment {
    var first: LogIndex
    var name: String
    var window: FileWindow
    var header: SegmentHeader.Decoded

    func segment(_ header: SegmentHeader) -> Segment {
        Segment(
            first: first, name: name, file: window.file, bytes: window.size, generation: header.generation,
            previousEpoch: header.previousEpoch)
    }
}

/// What is in the directory.
struct Inventory {
    let storage: any Storage
    /// By first index, without leftovers of truncations.
    var segments: [FoundSegment] = []
    /// The newest first.
    var snapshots: [LogPosition] = []
    var highestGeneration: UInt64 = 0
    /// Names to be removed once it is certain that the directory is used.
    var removable: [String] = []
    var findings: [Finding] = []

    static func read(_ storage: any Storage) throws(JournalError) -> Inventory {
        var inventory = Inventory(storage: storage)
        let names = try attempt { () throws(StorageError) in try storage.list() }.sorted()
        var found: [FoundSegment] = []
        for name in names {
            switch FileName.parse(name) {
            case .segment(let first): found.append(try open(storage, name, first))
            case .snapshot(let position): inventory.snapshots.append(position)
            case .temporary:
                inventory.findings.append(Finding(.temporaryFile, file: name))
                inventory.removable.append(name)
            case .record: break
            case .unknown: inventory.findings.append(Finding(.unknownFile, file: name))
            }
        }
        // A copy that was replaced by a shorter one of a later epoch may have left its snapshot behind.
        inventory.snapshots.sort { ($0.epoch, $0.index) > ($1.epoch, $1.index) }
        for segment in found.sorted(by: { $0.first < $1.first }) {
            if case .valid(let header) = segment.header {
                if header.generation < inventory.highestGeneration {
                    inventory.findings.append(
                        Finding(.supersededSegment, file: segment.name, index: segment.first))
                    inventory.removable.append(segment.name)
                    continue
                }
                inventory.highestGeneration = header.generation
            }
            inventory.segments.append(segment)
        }
        return inventory
    }

    private static func open(
        _ storage: any Storage, _ name: String, _ first: LogIndex
    ) throws(JournalError) -> FoundSegment {
        let file = try attempt { () throws(StorageError) in try storage.open(name) }
        var window = try FileWindow(file, name: name)
        let count = min(SegmentFormat.headerBytes, window.size)
        guard let start = try window.load(at: 0, count: count) else {
            throw .corrupt(Finding(.badSegmentHeader, file: name, offset: 0))
        }
        let header = SegmentHeader.decode(Array(window.bytes[start..<start + count]), named: first)
        if case .unknownVersion(let version) = header {
            throw .unknownVersion(file: name, found: version, supported: SegmentFormat.version)
        }
        return FoundSegment(first: first, name: name, window: window, header: header)
    }

    /// Finds the newest snapshot that is intact and from which the log leads on.
    mutating func choose() throws(JournalError) -> (SnapshotReader?, RecoveryPlan) {
        var damaged: [LogPosition] = []
        var base: SnapshotReader?
        var unfit: JournalError?
        for (number, position) in snapshots.enumerated() {
            do throws(JournalError) {
                var reader = try SnapshotReader(storage: storage, position: position)
                try reader.verify()
                base = reader
            } catch {
                guard case .corrupt = error else { throw error }
                if unfit == nil { damaged.append(position) }
                continue
            }
            var trial = self
            for older in snapshots.dropFirst(number + 1) {
                trial.findings.append(
                    Finding(.olderSnapshot, file: FileName.snapshot(named: older), index: older.index))
                trial.removable.append(FileName.snapshot(named: older))
            }
            guard damaged.isEmpty else {
                self = trial
                break
            }
            do throws(JournalError) {
                let plan = try RecoveryPlan.make(&trial, base: position)
                // Newer ones that the log does not lead on from: what they were to replace is still there.
                trial.removable += snapshots.prefix(number).map { FileName.snapshot(named: $0) }
                self = trial
                return (base, plan)
            } catch {
                guard case .corrupt = error else { throw error }
                unfit = unfit ?? error
            }
        }
        if let unfit { throw unfit }
        guard let newest = damaged.first else { return (nil, try RecoveryPlan.make(&self, base: .zero)) }
        let refusal = Finding(.badSnapshot, file: FileName.snapshot(named: newest), index: newest.index)
        let plan: RecoveryPlan
        do throws(JournalError) { plan = try RecoveryPlan.make(&self, base: base?.position ?? .zero) } catch {
            guard case .corrupt = error else { throw error }
            throw .corrupt(refusal)
        }
        // Only a log that passes through the very entry that the damaged snapshot stood for leads to the same state.
        guard plan.epoch(at: newest.index) == newest.epoch else { throw .corrupt(refusal) }
        for position in damaged {
            findings.append(
                Finding(
                    .badSnapshotWithFallback, file: FileName.snapshot(named: position), index: position.index))
        }
        return (base, plan)
    }
}
