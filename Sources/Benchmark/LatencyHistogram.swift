/// Counts of durations in buckets whose width grows with the duration: 128 for each power of two, so that a value is
/// known to within 0.8 %, from a nanosecond to 292 years, in constant memory.
struct LatencyHistogram {
    private static let bitsPerPower = 7
    private static let perPower = 1 << bitsPerPower

    private var counts = [UInt64](repeating: 0, count: perPower * (64 - bitsPerPower + 1))
    private(set) var count: UInt64 = 0
    private(set) var maximum: UInt64 = 0

    /// - Parameter nanoseconds: of one operation.
    /// - Complexity: O(1), without allocation.
    mutating func record(_ nanoseconds: UInt64) {
        counts[LatencyHistogram.bucket(nanoseconds)] += 1
        count += 1
        maximum = max(maximum, nanoseconds)
    }

    mutating func add(_ other: LatencyHistogram) {
        for bucket in counts.indices { counts[bucket] += other.counts[bucket] }
        count += other.count
        maximum = max(maximum, other.maximum)
    }

    mutating func removeAll() {
        counts.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        count = 0
        maximum = 0
    }

    /// The smallest bucket's upper end below which at least the fraction of all values lies, in nanoseconds; never more
    /// than the largest value. 0 where nothing was recorded.
    ///
    /// - Parameter fraction: 0 to 1.
    func quantile(_ fraction: Double) -> UInt64 {
        guard count > 0 else { return 0 }
        let wanted = max(1, UInt64((fraction * Double(count)).rounded(.up)))
        var seen: UInt64 = 0
        for bucket in counts.indices {
            seen += counts[bucket]
            if seen >= wanted { return min(maximum, LatencyHistogram.upperEnd(bucket)) }
        }
        return maximum
    }

    static func bucket(_ value: UInt64) -> Int {
        guard value >= UInt64(perPower) else { return Int(value) }
        let shift = 63 - bitsPerPower - value.leadingZeroBitCount
        return (shift + 1) << bitsPerPower + Int(value >> UInt64(shift)) - perPower
    }

    /// The largest value that falls into the bucket.
    static func upperEnd(_ bucket: Int) -> UInt64 {
        guard bucket >= perPower else { return UInt64(bucket) }
        let shift = UInt64(bucket >> bitsPerPower - 1)
        let lowest = UInt64(bucket & (perPower - 1) + perPower) << shift
        return lowest + (1 << shift - 1)
    }
}
