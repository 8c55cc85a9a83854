public import TupleCore

/// A pass over all that a data directory needs to hold, which reads every byte again and checks it. It may be used on
/// any one thread at a time, beside the writer; what the writer drops meanwhile stays readable for it.
public struct Scrub: Sendable {
    /// What a step has come to.
    public enum Outcome: Sendable {
        case goOn
        /// The file is not what was written, for this reason; the pass goes on behind it.
        case damaged(file: String, JournalError)
        case done
    }

    private struct Part: Sendable {
        var segment: Segment
        /// The last entry in it that has to be there.
        var through: LogIndex
    }

    /// About how much one step reads.
    static let stepBytes = 1_048_576

    private let storage: any Storage
    private var parts: ArraySlice<Part>
    private var snapshot: LogPosition?
    private var reader: SnapshotReader?
    // Where the walk over the first part stands.
    private var window: FileWindow?
    private var offset = SegmentFormat.headerBytes
    private var last = LogIndex.zero

    init(storage: any Storage, segments: [Segment], durable: LogIndex, snapshot: LogPosition?) {
        self.storage = storage
        self.snapshot = snapshot
        var parts: [Part] = []
        for (number, segment) in segments.enumerated() {
            let end = number + 1 < segments.count ? LogIndex(segments[number + 1].first.number - 1) : durable
            parts.append(Part(segment: segment, through: min(end, durable)))
        }
        self.parts = parts.filter { $0.through >= $0.segment.first }[...]
    }

    /// Reads and checks the next piece. Blocks.
    public mutating func step() -> Outcome {
        if let snapshot {
            do throws(JournalError) {
                if try stepSnapshot(snapshot) { self.snapshot = nil }
                return .goOn
            } catch {
                self.snapshot = nil
                return .damaged(file: FileName.snapshot(named: snapshot), error)
            }
        }
        guard let part = parts.first else { return .done }
        do throws(JournalError) {
            if try stepSegment(part) { leave() }
            return .goOn
        } catch {
            leave()
            return .damaged(file: part.segment.name, error)
        }
    }

    private mutating func leave() {
        parts.removeFirst()
        window = nil
    }

    /// - Returns: whether the snapshot has been read to its end.
    private mutating func stepSnapshot(_ position: LogPosition) throws(JournalError) -> Bool {
        var reader: SnapshotReader
        if let known = self.reader {
            reader = known
        } else {
            reader = try SnapshotReader(storage: storage, position: position, isFromDevice: true)
        }
        var bytes = 0
        while bytes < Self.stepBytes {
            guard let chunk = try reader.next() else { return true }
            bytes += chunk.count
        }
        self.reader = reader
        return false
    }

    /// - Returns: whether all that has to be in the segment has been read.
    private mutating func stepSegment(_ part: Part) throws(JournalError) -> Bool {
        let segment = part.segment
        var window: FileWindow
        if let known = self.window {
            window = known
        } else {
            window = try FileWindow(segment.file, name: segment.name, isFromDevice: true)
            offset = SegmentFormat.headerBytes
            last = LogIndex(segment.first.number - 1)
            guard let start = try window.load(at: 0, count: SegmentFormat.headerBytes),
                case .valid(let header) = SegmentHeader.decode(
                    Array(window.bytes[start..<start + SegmentFormat.headerBytes]), named: segment.first),
                header.generation == segment.generation, header.previousEpoch == segment.previousEpoch
            else { throw .corrupt(Finding(.badSegmentHeader, file: segment.name, offset: 0, index: segment.first)) }
        }
        let begin = offset
        while last < part.through, offset - begin < Self.stepBytes {
            guard case .valid(let header, _) = try window.record(at: offset, segment: segment.first),
                header.kind == .mark || header.position.index == last.next
            else { throw .corrupt(Finding(.badRecordBody, file: segment.name, offset: offset, index: last.next)) }
            if header.kind == .entry { last = header.position.index }
            offset += header.footprint
        }
        self.window = window
        return last >= part.through
    }
}

extension JournalWriter {
    /// A pass over what is durable now.
    /// - Parameter snapshot: the position of the newest snapshot; nil where there is none.
    public func scrub(snapshot: LogPosition?) -> Scrub {
        Scrub(storage: storage, segments: segments, durable: durable.index, snapshot: snapshot)
    }

    /// Whether a file is among those of the log.
    public func uses(file name: String) -> Bool { segments.contains { $0.name == name } }

    /// Goes on in a new segment although the present one has room, so that this one can be dropped. What was prepared
    /// has to be there: see `hasSpare`.
    public func beginSegment() throws(JournalError) {
        try checkUsable()
        guard end.index >= segments[segments.count - 1].first else { return }
        try rotate(toHold: 0)
    }

    /// Whether a segment is ready.
    public var hasSpare: Bool { if case .ready = spare { true } else { false } }
}
