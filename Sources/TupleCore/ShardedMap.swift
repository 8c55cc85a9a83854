/// Values by numbers that others choose, in many small tables.
///
/// A copy shares every table with the original. The first change after a copy copies one small table, not all of them, and
/// a table that has become too small is rebuilt alone. So no single change costs time in proportion to all values. There
/// is no way to walk through it: whoever needs an order keeps one, as ``RecencyOrder`` does. A number is never 0.
public struct ShardedMap<Value> {
    /// Where a value is, until something is added or removed.
    public struct Place {
        @usableFromInline let shard: Int
        @usableFromInline let index: Int
        @inlinable
        init(shard: Int, index: Int) {
            self.shard = shard
            self.index = index
        }
    }

    /// Nil where nothing was ever put.
    @usableFromInline var shards: [IdentifierMap<Value>?]
    public private(set) var count = 0

    /// A power of two.
    private static var shardCount: Int { 256 }

    public init() { shards = [IdentifierMap<Value>?](repeating: nil, count: ShardedMap.shardCount) }

    /// By the upper bits of a product; the tables use the lower ones.
    @inlinable
    static func shard(of key: UInt64) -> Int { Int(truncatingIfNeeded: (key &* 0xD134_2543_DE82_EF95) >> 56) }

    /// - Complexity: O(1).
    @inlinable
    public func place(of key: UInt64) -> Place? {
        let shard = ShardedMap.shard(of: key)
        guard let index = shards[shard]?.place(of: key) else { return nil }
        return Place(shard: shard, index: index)
    }

    /// The value at a place that ``place(of:)`` has just told.
    @inlinable
    public subscript(at place: Place) -> Value {
        get {
            guard let shard = shards[place.shard] else { preconditionFailure("nothing is at this place") }
            return shard[at: place.index]
        }
        _modify {
            precondition(shards[place.shard] != nil, "nothing is at this place")
            yield &shards[place.shard]![at: place.index]
        }
    }

    /// How many values the table with the most of them has: so many are copied at most by a change after a copy.
    ///
    /// - Complexity: O(1).
    public var largestShard: Int { shards.reduce(0) { max($0, $1?.count ?? 0) } }

    /// - Complexity: O(1); where a table grows or is shared with a copy, O(values in one of 256 tables).
    public subscript(key: UInt64) -> Value? {
        get { place(of: key).map { self[at: $0] } }
        set {
            let shard = ShardedMap.shard(of: key)
            if shards[shard] == nil {
                guard newValue != nil else { return }
                shards[shard] = .scattering
            }
            let before = shards[shard]!.count
            shards[shard]![key] = newValue
            count += shards[shard]!.count - before
        }
    }
}

extension ShardedMap: Sendable where Value: Sendable {}
extension ShardedMap.Place: Sendable {}
