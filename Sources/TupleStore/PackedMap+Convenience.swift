// The same operations for arrays, slices, `String.UTF8View` and other collections of bytes. They copy nothing as long
// as the collection is contiguous in memory.

/// Calls `body` with the bytes of a collection, which are copied before only if they are not contiguous.
@inlinable
func withBytes<R, E: Error>(
    _ bytes: some Collection<UInt8>, _ body: (UnsafeRawBufferPointer) throws(E) -> R
) throws(E) -> R {
    let result = bytes.withContiguousStorageIfAvailable { (buffer) -> Result<R, E> in
        do throws(E) {
            return .success(try body(UnsafeRawBufferPointer(buffer)))
        } catch {
            return .failure(error)
        }
    }
    if let result { return try result.get() }
    return try withBytes(ContiguousArray(bytes), body)
}

extension PackedMap {
    /// The value for `key`, copied, or `nil` if there is no such key.
    @inlinable
    public func value(forKey key: some Collection<UInt8>) -> [UInt8]? {
        withValue(forKey: key) { [UInt8]($0) }
    }

    /// Calls `body` with the value for `key`, valid only inside it.
    @inlinable
    public func withValue<R, E: Error>(
        forKey key: some Collection<UInt8>, _ body: (_ value: UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R? {
        try withBytes(key) { (key) throws(E) -> R? in try withValue(forKey: key, body) }
    }

    /// Whether there is a pair with `key`.
    @inlinable
    public func contains(_ key: some Collection<UInt8>) -> Bool { withBytes(key) { contains($0) } }

    /// Inserts a pair unless there is one with `key`, and returns whether it did.
    @inlinable @discardableResult
    public mutating func insert(key: some Collection<UInt8>, value: some Collection<UInt8>) -> Bool {
        withBytes(key) { key in withBytes(value) { insert(key: key, value: $0) } }
    }

    /// Gives `key` another value if there is a pair with it, and returns whether there was.
    @inlinable @discardableResult
    public mutating func replace(key: some Collection<UInt8>, value: some Collection<UInt8>) -> Bool {
        withBytes(key) { key in withBytes(value) { replace(key: key, value: $0) } }
    }

    /// Gives `key` another value if there is a pair with it, and returns the old one.
    @inlinable
    public mutating func replaceReturningOld(key: some Collection<UInt8>, value: some Collection<UInt8>) -> [UInt8]? {
        withBytes(key) { key in withBytes(value) { replaceReturningOld(key: key, value: $0) } }
    }

    /// Gives `key` the value, whether there is a pair with it or not.
    @inlinable
    public mutating func set(key: some Collection<UInt8>, value: some Collection<UInt8>) {
        withBytes(key) { key in withBytes(value) { set(key: key, value: $0) } }
    }

    /// Removes the pair with `key`, and returns whether there was one.
    @inlinable @discardableResult
    public mutating func remove(key: some Collection<UInt8>) -> Bool { withBytes(key) { remove(key: $0) } }

    /// Removes the pair with `key` and returns its value.
    @inlinable
    public mutating func removeReturningOld(key: some Collection<UInt8>) -> [UInt8]? {
        withBytes(key) { removeReturningOld(key: $0) }
    }
}

extension PackedMap.Builder {
    /// Adds a pair at the end.
    ///
    /// - Throws: `OrderError` if `key` is not above the last one.
    @inlinable
    public mutating func append(
        key: some Collection<UInt8>, value: some Collection<UInt8>
    ) throws(PackedMap.OrderError) {
        try withBytes(key) { (key) throws(PackedMap.OrderError) in
            try withBytes(value) { (value) throws(PackedMap.OrderError) in try append(key: key, value: value) }
        }
    }
}
