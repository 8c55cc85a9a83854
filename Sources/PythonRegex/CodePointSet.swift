/// A set of code points as sorted ranges that neither touch nor overlap.
struct CodePointSet: Equatable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    init() {}

    /// - Complexity: O(*n* log *n*).
    init(_ unsorted: [ClosedRange<UInt32>]) {
        for range in unsorted.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = ranges.last, range.lowerBound <= last.upperBound &+ 1 {
                guard range.upperBound > last.upperBound else { continue }
                ranges[ranges.count - 1] = last.lowerBound...range.upperBound
            } else {
                ranges.append(range)
            }
        }
    }

    /// From pairs of first and last, as the tables have them.
    init(pairs: [UInt32]) {
        self.init(stride(from: 0, to: pairs.count, by: 2).map { pairs[$0]...pairs[$0 + 1] })
    }

    init(_ points: [UInt32]) { self.init(points.map { $0...$0 }) }

    var isEmpty: Bool { ranges.isEmpty }

    static let everything = CodePointSet([0...CodePoint.last.value])
    private static let surrogates = CodePointSet([0xD800...0xDFFF])

    /// - Complexity: O(log *n*).
    func contains(_ point: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < point { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].lowerBound <= point
    }

    func union(_ other: CodePointSet) -> CodePointSet { CodePointSet(ranges + other.ranges) }

    /// All code points that are not in it.
    var complement: CodePointSet {
        var result = CodePointSet()
        var start: UInt32 = 0
        for range in ranges {
            if range.lowerBound > start { result.ranges.append(start...(range.lowerBound - 1)) }
            start = range.upperBound + 1
        }
        if start <= CodePoint.last.value { result.ranges.append(start...CodePoint.last.value) }
        return result
    }

    func subtracting(_ other: CodePointSet) -> CodePointSet { complement.union(other).complement }

    /// Without what no UTF-8 subject has.
    var withoutSurrogates: CodePointSet {
        ranges.contains { $0.overlaps(0xD800...0xDFFF) } ? subtracting(Self.surrogates) : self
    }
}
