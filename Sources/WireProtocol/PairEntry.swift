public import TupleCore

/// An encoded log entry of updates of one pair each, read in place.
public struct PairEntry {
    public let position: LogPosition
    public let time: Int64
    private let count: Int
    private let bytes: UnsafeRawBufferPointer

    /// Position, time, kind, how many.
    static let prefixBytes = 16 + 8 + 1 + 4

    /// - Returns: nil where the entry is anything else, or too short: ``LogEntry/init(decoding:)`` tells.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= PairEntry.prefixBytes, bytes[24] == LogEntry.Kind.pairs else { return nil }
        func number(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        guard max(number(0), number(8)) <= Limits.maximumNumber else { return nil }
        position = LogPosition(epoch: Epoch(number(0)), index: LogIndex(number(8)))
        time = Int64(bitPattern: number(16))
        count = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 25, as: UInt32.self)))
        self.bytes = bytes
    }

    /// Hands the updates to `body` in their order, a group at a time, until it returns false.
    ///
    /// - Returns: whether all were handed over, and the entry is well-formed.
    public func forEachGroup(_ body: (UnsafeBufferPointer<PackedPairUpdate>) -> Bool) -> Bool {
        var reader = PairReader(bytes: bytes, rule: .text)
        reader.at = PairEntry.prefixBytes
        return PackedPairUpdate.withGroup { group in
            var left = count
            while left > 0 {
                let size = min(group.count, left)
                for offset in 0..<size {
                    guard let update = reader.update() else { return false }
                    group[offset] = update
                }
                guard body(UnsafeBufferPointer(rebasing: group[..<size])) else { return false }
                left -= size
            }
            return reader.isAtEnd
        }
    }
}

extension PackedPairUpdate {
    /// As many as the processor can fetch memory for at a time, about.
    private static let groupSize = 16

    static func withGroup<R>(_ body: (UnsafeMutableBufferPointer<PackedPairUpdate>) -> R) -> R {
        // Its elements are trivial: they need be neither initialized nor destroyed.
        withUnsafeTemporaryAllocation(of: PackedPairUpdate.self, capacity: groupSize) { body($0) }
    }
}
