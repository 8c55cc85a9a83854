import TupleCore

/// The names in a data directory.
enum FileName: Equatable {
    case segment(LogIndex)
    case snapshot(LogPosition)
    /// Something unfinished; no name ever depends on it.
    case temporary
    /// A `DurableRecord`, or the file that it has made ahead for its next content.
    case record
    case unknown

    static let temporarySuffix = ".tmp"
    static let recordSuffix = ".record"

    static func parse(_ name: String) -> FileName {
        if name.hasSuffix(recordSuffix + temporarySuffix) { return .record }
        if name.hasSuffix(temporarySuffix) { return .temporary }
        if name.hasSuffix(recordSuffix) { return .record }
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        if parts.count == 2, parts[0] == "log", let index = index(parts[1]), index.number >= 1 {
            return .segment(index)
        }
        if parts.count == 3, parts[0] == "snapshot", let index = index(parts[1]), let epoch = UInt64(parts[2]),
            String(epoch) == parts[2]
        {
            return .snapshot(LogPosition(epoch: Epoch(epoch), index: index))
        }
        return .unknown
    }

    static func segment(named first: LogIndex) -> String { "log-" + digits(first) }

    static func snapshot(named position: LogPosition) -> String {
        "snapshot-" + digits(position.index) + "-" + String(position.epoch.number)
    }

    private static func digits(_ index: LogIndex) -> String {
        let text = String(index.number)
        return String(repeating: "0", count: 20 - text.count) + text
    }

    private static func index(_ text: Substring) -> LogIndex? {
        guard text.utf8.count == 20, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let number = UInt64(text),
            number <= SegmentFormat.maximumIndex
        else { return nil }
        return LogIndex(number)
    }
}
