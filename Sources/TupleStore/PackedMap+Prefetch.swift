import CMemory

// Of a large map nearly every leaf that an update needs is in memory only. Told of a group of keys before, the processor
// fetches their leaves side by side instead of one after the other.
extension PackedMap {
    /// Where a key belongs: which child to take at each level, as long as the map keeps its shape, and which slot of the leaf,
    /// if nothing has come or gone there.
    ///
    /// For the map that it was found in; a copy of that map which has changed since is another one.
    public struct Way: Sendable {
        /// Levels of branches at most: enough for thousands of millions of pairs, unless keys are very long.
        fileprivate static let maximumHeight = 6

        private var indices = InlineArray<6, UInt16>(repeating: 0)
        /// Where the search in the leaf ended.
        fileprivate(set) var slot: UInt16 = 0
        /// The level of the root; 0 where no way is known.
        fileprivate(set) var height: UInt16 = 0
        fileprivate(set) var shape: UInt32 = 0

        /// None: operations find theirs.
        @inline(__always)
        public init() {}

        /// The index of the child to take in the branch of `level` (1 is the lowest).
        @inline(__always)
        fileprivate(set) subscript(level: Int) -> Int {
            get { Int(indices[level &- 1]) }
            set { indices[level &- 1] = UInt16(truncatingIfNeeded: newValue) }
        }
    }

    /// The ways to the keys of a group.
    public struct Ways: Sendable {
        /// As many as the processor can fetch memory for at a time, about.
        public static let capacity = 16
        fileprivate var ways = InlineArray<16, Way>(repeating: Way())

        public init() {}

        @inline(__always)
        public subscript(number: Int) -> Way { ways[number] }
    }

    /// Has what operations on a group of keys are going to need brought into the cache, and finds the ways to them.
    ///
    /// - Parameters:
    ///   - count: how many keys: ``Ways/capacity`` at most.
    ///   - key: the key of each number below `count`.
    ///   - ways: what is found, for the operations.
    /// - Complexity: O(log `count`) for each key.
    @inline(__always)
    public func prefetch(_ count: Int, finding ways: inout Ways, key: (_ number: Int) -> UnsafeRawBufferPointer) {
        precondition(count <= Ways.capacity, "a group is too large")
        guard let root = uncountedRoot else { return }
        let height = root._withUnsafeGuaranteedRef { $0.level }
        guard height <= Way.maximumHeight else { return }
        // Each round does one step for all keys: what a step has to wait for is on its way for all of them at once. Nothing
        // changes meanwhile, so nothing needs to be counted.
        var branches = InlineArray<16, Unmanaged<Branch>>(repeating: root)
        for number in 0..<count {
            ways.ways[number].height = UInt16(truncatingIfNeeded: height)
            ways.ways[number].shape = shape
        }
        for level in stride(from: height, to: 1, by: -1) {
            for number in 0..<count {
                let index = branches[number]._withUnsafeGuaranteedRef { $0.childIndex(key(number)) }
                ways.ways[number][level] = index
                let below = branches[number]._withUnsafeGuaranteedRef { Unmanaged.passUnretained($0.branches[index]) }
                branches[number] = below
                twinspace_prefetch(below.toOpaque(), Branch.objectBytes)
            }
            for number in 0..<count { branches[number]._withUnsafeGuaranteedRef { $0.prefetchSeparators() } }
        }
        for number in 0..<count {
            ways.ways[number][1] = branches[number]._withUnsafeGuaranteedRef { $0.childIndex(key(number)) }
        }
        var leaves = InlineArray<16, Unmanaged<Page>?>(repeating: nil)
        for number in 0..<count {
            let leaf = branches[number]._withUnsafeGuaranteedRef { $0.leaf(ways.ways[number][1]) }
            leaves[number] = leaf
            twinspace_prefetch(leaf.toOpaque(), 1)
        }
        for number in 0..<count { leaves[number]?._withUnsafeGuaranteedRef { $0.prefetchSlots() } }
        for number in 0..<count { leaves[number]?._withUnsafeGuaranteedRef { $0.prefetchRecordStart() } }
        for number in 0..<count {
            leaves[number]?._withUnsafeGuaranteedRef { leaf in
                leaf.view { page in
                    let slot = page.likelySlot(key(number))
                    ways.ways[number].slot = UInt16(truncatingIfNeeded: slot)
                    if slot < page.count { twinspace_prefetch(page.base + page.offset(slot), 1) }
                }
            }
        }
    }
}

extension PackedMap.Branch {
    /// The object, without what it refers to.
    fileprivate static let objectBytes = 48

    /// What a search for a child reads. How many children there are is not known before it is there.
    @inline(__always)
    fileprivate func prefetchSeparators() {
        twinspace_prefetch(
            Unmanaged.passUnretained(separators).toOpaque(),
            PackedMap.Page.overhead + PackedMap.Branch.maximumChildren * 6)
    }
}

extension PackedMap.Page {
    /// The slots of some 80 pairs: how many there are is not known before the header is there.
    private static let usualSlotBytes = 480

    /// All of them but the header's cache line.
    @inline(__always)
    fileprivate func prefetchSlots() {
        twinspace_prefetch(
            Unmanaged.passUnretained(self).toOpaque() + 64,
            PackedMap.Page.overhead + PackedMap.Page.usualSlotBytes - 64)
    }

    /// The place where the next record goes, and where the prefix is long the first key, with which a search begins.
    @inline(__always)
    fileprivate func prefetchRecordStart() {
        view { page in
            twinspace_prefetch(page.base + max(0, page.recordStart &- 64), 64)
            if page.prefixLength > 8, page.count > 0 { twinspace_prefetch(page.base + page.offset(0), 1) }
        }
    }
}
