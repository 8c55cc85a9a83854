import TupleCore
public import TupleStore
public import WireProtocol

/// Why an entry of the log cannot be applied to a copy.
public enum EntryError: Error, Hashable, Sendable, CustomStringConvertible {
    case unreadable(DecodingError)
    /// The copy is not what the entry was made for, and must not be used any more.
    case unfit(ReplicatedState.ApplyError)

    public var description: String {
        switch self {
        case .unreadable(let error): "an entry cannot be read: \(error)"
        case .unfit(let error): "an entry does not fit: \(error)"
        }
    }
}

extension ReplicatedState {
    /// Applies the next entry of the log in its bytes.
    ///
    /// - Throws: ``EntryError``; a part of the entry may have been applied then.
    /// - Complexity: O(bytes), and what the space needs for each pair.
    public mutating func apply(encoded bytes: ArraySlice<UInt8>) throws(EntryError) {
        if applyPairs(bytes) { return }
        let entry: LogEntry
        do throws(DecodingError) { entry = try LogEntry(decoding: bytes) } catch { throw .unreadable(error) }
        do throws(ApplyError) { try apply(entry) } catch { throw .unfit(error) }
    }

    /// The same for an entry of pairs, of which nothing is taken out of the bytes.
    ///
    /// - Returns: false where it is anything else, or does not fit.
    private mutating func applyPairs(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.withUnsafeBytes { bytes in
            guard let entry = PairEntry(bytes), isFollowed(by: entry.position) else { return false }
            var ways = PackedMap.Ways()
            let isApplied = entry.forEachGroup { updates in
                prefetch(updates, finding: &ways)
                for (number, update) in updates.enumerated() {
                    guard apply(update, along: ways[number], time: entry.time) else { return false }
                }
                return true
            }
            guard isApplied else { return false }
            finish(entry.position, time: entry.time)
            return true
        }
    }
}
