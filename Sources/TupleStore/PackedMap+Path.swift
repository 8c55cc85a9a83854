extension PackedMap {
    /// The way from the root to a pair, or to the place where it would be: which child at each level, then which slot.
    ///
    /// Found without touching anything, so that an operation that turns out to change nothing copies nothing; then
    /// walked again by these indices, without any comparison, to copy what snapshots share.
    struct Path {
        /// Levels of branches at most. A branch below the root has four children or more, so this suffices for 4^23
        /// leaves.
        static let maximumHeight = 24

        private var indices = InlineArray<24, UInt16>(repeating: 0)
        /// The level of the root.
        let height: Int
        var slot = 0
        var found = false

        @inline(__always)
        init(height: Int) {
            precondition(height <= Path.maximumHeight, "a PackedMap is too high")
            self.height = height
        }

        /// The index of the child taken in the branch of `level` (1 is the lowest).
        @inline(__always)
        subscript(level: Int) -> Int {
            get { Int(indices[level &- 1]) }
            set { indices[level &- 1] = UInt16(truncatingIfNeeded: newValue) }
        }
    }

    /// The path to `key`, if the map has a root.
    ///
    /// - Complexity: O(log `count`).
    @inline(__always)
    func locate(_ key: UnsafeRawBufferPointer, along way: Way = Way()) -> Path? {
        guard let root = uncountedRoot else { return nil }
        let isKnown = holds(way)
        var path = Path(height: root._withUnsafeGuaranteedRef { $0.level })
        let lowest =
            isKnown
            ? Branch.follow(way, from: root) { level, index in path[level] = index }
            : Branch.descend(from: root, to: key) { level, index in path[level] = index }
        assert(lowest.toOpaque() == Branch.descend(from: root, to: key) { _, _ in }.toOpaque(), "a way leads astray")
        lowest._withUnsafeGuaranteedRef { branch in
            branch.leaf(path[1])._withUnsafeGuaranteedRef { leaf in
                leaf.view { page in
                    let place = isKnown ? page.lowerBound(key, perhaps: way.slot) : page.lowerBound(key)
                    path.slot = place.slot
                    path.found = place.found
                }
            }
        }
        return path
    }

    /// The leaf that `key` belongs to, if the map has a root.
    @inline(__always)
    func leaf(for key: UnsafeRawBufferPointer, along way: Way = Way()) -> Page? {
        guard let root = uncountedRoot else { return nil }
        var last = 0
        let lowest =
            holds(way)
            ? Branch.follow(way, from: root) { _, index in last = index }
            : Branch.descend(from: root, to: key) { _, index in last = index }
        return lowest._withUnsafeGuaranteedRef { $0.leaves[last] }
    }

    /// The root, not counted.
    @inline(__always)
    var uncountedRoot: Unmanaged<Branch>? { root.map { Unmanaged.passUnretained($0) } }

    /// Whether a way still leads where it did when it was found.
    @inline(__always)
    private func holds(_ way: Way) -> Bool { way.shape == shape && way.height > 0 }

    /// The branch of level 1 on `path`; it and all above it are copied before if snapshots share them. Not counted: it
    /// stays as long as the map's branches do.
    @inline(__always)
    mutating func uniqueParent(_ path: Path) -> Unmanaged<Branch> {
        if !isKnownUniquelyReferenced(&root), let shared = root { root = shared.copy() }
        guard var branch = uncountedRoot else { preconditionFailure("a path leads into an empty PackedMap") }
        while true {
            let below = branch._withUnsafeGuaranteedRef { branch -> Unmanaged<Branch>? in
                guard branch.level > 1 else { return nil }
                let index = path[branch.level]
                branch.makeUnique(branch: index)
                return Unmanaged.passUnretained(branch.branches[index])
            }
            guard let below else { return branch }
            branch = below
        }
    }

    /// Hands out the leaf on `path`, which is copied before if a snapshot shares it. `body` may count, and change the leaf;
    /// nothing else of the map.
    @inline(__always)
    mutating func withUniqueLeaf<R>(_ path: Path, _ body: (inout PackedMap, PageView) -> R) -> R {
        uniqueParent(path)._withUnsafeGuaranteedRef { parent in
            parent.uniqueLeaf(path[1])._withUnsafeGuaranteedRef { leaf in leaf.view { body(&self, $0) } }
        }
    }

    /// All branches on `path`, the root first, for changing which children they have; copied before if snapshots share
    /// them.
    mutating func uniqueBranches(_ path: Path) -> [Branch] {
        shape &+= 1
        var branches = [uniqueRoot()]
        while let last = branches.last, last.level > 1 { branches.append(last.uniqueBranch(path[last.level])) }
        return branches
    }

    @inline(__always)
    private mutating func uniqueRoot() -> Branch {
        if !isKnownUniquelyReferenced(&root), let shared = root { root = shared.copy() }
        guard let root else { preconditionFailure("a path leads into an empty PackedMap") }
        return root
    }
}

// References without a count. A map holds its root, and that everything below; as long as nothing is changed, what was
// found stays. Counting each step of the way would cost more than the way itself.
extension PackedMap.Branch {
    /// The branch of level 1 that `key` belongs to, below `root`; each step is told: the level, and the child taken there.
    @inline(__always)
    static func descend(
        from root: Unmanaged<PackedMap.Branch>, to key: UnsafeRawBufferPointer,
        _ step: (_ level: Int, _ index: Int) -> Void
    ) -> Unmanaged<PackedMap.Branch> {
        var branch = root
        while true {
            let below = branch._withUnsafeGuaranteedRef { branch -> Unmanaged<PackedMap.Branch>? in
                let index = branch.childIndex(key)
                step(branch.level, index)
                return branch.level > 1 ? Unmanaged.passUnretained(branch.branches[index]) : nil
            }
            guard let below else { return branch }
            branch = below
        }
    }

    /// The branch of level 1 that a way leads to, below `root`.
    @inline(__always)
    static func follow(
        _ way: PackedMap.Way, from root: Unmanaged<PackedMap.Branch>, _ step: (_ level: Int, _ index: Int) -> Void
    ) -> Unmanaged<PackedMap.Branch> {
        var branch = root
        var level = way.height
        while true {
            let index = way[level]
            step(level, index)
            if level == 1 { return branch }
            branch = branch._withUnsafeGuaranteedRef { Unmanaged.passUnretained($0.branches[index]) }
            level &-= 1
        }
    }

    @inline(__always)
    func leaf(_ index: Int) -> Unmanaged<PackedMap.Page> { Unmanaged.passUnretained(leaves[index]) }
}
