import TupleCore

/// What recovery is going to use of the log, decided before anything is changed.
struct RecoveryPlan {
    enum Log {
        /// A new log begins after the base, and all segments go.
        case fresh
        /// The segments that are used; `endOffset` is where the records end in the last one.
        case continued([Segment], endOffset: Int, cut: Bool)
    }

    var log: Log = .fresh
    var start: LogPosition
    var end: LogPosition
    /// Each epoch with its first entry.
    var epochs: [LogPosition] = []
    var removable: [String] = []
    var findings: [Finding] = []

    /// The epoch of an entry that the log holds.
    func epoch(at index: LogIndex) -> Epoch? {
        guard case .continued = log, index >= start.index, index <= end.index else { return nil }
        if index == start.index { return start.epoch }
        return epochs.last { $0.index <= index }?.epoch
    }

    /// - Parameter base: the position of the snapshot that is going to be used, or zero.
    static func make(_ inventory: inout Inventory, base: LogPosition) throws(JournalError) -> RecoveryPlan {
        var plan = RecoveryPlan(start: base, end: base)
        guard let from = inventory.start(for: base) else {
            try plan.checkThatNothingIsMissing(&inventory, base: base)
            return plan
        }
        var chain: [(found: FoundSegment, header: SegmentHeader)] = []
        var torn: [FoundSegment] = []
        for found in inventory.segments[from...] {
            switch found.header {
            case .valid(let header): chain.append((found, header))
            case .torn: torn.append(found)
            case .bad, .unknownVersion:
                throw .corrupt(Finding(.badSegmentHeader, file: found.name, offset: 0, index: found.first))
            }
        }
        var walk = Walk(start: LogPosition(epoch: chain[0].header.previousEpoch, index: base.index))
        try walk.run(&chain)
        try walk.examine(&torn)
        try plan.judge(walk, chain, torn)
        try plan.compare(walk, chain, base: base)
        if case .continued = plan.log { try plan.addCovered(&inventory, before: from) }
        return plan
    }

    /// There is no segment with an intact header in which the entry after the base could be.
    private mutating func checkThatNothingIsMissing(
        _ inventory: inout Inventory, base: LogPosition
    ) throws(JournalError) {
        guard !inventory.segments.isEmpty else {
            findings.append(Finding(base == .zero ? .emptyDirectory : .snapshotWithoutLog))
            return
        }
        // The entry after the base may have begun a segment of which the header never reached the disk, while segments
        // behind it did. That is so only if nothing behind it says that the entry had been durable.
        var durable = LogIndex.zero
        var mayBeUnsynced = false
        for index in inventory.segments.indices {
            let found = inventory.segments[index]
            var previousEpoch = Epoch.zero
            switch found.header {
            case .torn:
                mayBeUnsynced = mayBeUnsynced || found.first <= base.index.next
                findings.append(Finding(.tornSegmentHeader, file: found.name, offset: 0, index: found.first))
            case .bad, .unknownVersion:
                throw .corrupt(Finding(.badSegmentHeader, file: found.name, offset: 0, index: found.first))
            case .valid(let header):
                guard mayBeUnsynced else {
                    throw .corrupt(Finding(.missingSnapshot, file: found.name, index: base.index.next))
                }
                findings.append(Finding(.lostUnsyncedRecords, file: found.name, offset: 0, index: found.first))
                durable = max(durable, header.durable)
                previousEpoch = header.previousEpoch
            }
            let scan = try SegmentScan.run(
                &inventory.segments[index].window, first: found.first, previousEpoch: previousEpoch, end: nil)
            durable = max(durable, scan.durable)
            guard durable <= base.index else {
                throw .corrupt(Finding(.durableRecordsLost, file: found.name, index: base.index.next))
            }
        }
    }

    /// Decides what the place where the records end means.
    private mutating func judge(
        _ walk: Walk, _ chain: [(found: FoundSegment, header: SegmentHeader)], _ torn: [FoundSegment]
    ) throws(JournalError) {
        let last = chain[walk.stoppedAt]
        let later = chain[(walk.stoppedAt + 1)...]
        let expected = walk.last.index.next
        var place = Finding(.cleanEnd, file: last.found.name, offset: walk.scan.endOffset, index: expected)
        switch walk.scan.stop {
        case .bad(let condition):
            place.condition = condition
            throw .corrupt(place)
        case .nothing, .torn, .nextSegment:
            guard walk.durable < expected else {
                let isGap = walk.scan.stop == .nothing && !walk.scan.bytesFollow && !later.isEmpty
                place.condition = isGap ? .gapBetweenSegments : .durableRecordsLost
                throw .corrupt(place)
            }
        }
        let isCut = walk.scan.stop == .torn || walk.scan.bytesFollow || !later.isEmpty
        if isCut { place.condition = walk.scan.recordsFollow || !later.isEmpty ? .lostUnsyncedRecords : .tornTail }
        findings.append(place)
        for found in torn {
            findings.append(Finding(.tornSegmentHeader, file: found.name, offset: 0, index: found.first))
        }
        removable += later.map(\.found.name) + torn.map(\.name)
        epochs = walk.epochs
        start = walk.start
        end = walk.last
        log = .continued(
            chain[...walk.stoppedAt].map { $0.found.segment($0.header) }, endOffset: walk.scan.endOffset, cut: isCut)
    }

    /// Decides whether the log continues the base.
    private mutating func compare(
        _ walk: Walk, _ chain: [(found: FoundSegment, header: SegmentHeader)], base: LogPosition
    ) throws(JournalError) {
        let name = chain[0].found.name
        if end.index < base.index {
            findings.append(Finding(.logEndsBeforeSnapshot, file: name, index: base.index))
        } else if let epoch = epoch(at: base.index), epoch != base.epoch {
            guard base.epoch > epoch else {
                throw .corrupt(Finding(.logContradictsSnapshot, file: name, index: base.index))
            }
            findings.append(Finding(.logOfAnotherHistory, file: name, index: base.index))
        } else {
            return
        }
        self = RecoveryPlan(start: base, end: base, findings: findings)
    }

    /// Takes in front what the snapshot covers, as far back as it is intact: peers catch up from it.
    private mutating func addCovered(_ inventory: inout Inventory, before from: Int) throws(JournalError) {
        guard case .continued(var segments, let endOffset, let cut) = log else { return }
        var isIntact = true
        for index in inventory.segments.indices[..<from].reversed() {
            let name = inventory.segments[index].name
            if isIntact, case .valid(let header) = inventory.segments[index].header {
                let scan = try SegmentScan.run(
                    &inventory.segments[index].window, first: header.firstIndex, previousEpoch: header.previousEpoch,
                    end: start.index.next)
                if scan.stop == .nextSegment, scan.last == start {
                    segments.insert(inventory.segments[index].segment(header), at: 0)
                    epochs = Walk.joined(scan.epochs, epochs)
                    start = LogPosition(epoch: header.previousEpoch, index: LogIndex(header.firstIndex.number - 1))
                    continue
                }
            }
            isIntact = false
            findings.append(Finding(.damagedCoveredSegment, file: name, index: inventory.segments[index].first))
            removable.append(name)
        }
        log = .continued(segments, endOffset: endOffset, cut: cut)
    }

    /// Changes the directory to what was decided; a crash at any point leaves a directory about which the same is decided.
    func carryOut(
        _ storage: any Storage, _ settings: JournalSettings, base: SnapshotReader?, inventory: Inventory,
        findings: inout [Finding]
    ) throws(JournalError) -> JournalWriter {
        let removable = inventory.removable + removable
        try attempt { () throws(StorageError) in
            for name in removable.sorted().reversed() { try storage.remove(name) }
            try storage.syncDirectory()
        }
        switch log {
        case .fresh:
            let writer = JournalWriter(
                storage: storage, settings: settings, segments: [], writeOffset: 0, start: start, end: end, epochs: [])
            writer.generation = inventory.highestGeneration
            try writer.beginGeneration(after: start)
            let fresh = FileName.segment(named: start.index.next)
            try attempt { () throws(StorageError) in
                for found in inventory.segments.reversed() where found.name != fresh { try storage.remove(found.name) }
                try storage.syncDirectory()
            }
            return writer
        case .continued(let segments, let endOffset, let cut):
            let current = segments[segments.count - 1]
            if cut { try Self.zero(current, from: endOffset) }
            try attempt { () throws(StorageError) in
                for segment in segments { try segment.file.sync() }
            }
            return JournalWriter(
                storage: storage, settings: settings, segments: segments, writeOffset: endOffset, start: start,
                end: end, epochs: epochs)
        }
    }

    /// Overwrites what follows the last record, because a tail is recognised by the zeros it was written over.
    private static func zero(_ segment: Segment, from offset: Int) throws(JournalError) {
        let zeros = [UInt8](repeating: 0, count: FileWindow.windowBytes)
        try attempt { () throws(StorageError) in
            var at = offset
            while at < segment.bytes {
                let count = min(zeros.count, segment.bytes - at)
                try segment.file.write(zeros.span.extracting(0..<count).bytes, at: at)
                at += count
            }
            try segment.file.sync()
        }
    }
}

extension Inventory {
    /// The last segment in which the entry after `base` could be.
    func start(for base: LogPosition) -> Int? {
        segments.lastIndex { found in
            guard case .valid = found.header else { return false }
            return found.first <= base.index.next
        }
    }
}

/// A walk over the segments from the first one that matters to where the records end.
struct Walk {
    /// The position before the first record.
    var start: LogPosition
    var last: LogPosition
    var stoppedAt = 0
    var scan: SegmentScan
    /// The highest index that anything intact says was durable.
    var durable = LogIndex.zero
    var epochs: [LogPosition] = []

    init(start: LogPosition) {
        self.start = start
        last = start
        scan = SegmentScan(last: start)
    }

    static func joined(_ earlier: [LogPosition], _ later: [LogPosition]) -> [LogPosition] {
        guard let before = earlier.last, let next = later.first, before.epoch == next.epoch else {
            return earlier + later
        }
        return earlier + later.dropFirst()
    }

    mutating func run(_ chain: inout [(found: FoundSegment, header: SegmentHeader)]) throws(JournalError) {
        start = LogPosition(
            epoch: chain[0].header.previousEpoch, index: LogIndex(chain[0].header.firstIndex.number - 1))
        last = start
        var hasStopped = false
        for index in chain.indices {
            let header = chain[index].header
            durable = max(durable, header.durable)
            if !hasStopped, header.previousEpoch != last.epoch {
                throw .corrupt(Finding(.olderEpoch, file: chain[index].found.name, offset: 0, index: header.firstIndex))
            }
            let next = index + 1 < chain.count ? chain[index + 1].header.firstIndex : nil
            let found = try SegmentScan.run(
                &chain[index].found.window, first: header.firstIndex, previousEpoch: header.previousEpoch, end: next)
            durable = max(durable, found.durable)
            guard !hasStopped else { continue }
            scan = found
            stoppedAt = index
            last = found.last
            epochs = Self.joined(epochs, found.epochs)
            hasStopped = found.stop != .nextSegment
        }
    }

    /// Looks into segments whose header never reached the disk: records in them still tell what was durable.
    mutating func examine(_ torn: inout [FoundSegment]) throws(JournalError) {
        for index in torn.indices {
            let found = try SegmentScan.run(
                &torn[index].window, first: torn[index].first, previousEpoch: .zero, end: nil)
            durable = max(durable, found.durable)
        }
    }
}
