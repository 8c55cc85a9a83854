import CMemory

// Of a large map nearly every leaf that an update needs is in memory only. Told of a group of keys before, the processor
// fetches their leaves side by side instead of one after the other.
extension PackedMap {
    /// Where a key belongs: which child to take at each level, as long as the map keeps its shape, and which slot of the leaf,
    /// if nothing has come or gone there.
    ///
    /// For the map that it was found in; a copy of that map which has changed since is another one.
    public struct Way: Sendable {
        /// Levels of branches at most: enough for hundreds of millions of pairs, unless keys are very long.
        fileprivate static let maximumHeight = 5

        /// From the lowest byte: the index of the child to take at each level, 1 being the lowest; then, in the three highest,
        /// where the search in the leaf ended, and the level of the root, which is 0 where no way is known. In one word, so
        /// that it is written and read in one piece.
        @usableFromInline fileprivate(set) var code: UInt64
        @usableFromInline let shape: UInt32

        /// None: operations find theirs.
        @inlinable
        public init() { self.init(code: 0, shape: 0) }

        @inlinable
        init(code: UInt64, shape: UInt32) {
            self.code = code
            self.shape = shape
        }

        @inline(__always) var height: Int { Int(code >> 56) }
        @inline(__always) var slot: Int { Int(UInt16(truncatingIfNeeded: code >> 40)) }

        /// The index of the child to take in the branch of `level`.
        @inline(__always)
        subscript(level: Int) -> Int { Int(UInt8(truncatingIfNeeded: code >> UInt64(8 &* (level &- 1)))) }
    }

    /// The ways to the keys of a group.
    public struct Ways: Sendable {
        /// As many as the processor can fetch memory for at a time, about.
        public static let capacity = 16
        @usableFromInline fileprivate(set) var codes = InlineArray<16, UInt64>(repeating: 0)
        @usableFromInline fileprivate(set) var shape: UInt32 = 0

        public init() {}

        @inlinable
        public subscript(number: Int) -> Way { Way(code: codes[number], shape: shape) }

        @inline(__always)
        fileprivate mutating func begin(_ count: Int, height: Int, shape: UInt32) {
            self.shape = shape
            for number in 0..<count { codes[number] = UInt64(height) << 56 }
        }

        /// A branch has less than 256 children, except while one is being split.
        @inline(__always)
        fileprivate mutating func take(_ index: Int, at level: Int, _ number: Int) {
            codes[number] |= UInt64(UInt8(truncatingIfNeeded: index)) << UInt64(8 &* (level &- 1))
        }

        @inline(__always)
        fileprivate mutating func end(at slot: Int, _ number: Int) {
            codes[number] |= UInt64(UInt16(truncatingIfNeeded: slot)) << 40
        }
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
        let height = uncountedRoot.map { $0._withUnsafeGuaranteedRef { $0.level } } ?? 0
        // What is left of the group before would lead astray.
        ways.begin(count, height: height <= Way.maximumHeight ? height : 0, shape: shape)
        guard let root = uncountedRoot, height <= Way.maximumHeight else { return }
        // Each round does one step for all keys: what a step has to wait for is on its way for all of them at once. Nothing
        // changes meanwhile, so nothing needs to be counted.
        var branches = InlineArray<16, Unmanaged<Branch>>(repeating: root)
        for level in stride(from: height, to: 1, by: -1) {
            for number in 0..<count {
                let index = branches[number]._withUnsafeGuaranteedRef { $0.childIndex(key(number)) }
                ways.take(index, at: level, number)
                let below = branches[number]._withUnsafeGuaranteedRef { Unmanaged.passUnretained($0.branches[index]) }
                branches[number] = below
                twinspace_prefetch(below.toOpaque(), Branch.objectBytes)
            }
            for number in 0..<count { branches[number]._withUnsafeGuaranteedRef { $0.prefetchSeparators() } }
        }
        for number in 0..<count {
            ways.take(branches[number]._withUnsafeGuaranteedRef { $0.childIndex(key(number)) }, at: 1, number)
        }
        var leaves = InlineArray<16, Unmanaged<Page>?>(repeating: nil)
        for number in 0..<count {
            let leaf = branches[number]._withUnsafeGuaranteedRef { $0.leaf(ways[number][1]) }
            leaves[number] = leaf
            twinspace_prefetch(leaf.toOpaque(), 1)
        }
        for number in 0..<count { leaves[number]?._withUnsafeGuaranteedRef { $0.prefetchSlots() } }
        for number in 0..<count { leaves[number]?._withUnsafeGuaranteedRef { $0.prefetchRecordStart() } }
        for number in 0..<count {
            leaves[number]?._withUnsafeGuaranteedRef { leaf in
                leaf.view { page in
                    let slot = page.likelySlot(key(number))
                    ways.end(at: slot, number)
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
            if page.prefixLength > PackedMap.PrefixHead.maximumLength, page.count > 0 {
                twinspace_prefetch(page.base + page.offset(0), 1)
            }
        }
    }
}
