extension PackedMap {
    /// A key that is not above the one before it, where ascending keys are required.
    public struct OrderError: Error, Equatable, Sendable {
        /// The pairs taken before it.
        public let position: Int
    }

    /// Fills an empty map with pairs whose keys ascend, much faster than by insertion, and its pages to the full.
    ///
    /// Serves loading snapshots. Not copyable, because it writes the last page in place.
    public struct Builder: ~Copyable {
        private var map = PackedMap()
        /// The last leaf, not in the map yet.
        private var open: Page?

        /// A builder of an empty map.
        public init() {}

        /// The pairs taken so far.
        public var count: Int { map.count }

        /// Adds a pair at the end.
        ///
        /// - Throws: `OrderError` if `key` is not above the last one; the pair is not taken, and the builder can go on.
        /// - Complexity: O(1), amortised.
        public mutating func append(
            key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
        ) throws(OrderError) {
            let size = Record.size(keyCount: key.count, valueCount: value.count)
            if let open {
                let (ascends, fits) = open.view { page in
                    (ByteOrder.compare(page.key(page.count - 1), key) < 0, page.fits(recordSize: size))
                }
                guard ascends else { throw OrderError(position: map.count) }
                if !fits {
                    map.appendLeaf(open)
                    self.open = nil
                }
            }
            let page = open ?? Page.make(count: 1, recordBytes: size)
            page.view { $0.insert(key: key, value: value, at: $0.count) }
            open = page
            map.count += 1
            map.byteCount += key.count + value.count
        }

        /// The map of all pairs taken.
        public consuming func finish() -> PackedMap {
            if let open { map.appendLeaf(open) }
            return map
        }
    }

    /// A map of pairs whose keys ascend.
    ///
    /// - Throws: `OrderError` if a key is not above the one before it.
    /// - Complexity: O(n).
    public init(ascending pairs: some Sequence<(key: [UInt8], value: [UInt8])>) throws(OrderError) {
        var builder = Builder()
        for pair in pairs { try builder.append(key: pair.key, value: pair.value) }
        self = builder.finish()
    }
}
