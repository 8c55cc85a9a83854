/// Values by numbers that this process hands out itself, one after the other: a dictionary without the cost of a hash that
/// withstands chosen keys. A number is never 0.
///
/// Open addressing with linear probing; numbers in a row get places in a row. At most half of the places are taken.
public struct IdentifierMap<Value> {
    @usableFromInline var keys: [UInt64]
    @usableFromInline var values: [Value?]
    public private(set) var count = 0

    public init() {
        keys = [UInt64](repeating: 0, count: 16)
        values = [Value?](repeating: nil, count: 16)
    }

    @inlinable var mask: Int { keys.count - 1 }

    /// The place of a number's value, for ``subscript(at:)``; it stays until something is added or removed.
    ///
    /// - Complexity: O(1) for numbers that were handed out in order.
    @inlinable
    public func place(of key: UInt64) -> Int? {
        var place = Int(truncatingIfNeeded: key) & mask
        while true {
            let found = keys[place]
            if found == key { return key == 0 ? nil : place }
            if found == 0 { return nil }
            place = (place + 1) & mask
        }
    }

    /// The value at a place that ``place(of:)`` has just told.
    @inlinable
    public subscript(at place: Int) -> Value {
        get {
            guard let value = values[place] else { preconditionFailure("nothing is at this place") }
            return value
        }
        _modify {
            precondition(values[place] != nil, "nothing is at this place")
            yield &values[place]!
        }
    }

    public subscript(key: UInt64) -> Value? {
        get { place(of: key).map { self[at: $0] } }
        set {
            if let newValue {
                insert(newValue, for: key)
            } else {
                removeValue(forKey: key)
            }
        }
    }

    private mutating func insert(_ value: Value, for key: UInt64) {
        precondition(key != 0, "0 is no number")
        if let place = place(of: key) {
            values[place] = value
            return
        }
        if (count + 1) * 2 > keys.count { grow() }
        var place = Int(truncatingIfNeeded: key) & mask
        while keys[place] != 0 { place = (place + 1) & mask }
        keys[place] = key
        values[place] = value
        count += 1
    }

    @discardableResult
    public mutating func removeValue(forKey key: UInt64) -> Value? {
        guard var hole = place(of: key) else { return nil }
        let value = values[hole]
        count -= 1
        // What follows moves up where it may, so that no search ends at the hole too early.
        var next = (hole + 1) & mask
        while keys[next] != 0 {
            let home = Int(truncatingIfNeeded: keys[next]) & mask
            if (next - home) & mask >= (next - hole) & mask {
                keys[hole] = keys[next]
                values.swapAt(hole, next)
                hole = next
            }
            next = (next + 1) & mask
        }
        keys[hole] = 0
        values[hole] = nil
        return value
    }

    private mutating func grow() {
        let old = self
        keys = [UInt64](repeating: 0, count: old.keys.count * 2)
        values = [Value?](repeating: nil, count: old.keys.count * 2)
        count = 0
        for (key, value) in old.all { insert(value, for: key) }
    }

    /// Everything, by ascending number.
    ///
    /// - Complexity: O(n log n).
    public var all: [(key: UInt64, value: Value)] {
        var all: [(key: UInt64, value: Value)] = []
        all.reserveCapacity(count)
        for (place, key) in keys.enumerated() where key != 0 {
            if let value = values[place] { all.append((key, value)) }
        }
        return all.sorted { $0.key < $1.key }
    }
}

extension IdentifierMap: Sendable where Value: Sendable {}
