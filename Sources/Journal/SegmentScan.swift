import TupleCore

/// A file read through a buffer, a quarter of a megabyte at a time.
struct FileWindow {
    static let windowBytes = 262_144

    let file: any StorageFile
    let name: String
    /// Whether what the system has cached is passed over.
    let isFromDevice: Bool
    private(set) var size: Int
    private(set) var bytes: [UInt8] = []
    private var base = 0

    init(_ file: any StorageFile, name: String, isFromDevice: Bool = false) throws(JournalError) {
        self.file = file
        self.name = name
        self.isFromDevice = isFromDevice
        size = try attempt { () throws(StorageError) in try file.size() }
    }

    /// Forgets what is buffered, because the file may have been written since.
    mutating func forget() {
        bytes = []
        base = 0
    }

    /// Brings a range of the file into `bytes`; the answer is where in `bytes` it begins, or nil where the file ends
    /// before.
    mutating func load(at offset: Int, count: Int) throws(JournalError) -> Int? {
        guard offset >= 0, count >= 0, offset <= size, count <= size - offset else { return nil }
        if offset >= base, offset + count <= base + bytes.count { return offset - base }
        let wanted = min(max(count, Self.windowBytes), size - offset)
        let file = self.file
        if isFromDevice { file.forgetCache(at: offset, count: wanted) }
        bytes = try attempt { () throws(StorageError) in try file.read(at: offset, count: wanted) }
        base = offset
        guard bytes.count == wanted else {
            throw .storage(StorageError(.read, name: name, reason: .inputOutput))
        }
        return 0
    }
}

/// One look at a record's place.
enum RecordAtPlace {
    case valid(RecordHeader, at: Int)
    /// Zeros where a record would begin, or the end of the file.
    case nothing
    case badHeader(torn: Bool)
    case badBody(RecordHeader, torn: Bool)
}

extension FileWindow {
    /// What is at `offset`. Where the answer is `.valid`, the whole record is in `bytes`.
    mutating func record(at offset: Int, segment: LogIndex) throws(JournalError) -> RecordAtPlace {
        guard let word = try load(at: offset, count: SegmentFormat.wordBytes) else { return .nothing }
        if bytes.isZero(word..<word + SegmentFormat.wordBytes) { return .nothing }
        guard let start = try load(at: offset, count: SegmentFormat.recordHeaderBytes) else {
            return .badHeader(torn: false)
        }
        guard let header = RecordHeader.decode(bytes, at: start, segment: segment, offset: offset) else {
            return .badHeader(torn: looksTorn(at: start, offset: offset, count: SegmentFormat.recordHeaderBytes))
        }
        guard let whole = try load(at: offset, count: header.footprint) else { return .badBody(header, torn: false) }
        guard header.bodyIsIntact(bytes, at: whole, segment: segment, offset: offset) else {
            #if PLANTED_BUGS
                if PlantedBug.trustTornRecords.isOn { return .valid(header, at: whole) }
            #endif
            return .badBody(header, torn: looksTorn(at: whole, offset: offset, count: header.footprint))
        }
        return .valid(header, at: whole)
    }

    /// Whether a write that did not reach the disk completely explains what is there: then some sector, or the rear of
    /// one, still has the zeros of the fresh segment. Processors store whole words, and no record ends with a zero word.
    private func looksTorn(at start: Int, offset: Int, count: Int) -> Bool {
        let end = offset + count
        var sector = offset / SegmentFormat.sectorBytes * SegmentFormat.sectorBytes
        while sector < end {
            let portionEnd = min(sector + SegmentFormat.sectorBytes, end)
            let word = start + portionEnd - offset - SegmentFormat.wordBytes
            if bytes.isZero(word..<word + SegmentFormat.wordBytes) { return true }
            sector += SegmentFormat.sectorBytes
        }
        return false
    }
}

/// What a segment holds, from its first record to where the records end.
struct SegmentScan {
    enum Stop: Equatable {
        /// The next segment takes over from here.
        case nextSegment
        /// Zeros, or the end of the file, where the next record would be.
        case nothing
        case torn
        case bad(RecoveryCondition)
    }

    var stop: Stop = .nothing
    /// The last entry; before the first record, the position before the segment.
    var last: LogPosition
    /// Where the next record would begin.
    var endOffset = SegmentFormat.headerBytes
    /// The highest index that any intact record says was durable, those beyond the stop included.
    var durable = LogIndex.zero
    /// Whether intact records follow the stop.
    var recordsFollow = false
    /// Whether anything but zeros follows the stop.
    var bytesFollow = false
    /// Each epoch with its first entry in this segment.
    var epochs: [LogPosition] = []

    /// - Parameter end: the index at which the next segment takes over; nil in the last one.
    /// - Complexity: O(bytes of the file).
    static func run(
        _ window: inout FileWindow, first: LogIndex, previousEpoch: Epoch, end: LogIndex?
    ) throws(JournalError) -> SegmentScan {
        var scan = SegmentScan(last: LogPosition(epoch: previousEpoch, index: LogIndex(first.number - 1)))
        #if PLANTED_BUGS
            var beforeTheLast: SegmentScan?
        #endif
        scanning: while true {
            if let end, scan.last.index.next >= end {
                scan.stop = .nextSegment
                return scan
            }
            switch try window.record(at: scan.endOffset, segment: first) {
            case .valid(let header, _):
                #if PLANTED_BUGS
                    beforeTheLast = scan
                #endif
                if let problem = scan.accept(header) {
                    scan.stop = .bad(problem)
                    break scanning
                }
                scan.endOffset += header.footprint
            case .nothing:
                #if PLANTED_BUGS
                    if PlantedBug.loseTheTail.isOn, end == nil, var shorter = beforeTheLast {
                        shorter.stop = .nothing
                        return shorter
                    }
                #endif
                scan.stop = .nothing
                break scanning
            case .badHeader(let torn):
                scan.stop = torn ? .torn : .bad(.badRecordHeader)
                break scanning
            case .badBody(let header, let torn):
                scan.durable = max(scan.durable, header.durable)
                scan.stop = torn ? .torn : .bad(.badRecordBody)
                break scanning
            }
        }
        try scan.search(&window, first: first)
        return scan
    }

    private mutating func accept(_ header: RecordHeader) -> RecoveryCondition? {
        durable = max(durable, header.durable)
        switch header.kind {
        case .mark:
            if header.position.index != last.index { return .wrongIndex }
        case .entry:
            if header.position.index != last.index.next { return .wrongIndex }
            if header.position.epoch < last.epoch { return .olderEpoch }
            if epochs.isEmpty || header.position.epoch != last.epoch { epochs.append(header.position) }
            last = header.position
        }
        return nil
    }

    /// Looks for intact record headers behind the stop: they tell what had been durable.
    private mutating func search(_ window: inout FileWindow, first: LogIndex) throws(JournalError) {
        var offset = endOffset
        while offset < window.size {
            let stretch = min(FileWindow.windowBytes, window.size - offset)
            guard let start = try window.load(at: offset, count: stretch) else { return }
            if window.bytes.isZero(start..<start + stretch) {
                offset += stretch
                continue
            }
            bytesFollow = true
            let stretchEnd = offset + stretch
            while offset < stretchEnd {
                guard let at = try window.load(at: offset, count: min(8, window.size - offset)) else { return }
                guard window.size - offset >= SegmentFormat.recordHeaderBytes,
                    window.bytes[at] == UInt8(truncatingIfNeeded: SegmentFormat.entryMagic)
                        || window.bytes[at] == UInt8(truncatingIfNeeded: SegmentFormat.markMagic),
                    let whole = try window.load(at: offset, count: SegmentFormat.recordHeaderBytes),
                    let header = RecordHeader.decode(window.bytes, at: whole, segment: first, offset: offset)
                else {
                    offset += SegmentFormat.wordBytes
                    continue
                }
                recordsFollow = recordsFollow || offset > endOffset
                durable = max(durable, header.durable)
                offset += SegmentFormat.wordBytes
            }
        }
    }
}
