import TupleCore

/// The last entries of the log, kept in memory for followers that are a little behind.
struct LogTail: Sendable {
    /// The position before the first kept entry.
    private(set) var base: LogPosition
    private(set) var byteCount = 0
    private var entries: [JournalEntry] = []
    private var begin = 0

    init(base: LogPosition) { self.base = base }

    var last: LogPosition { entries.count > begin ? entries[entries.count - 1].position : base }

    /// - Precondition: the entry follows the last one.
    mutating func append(_ entry: JournalEntry) {
        precondition(entry.position.index == last.index.next, "the tail has no gaps")
        entries.append(entry)
        byteCount += entry.bytes.count
    }

    /// Drops entries from the front: those that nobody needs until at most `rest` bytes are left, others until at most
    /// `most` bytes are left.
    ///
    /// - Parameter needed: the entries after this one are needed.
    mutating func trim(neededAfter needed: LogIndex, rest: Int, most: Int) {
        while begin < entries.count {
            guard byteCount > (entries[begin].position.index <= needed ? rest : most) else { break }
            byteCount -= entries[begin].bytes.count
            base = entries[begin].position
            entries[begin].bytes = []
            begin += 1
        }
        if begin > 1_024, begin > entries.count / 2 {
            entries.removeSubrange(..<begin)
            begin = 0
        }
    }

    /// Whether the log holds an entry at exactly this position, or begins right after it.
    func contains(_ position: LogPosition) -> Bool {
        #if PLANTED_BUGS
            if PlantedBug.keepTheUnansweredTail.isOn { return self.position(at: position.index) != nil }
        #endif
        return self.position(at: position.index) == position
    }

    private func position(at index: LogIndex) -> LogPosition? {
        if index == base.index { return base }
        guard index > base.index, index <= last.index else { return nil }
        return entries[begin + Int(index.number - base.index.number) - 1].position
    }

    /// The entries after `position`, up to about `limit` bytes but at least one where there is one; nil where they are
    /// not all there any more.
    func entries(after index: LogIndex, bytes limit: Int) -> (previous: LogPosition, entries: ArraySlice<JournalEntry>)?
    {
        guard let previous = position(at: index) else { return nil }
        let first = begin + Int(index.number - base.index.number)
        var end = first
        var bytes = 0
        while end < entries.count, end == first || bytes + entries[end].bytes.count <= limit {
            bytes += entries[end].bytes.count
            end += 1
        }
        return (previous, entries[first..<end])
    }
}
