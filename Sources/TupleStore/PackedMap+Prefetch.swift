import CMemory

// Of a large map nearly every leaf that an update needs is in memory only. Told of a group of keys before, the processor
// fetches their leaves side by side instead of one after the other.
extension PackedMap {
    /// Which child to take at each level to come to the leaf that a key belongs to, as long as the map keeps its shape.
    ///
    /// For the map that it was found in; a copy of that map which has changed since is another one.
    public struct Way: Sendable {
        /// Levels of branches at most: enough for thousands of millions of pairs, unless keys are very long.
        fileprivate static let maximumHeight = 6

        private var indices = InlineArray<6, UInt16>(repeating: 0)
        /// The level of the root; 0 where no way is known.
        private(set) var height = 0
        let shape: UInt32

        /// None: operations find theirs.
        @inline(__always)
        public init() { shape = 0 }

        @inline(__always)
        fileprivate init(height: Int, shape: UInt32) {
            self.height = height <= Way.maximumHeight ? height : 0
            self.shape = shape
        }

        /// The index of the child to take in the branch of `level` (1 is the lowest).
        @inline(__always)
        fileprivate(set) subscript(level: Int) -> Int {
            get { Int(indices[level &- 1]) }
            set { if level <= Way.maximumHeight { indices[level &- 1] = UInt16(truncatingIfNeeded: newValue) } }
        }
    }

    /// The ways to the first keys of a group.
    public struct Ways: Sendable {
        private static let capacity = 16
        private var ways = InlineArray<16, Way>(repeating: Way())

        public init() {}

        /// The way to the key of this number; none, beyond the first 16.
        @inline(__always)
        public fileprivate(set) subscript(number: Int) -> Way {
            get { number < Ways.capacity ? ways[number] : Way() }
            set { if number < Ways.capacity { ways[number] = newValue } }
        }
    }

    /// Has what operations on these keys are going to need brought into the cache.
    ///
    /// - Parameters:
    ///   - arePresent: the keys are expected to be there: their pairs are needed too.
    ///   - ways: what was found on the way, for the operations.
    /// - Complexity: O(*n* log `count`) for *n* keys.
    public func prefetch(
        _ keys: some Collection<UnsafeRawBufferPointer>, arePresent: Bool, finding ways: inout Ways
    ) {
        guard let root = uncountedRoot else { return }
        let height = root._withUnsafeGuaranteedRef { $0.level }
        withUnsafeTemporaryAllocation(of: UnsafeRawPointer.self, capacity: keys.count) { leaves in
            var count = 0
            for key in keys {
                var way = Way(height: height, shape: shape)
                var last = 0
                let branch = Branch.descend(from: root, to: key) { level, index in
                    way[level] = index
                    last = index
                }
                ways[count] = way
                leaves[count] = UnsafeRawPointer(branch._withUnsafeGuaranteedRef { $0.leaf(last) }.toOpaque())
                count &+= 1
            }
            // The first touch of a leaf waits for the translation of its address. Right behind each other, with nothing in
            // between, these touches wait side by side.
            for leaf in leaves[..<count] { twinspace_prefetch(leaf, 1) }
            // How many slots there are is not known before the header is there: as many as a leaf of small pairs has.
            for leaf in leaves[..<count] { twinspace_prefetch(leaf + 64, Page.overhead + Page.usualSlotBytes - 64) }
            // Nothing has changed meanwhile: the leaves are where they were.
            for (leaf, key) in zip(leaves, keys) {
                Unmanaged<Page>.fromOpaque(leaf)._withUnsafeGuaranteedRef {
                    $0.prefetchRecords(key, isPresent: arePresent)
                }
            }
        }
    }
}

extension PackedMap.Page {
    /// The slots of some 80 pairs.
    fileprivate static let usualSlotBytes = 480

    /// What the slots lead to: the first key, with which a search begins, the pair with this key, and the place where the
    /// next record goes.
    fileprivate func prefetchRecords(_ key: UnsafeRawBufferPointer, isPresent: Bool) {
        view { page in
            guard page.count > 0 else { return }
            if page.prefixLength > 8 { twinspace_prefetch(page.base + page.offset(0), 1) }
            twinspace_prefetch(page.base + max(0, page.recordStart &- 64), 64)
            if isPresent, let slot = page.likelySlot(key) {
                twinspace_prefetch(page.base + page.offset(slot), 64)
            }
        }
    }
}
