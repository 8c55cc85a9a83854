public import TupleCore

/// The tuple space: at most one value a key, ordered by the keys' packed bytes.
///
/// A copy of a `Space` is a snapshot: O(1), and safe to read elsewhere while the original is written.
public struct Space: Sendable {
    public let rule: ElementRule
    public private(set) var map = PackedMap()
    public private(set) var digest = Digest()

    public init(rule: ElementRule) { self.rule = rule }

    public var count: Int { map.count }

    public func value(of key: Tuple) -> Tuple? {
        key.packed.withUnsafeBytes { keyBytes in
            map.withValue(forKey: keyBytes) { Tuple(trustedPacked: $0) }
        }
    }

    public func contains(_ key: Tuple) -> Bool {
        key.packed.withUnsafeBytes { map.contains($0) }
    }

    /// Carries out one effect.
    ///
    /// - Returns: false where it does not fit the space (a key that is added twice, or replaced or removed without being
    ///   there): this copy then differs from the one that decided the effect, and must not be used.
    public mutating func apply(_ effect: Effect) -> Bool {
        switch effect {
        case .added(let pair): return pair.withBytes { add(key: $0, value: $1) }
        case .replaced(let pair): return pair.withBytes { replace(key: $0, value: $1) }
        case .removed(let key):
            return key.packed.withUnsafeBytes { keyBytes in
                guard let old = map.removeReturningOld(key: keyBytes) else { return false }
                old.withUnsafeBytes { digest.remove(key: keyBytes, value: $0) }
                return true
            }
        }
    }

    /// Adds a pair of packed tuples where its key is absent.
    ///
    /// - Returns: whether it was.
    mutating func add(
        key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, along way: PackedMap.Way = PackedMap.Way()
    ) -> Bool {
        guard map.insert(key: key, value: value, along: way) else { return false }
        digest.add(key: key, value: value)
        return true
    }

    /// Replaces the value of a packed key that is there.
    ///
    /// - Returns: whether it was.
    mutating func replace(
        key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, along way: PackedMap.Way = PackedMap.Way()
    ) -> Bool {
        guard let old = map.replaceReturningOld(key: key, value: value, along: way) else { return false }
        old.withUnsafeBytes { digest.remove(key: key, value: $0) }
        digest.add(key: key, value: value)
        return true
    }

    /// Calls `body` with all pairs whose packed key is at least `from`, in order, until it returns false.
    public func forEachPair(from: [UInt8]? = nil, _ body: (Pair) -> Bool) {
        func visit(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
            body(Pair(key: Tuple(trustedPacked: key), value: Tuple(trustedPacked: value)))
        }
        if let from {
            from.withUnsafeBytes { map.forEach(from: $0, below: nil, visit) }
        } else {
            map.forEach(from: nil, below: nil, visit)
        }
    }
}

extension Pair {
    func withBytes<R>(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> R) -> R {
        key.packed.withUnsafeBytes { key in value.packed.withUnsafeBytes { value in body(key, value) } }
    }
}
