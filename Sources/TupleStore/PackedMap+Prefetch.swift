import CMemory

// Of a large map nearly every leaf that an update needs is in memory only. Told of a group of keys before, the processor
// fetches their leaves side by side instead of one after the other.
extension PackedMap {
    /// Has the slots of the leaf that `key` belongs to brought into the cache, without waiting for them.
    ///
    /// - Complexity: O(log `count`).
    public func prefetch(_ key: UnsafeRawBufferPointer) {
        guard var branch = root else { return }
        while branch.level > 1 { branch = branch.branches[branch.childIndex(key)] }
        let index = branch.childIndex(key)
        branch.leaves.withUnsafeBytes { leaves in
            // The reference in its bits: as an object the leaf would be retained, and that is what waits for its memory.
            let leaf = leaves.load(fromByteOffset: index &* MemoryLayout<Page>.stride, as: UnsafeRawPointer.self)
            // How many slots there are is not known before the header is there: as many as a leaf of small pairs has.
            twinspace_prefetch(leaf, Page.overhead + Page.usualSlotBytes)
        }
    }

    /// Has what the slots lead to brought into the cache: the first key, with which a search begins, and the place where
    /// the next record will be written. For after ``prefetch(_:)``.
    ///
    /// - Complexity: O(log `count`).
    public func prefetchPairs(_ key: UnsafeRawBufferPointer) {
        leaf(for: key)?.view { page in
            guard page.count > 0 else { return }
            twinspace_prefetch(page.base + page.offset(0), 1)
            twinspace_prefetch(page.base + max(0, page.recordStart &- 64), 64)
        }
    }
}

extension PackedMap.Page {
    /// The slots of some 80 pairs.
    fileprivate static let usualSlotBytes = 480
}
