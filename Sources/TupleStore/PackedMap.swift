/// An ordered map from byte strings to byte strings, packed tightly and cheap to snapshot.
///
/// A copy-on-write B+tree whose leaves are slotted pages of 4 KiB. Keys are in the order of their unsigned bytes, the
/// shorter of two first if it is a prefix of the other. A pair costs its bytes and 8 more (10 or so if longer than 127
/// bytes), in pages that are full after ordered and about 80 % full after random insertions.
///
/// **Snapshots.** Copying the value takes O(1). The copy stays what it was while the original is changed, and may be
/// read on another thread meanwhile. A change copies what of the path to its leaf the snapshot still shares: a page per
/// leaf first touched.
///
/// **Limits.** A key or a value may be empty; a pair is limited to 2 GiB by precondition. Pairs that do not fit a page
/// get one of their own, as large as needed.
public struct PackedMap: Sendable {
    /// `nil` when the map is empty.
    var root: Branch?
    /// Counts how often leaves or branches have come or gone. As long as it stays, a key's leaf is where it was, seen from the
    /// root.
    var shape: UInt32 = 0

    /// For dividing leaves; nil until the first time.
    var workplace: Workplace?

    /// The number of pairs. - Complexity: O(1).
    public internal(set) var count = 0

    /// The bytes of all keys and all values. - Complexity: O(1).
    public internal(set) var byteCount = 0

    /// An empty map, which allocates nothing.
    public init() {}

    /// Whether there is no pair. - Complexity: O(1).
    public var isEmpty: Bool { count == 0 }

    // MARK: Reading

    /// Calls `body` with the value for `key`, which is valid only inside it, and returns what `body` returns; `nil`
    /// without calling it when there is no such key.
    ///
    /// - Complexity: O(log `count`).
    public func withValue<R, E: Error>(
        forKey key: UnsafeRawBufferPointer, _ body: (_ value: UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R? {
        try withValue(forKey: key, along: Way(), body)
    }

    /// The same along the way that ``prefetch(_:finding:key:)`` has found for the key.
    @inline(__always)
    public func withValue<R, E: Error>(
        forKey key: UnsafeRawBufferPointer, along way: Way, _ body: (_ value: UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R? {
        guard let leaf = leaf(for: key, along: way) else { return nil }
        return try leaf.view { (page) throws(E) -> R? in
            guard let slot = page.find(key) else { return nil }
            return try body(page.record(slot).value)
        }
    }

    /// Whether there is a pair with `key`. - Complexity: O(log `count`).
    public func contains(_ key: UnsafeRawBufferPointer) -> Bool {
        leaf(for: key)?.view { $0.find(key) != nil } ?? false
    }

    // MARK: Writing

    /// Inserts a pair unless there is one with `key`.
    ///
    /// - Returns: Whether it was inserted.
    /// - Complexity: O(log `count`).
    @discardableResult
    public mutating func insert(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
        insert(key: key, value: value, along: Way())
    }

    /// The same along the way that ``prefetch(_:finding:key:)`` has found for the key.
    public mutating func insert(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, along way: Way) -> Bool {
        let pair = Record(key: key, value: value)
        guard let path = locate(key, along: way) else {
            insertFirst(pair)
            return true
        }
        if path.found { return false }
        insert(pair, at: path)
        return true
    }

    /// Gives `key` another value if there is a pair with it.
    ///
    /// - Returns: Whether there was.
    /// - Complexity: O(log `count`).
    @discardableResult
    public mutating func replace(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
        replace(key: key, value: value, along: Way()) { _ in }
    }

    /// Gives `key` another value if there is a pair with it, and returns the old one, or `nil` if there is no such
    /// pair.
    ///
    /// - Complexity: O(log `count`).
    public mutating func replaceReturningOld(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> [UInt8]? {
        replaceReturningOld(key: key, value: value, along: Way())
    }

    /// The same along the way that ``prefetch(_:finding:key:)`` has found for the key.
    public mutating func replaceReturningOld(
        key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, along way: Way
    ) -> [UInt8]? {
        var old: [UInt8]?
        _ = replace(key: key, value: value, along: way) { old = [UInt8]($0) }
        return old
    }

    /// Gives `key` the value, whether there is a pair with it or not.
    ///
    /// - Complexity: O(log `count`).
    public mutating func set(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let pair = Record(key: key, value: value)
        guard let path = locate(key) else {
            insertFirst(pair)
            return
        }
        if path.found {
            replace(pair, at: path) { _ in }
        } else {
            insert(pair, at: path)
        }
    }

    /// Removes the pair with `key`, if there is one.
    ///
    /// - Returns: Whether there was.
    /// - Complexity: O(log `count`).
    @discardableResult
    public mutating func remove(key: UnsafeRawBufferPointer) -> Bool {
        remove(key: key) { _ in }
    }

    /// Removes the pair with `key` and returns its value, or `nil` if there is no such pair.
    ///
    /// - Complexity: O(log `count`).
    public mutating func removeReturningOld(key: UnsafeRawBufferPointer) -> [UInt8]? {
        var old: [UInt8]?
        _ = remove(key: key) { old = [UInt8]($0) }
        return old
    }

    /// Removes all pairs; their memory returns unless a snapshot shares it.
    public mutating func removeAll() {
        let shape = shape &+ 1
        self = PackedMap()
        self.shape = shape
    }

    private mutating func replace(
        key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, along way: Way,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        guard let path = locate(key, along: way), path.found else { return false }
        replace(Record(key: key, value: value), at: path, body)
        return true
    }

    private mutating func remove(key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
        guard let path = locate(key), path.found else { return false }
        remove(at: path, body)
        return true
    }
}

// Covers the pages too, which a map reaches through branches only. A branch or a page is changed only by a map that
// holds the only reference to it (and to all above it), as `isKnownUniquelyReferenced` found just before; whoever
// shares it, on this thread or another, has a reference of its own, so it then is copied instead. What several maps can
// reach is hence never written. This is the argument by which the standard library's `Array` is `Sendable`; the counts
// are atomic, and the test for uniqueness orders earlier reads by a released reference before the write. The maps
// themselves are values.
extension PackedMap.Branch: @unchecked Sendable {}

// Its memory is used by one map at a time: one that is about to use it makes sure that it alone refers to it.
extension PackedMap.Workplace: @unchecked Sendable {}
