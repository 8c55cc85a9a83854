public import TupleCore

/// An open segment of the log.
struct Segment: Sendable {
    var first: LogIndex
    var name: String
    var file: any StorageFile
    var bytes: Int
    var generation: UInt64
    var previousEpoch: Epoch
}

/// Reads entries in order: for replay at start, and for a peer that catches up. It may be used on another thread than
/// the writer's; every entry is checked as it is read.
public struct LogCursor: Sendable {
    private(set) var segments: [Segment]
    let generation: UInt64
    /// The last entry that will be read.
    public internal(set) var through: LogIndex
    /// The last entry that was read.
    public private(set) var position: LogPosition
    private var window: FileWindow?
    private var offset = SegmentFormat.headerBytes

    /// - Parameter segments: at least those that hold `position.index + 1` to `through`.
    init(segments: [Segment], generation: UInt64, after position: LogPosition, through: LogIndex) {
        self.segments = segments
        self.generation = generation
        self.through = through
        self.position = position
    }

    /// The next entry, or nil after the last one.
    /// - Throws: `.corrupt` where an entry does not match its checksums; `.storage`.
    public mutating func next() throws(JournalError) -> JournalRecord? {
        while position.index < through {
            while segments.count > 1, segments[1].first <= position.index.next {
                segments.removeFirst()
                window = nil
                offset = SegmentFormat.headerBytes
            }
            guard let segment = segments.first, segment.first <= position.index.next else {
                throw .positionNotHeld(position.index.next)
            }
            if window == nil { window = try FileWindow(segment.file, name: segment.name) }
            guard case .valid(let header, let at)? = try window?.record(at: offset, segment: segment.first),
                let bytes = window?.bytes
            else {
                throw .corrupt(
                    Finding(.badRecordBody, file: segment.name, offset: offset, index: position.index.next))
            }
            offset += header.footprint
            guard header.kind == .entry, header.position.index > position.index else { continue }
            guard header.position.index == position.index.next else {
                throw .corrupt(Finding(.wrongIndex, file: segment.name, offset: offset, index: header.position.index))
            }
            position = header.position
            let body = at + SegmentFormat.recordHeaderBytes
            return JournalRecord(position, payload: Array(bytes[body..<body + header.payloadBytes]))
        }
        return nil
    }

    /// Reads no further than this entry.
    public mutating func stop(at index: LogIndex) { through = min(through, index) }

    /// Lets the cursor see what was written since. `current` are the writer's segments.
    mutating func extend(_ current: [Segment], generation: UInt64, through: LogIndex) throws(JournalError) {
        guard generation == self.generation, through >= self.through else { throw .superseded }
        guard let oldest = current.first, let held = segments.first, let newestHeld = segments.last,
            newestHeld.first >= oldest.first
        else { throw .superseded }
        // Released segments stay readable through the cursor's own references.
        segments = segments.filter { $0.first < oldest.first } + current.filter { $0.first >= held.first }
        self.through = through
        window?.forget()
    }
}
