import CMemory

// Of a large map nearly every leaf that an update needs is in memory only. Told of a group of keys before, the processor
// fetches their leaves side by side instead of one after the other.
extension PackedMap {
    /// Has what operations on these keys are going to need brought into the cache.
    ///
    /// - Parameter arePresent: the keys are expected to be there: their pairs are needed too.
    /// - Complexity: O(*n* log `count`) for *n* keys.
    public func prefetch(_ keys: some Collection<UnsafeRawBufferPointer>, arePresent: Bool) {
        guard let root else { return }
        withUnsafeTemporaryAllocation(of: UnsafeRawPointer.self, capacity: keys.count) { leaves in
            var count = 0
            for key in keys {
                var last = 0
                let branch = Branch.descend(from: root, to: key) { _, index in last = index }
                let leaf = UnsafeRawPointer(branch._withUnsafeGuaranteedRef { $0.leaf(last) }.toOpaque())
                // How many slots there are is not known before the header is there: as many as a leaf of small pairs has.
                twinspace_prefetch(leaf, Page.overhead + Page.usualSlotBytes)
                leaves[count] = leaf
                count &+= 1
            }
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
            twinspace_prefetch(page.base + page.offset(0), 1)
            twinspace_prefetch(page.base + max(0, page.recordStart &- 64), 64)
            if isPresent, let slot = page.likelySlot(key) {
                twinspace_prefetch(page.base + page.offset(slot), 64)
            }
        }
    }
}
