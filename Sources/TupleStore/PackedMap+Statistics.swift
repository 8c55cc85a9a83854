extension PackedMap {
    /// What a map takes, for memory figures.
    public struct Statistics: Equatable, Sendable {
        /// Levels of inner nodes and leaves; 0 for an empty map.
        public var height = 0
        /// Inner nodes.
        public var branchCount = 0
        /// Pages with pairs.
        public var leafCount = 0
        /// Bytes of these pages that pairs use.
        public var usedBytes = 0
        /// Bytes allocated for pages and inner nodes, with their overhead. What snapshots share counts in each of them.
        public var allocatedBytes = 0
    }

    /// Counts nodes and their bytes.
    ///
    /// - Complexity: O(`count` / 64): touches each page, so for a large map better called on a snapshot, off the loop.
    public func statistics() -> Statistics {
        var statistics = Statistics()
        if let root {
            statistics.height = root.level + 1
            root.add(to: &statistics)
        }
        return statistics
    }
}

extension PackedMap.Branch {
    fileprivate func add(to statistics: inout PackedMap.Statistics) {
        statistics.branchCount += 1
        // The object itself, and the child array with its header.
        statistics.allocatedBytes += 64 + 40 + 8 * (level == 1 ? leaves.capacity : branches.capacity)
        statistics.allocatedBytes += separators.view { $0.capacity } + PackedMap.Page.overhead
        for branch in branches { branch.add(to: &statistics) }
        for leaf in leaves {
            let (used, capacity) = leaf.view { ($0.recordBytes + $0.slotsEnd, $0.capacity) }
            statistics.leafCount += 1
            statistics.usedBytes += used
            statistics.allocatedBytes += capacity + PackedMap.Page.overhead
        }
    }
}
