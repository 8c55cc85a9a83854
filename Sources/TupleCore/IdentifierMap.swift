/// Values by numbers: a dictionary without the cost of its hash. A number is never 0.
///
/// Open addressing with linear probing; at most half of the places are taken. Numbers that this process hands out itself, one
/// after the other, get places in a row; such as others choose are scattered by a multiplication, and by another one as soon
/// as they crowd all the same, as chosen ones could.
public struct IdentifierMap<Value> {
    @usableFromInline var keys: [UInt64]
    @usableFromInline var values: [Value?]
    public private(set) var count = 0
    /// Odd, so that no two numbers become one; 1 leaves them in their order.
    @usableFromInline private(set) var multiplier: UInt64
    /// A number this far from its best place shows that they crowd: by chance there are some 50 at most.
    private static var crowd: Int { 256 }

    /// For numbers that are handed out in order.
    public init() { self.init(multiplier: 1) }

    private init(multiplier: UInt64) {
        self.multiplier = multiplier
        keys = [UInt64](repeating: 0, count: 16)
        values = [Value?](repeating: nil, count: 16)
    }

    /// For numbers that others choose.
    public static var scattering: IdentifierMap { IdentifierMap(multiplier: 0x9E37_79B9_7F4A_7C15) }

    @inlinable var mask: Int { keys.count - 1 }

    /// Where a number would best be.
    @inlinable
    func home(of key: UInt64) -> Int {
        let product = key.multipliedFullWidth(by: multiplier)
        return Int(truncatingIfNeeded: product.high ^ product.low) & mask
    }

    /// The place of a number's value, for ``subscript(at:)``; it stays until something is added or removed.
    ///
    /// - Complexity: O(1).
    @inlinable
    public func place(of key: UInt64) -> Int? {
        var place = home(of: key)
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
        if (count + 1) * 2 > keys.count { rebuild(places: keys.count * 2) }
        if put(value, for: key) > IdentifierMap.crowd, multiplier != 1 {
            multiplier = (multiplier &* 0xD134_2543_DE82_EF95 &+ key) | 1
            rebuild(places: keys.count)
        }
    }

    /// - Returns: how far from its best place it is.
    private mutating func put(_ value: Value, for key: UInt64) -> Int {
        let home = home(of: key)
        var place = home
        while keys[place] != 0 { place = (place + 1) & mask }
        keys[place] = key
        values[place] = value
        count += 1
        return (place - home) & mask
    }

    @discardableResult
    public mutating func removeValue(forKey key: UInt64) -> Value? {
        guard var hole = place(of: key) else { return nil }
        let value = values[hole]
        count -= 1
        // What follows moves up where it may, so that no search ends at the hole too early.
        var next = (hole + 1) & mask
        while keys[next] != 0 {
            let home = home(of: keys[next])
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

    private mutating func rebuild(places: Int) {
        let old = self
        keys = [UInt64](repeating: 0, count: places)
        values = [Value?](repeating: nil, count: places)
        count = 0
        old.forEach { key, value in _ = put(value, for: key) }
    }

    /// Everything, by ascending number.
    ///
    /// - Complexity: O(n log n).
    public var all: [(key: UInt64, value: Value)] {
        var all: [(key: UInt64, value: Value)] = []
        all.reserveCapacity(count)
        forEach { all.append(($0, $1)) }
        return all.sorted { $0.key < $1.key }
    }

    /// Everything, in any order.
    public func forEach(_ body: (_ key: UInt64, _ value: Value) -> Void) {
        for (place, key) in keys.enumerated() where key != 0 {
            if let value = values[place] { body(key, value) }
        }
    }
}

extension IdentifierMap: Sendable where Value: Sendable {}

extension IdentifierMap: Equatable where Value: Equatable {
    /// Whether both have the same values by the same numbers.
    public static func == (a: IdentifierMap, b: IdentifierMap) -> Bool {
        guard a.count == b.count else { return false }
        var isSame = true
        a.forEach { key, value in if b[key] != value { isSame = false } }
        return isSame
    }
}
