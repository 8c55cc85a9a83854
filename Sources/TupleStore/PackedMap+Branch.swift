extension PackedMap {
    /// An inner node: children, and between each two of them a separator.
    ///
    /// Keys in child `i` are not below separator `i - 1` and below separator `i`. Separators are as short as they can
    /// be: when a leaf is split, the first bytes of the right one's first key that tell it from the left one's last.
    ///
    /// Level 1 has leaves for children, a higher level has branches; the other array stays empty. Two arrays cost eight
    /// bytes and save all casts.
    final class Branch {
        /// Children at most; split above.
        static let maximumChildren = 128
        /// Children at least, unless this is the root. Keeps the tree's height within `Path.maximumHeight`, however
        /// long the separators are.
        static let minimumChildren = 4
        /// Bytes of separators from which a branch is split, if both halves get enough children: copying a branch must
        /// stay cheap.
        static let maximumSeparatorBytes = 16_384

        let level: Int
        // A branch is reached through the map alone, a value whose own accesses the compiler keeps apart: what would be checked
        // here again, at each step of each way, cannot go wrong, and it took a thirtieth of an update's time.
        /// The separators: the keys of a page whose values are empty.
        @exclusivity(unchecked) var separators: Page
        @exclusivity(unchecked) var leaves: ContiguousArray<Page>
        @exclusivity(unchecked) var branches: ContiguousArray<Branch>

        init(
            level: Int, separators: Page, leaves: ContiguousArray<Page> = [],
            branches: ContiguousArray<Branch> = []
        ) {
            self.level = level
            self.separators = separators
            self.leaves = leaves
            self.branches = branches
        }

        convenience init(leaf: Page) {
            self.init(level: 1, separators: Branch.noSeparators(), leaves: [leaf])
        }

        convenience init(above child: Branch) {
            self.init(level: child.level + 1, separators: Branch.noSeparators(), branches: [child])
        }

        private static func noSeparators() -> Page { Page.make(capacity: 256) }

        var childCount: Int { level == 1 ? leaves.count : branches.count }

        /// Too many children, or too long separators.
        var isOverfull: Bool {
            if childCount > Branch.maximumChildren { return true }
            return childCount >= 2 * Branch.minimumChildren
                && separators.view { $0.footprint } > Branch.maximumSeparatorBytes
        }

        /// So small that it should be joined with a neighbour.
        var isUnderfull: Bool {
            if childCount < Branch.minimumChildren { return true }
            return childCount < Branch.maximumChildren / 4
                && separators.view { $0.footprint } < Branch.maximumSeparatorBytes / 4
        }

        /// The index of the child that `key` belongs to.
        @inline(__always)
        func childIndex(_ key: UnsafeRawBufferPointer) -> Int {
            Unmanaged.passUnretained(separators)._withUnsafeGuaranteedRef { $0.view { $0.upperBound(key) } }
        }

        /// A branch with the same children, which both then share.
        func copy() -> Branch {
            Branch(level: level, separators: separators, leaves: leaves, branches: branches)
        }

        /// The leaf `index`, copied before if a snapshot shares it; not counted. This branch must not be shared.
        @inline(__always)
        func uniqueLeaf(_ index: Int) -> Unmanaged<Page> {
            if !isKnownUniquelyReferenced(&leaves[index]) { leaves[index] = leaves[index].copy() }
            return leaf(index)
        }

        /// Copies the branch `index` if a snapshot shares it. This branch must not be shared.
        @inline(__always)
        func makeUnique(branch index: Int) {
            if !isKnownUniquelyReferenced(&branches[index]) { branches[index] = branches[index].copy() }
        }

        /// The branch `index`, copied before if a snapshot shares it. This branch must not be shared.
        @inline(__always)
        func uniqueBranch(_ index: Int) -> Branch {
            makeUnique(branch: index)
            return branches[index]
        }
    }
}

// Changes of a branch that nobody shares.
extension PackedMap.Branch {
    /// Makes `separator` the separator `index`, before what stood there.
    func insertSeparator(_ separator: UnsafeRawBufferPointer, at index: Int) {
        let size = PackedMap.Record.size(keyCount: separator.count, valueCount: 0)
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        let fits = separators.view { $0.fits(recordSize: size) }
        if fits {
            if !isKnownUniquelyReferenced(&separators) { separators = separators.copy() }
        } else {
            separators = separators.view { old in
                // Half as large again, so that growing costs a constant per separator.
                let needed = (old.count + 1) * 8 + old.recordBytes + size
                let page = PackedMap.Page.make(capacity: needed + needed / 2)
                page.view { $0.append(old, 0..<old.count) }
                return page
            }
        }
        separators.view { $0.insert(key: separator, value: empty, at: index) }
    }

    func removeSeparator(at index: Int) {
        if !isKnownUniquelyReferenced(&separators) { separators = separators.copy() }
        separators.view { $0.remove(at: index) }
    }

    /// Removes the child `index` with the separator before it, or behind it if it is the first.
    func removeChild(at index: Int) {
        if level == 1 { leaves.remove(at: index) } else { branches.remove(at: index) }
        if childCount > 0 { removeSeparator(at: max(0, index - 1)) }
    }

    /// Puts `leaf` behind the leaf `index`, with the shortest separator between them.
    func insertLeaf(_ leaf: PackedMap.Page, after index: Int) {
        leaf.view { right in
            leaves[index].view { left in
                insertSeparator(PackedMap.Branch.separator(left, right), at: index)
            }
        }
        leaves.insert(leaf, at: index + 1)
    }

    /// Puts the right separator between two leaves whose pairs have changed.
    func replaceSeparator(_ index: Int) {
        removeSeparator(at: index)
        leaves[index].view { left in
            leaves[index + 1].view { right in
                insertSeparator(PackedMap.Branch.separator(left, right), at: index)
            }
        }
    }

    /// The shortest byte string above all keys of `left` and not above any of `right`: a prefix of a key of `right`.
    private static func separator(
        _ left: PackedMap.PageView, _ right: PackedMap.PageView
    ) -> UnsafeRawBufferPointer {
        let first = right.key(0)
        let common = PackedMap.ByteOrder.commonPrefix(left.key(left.count - 1), first)
        return UnsafeRawBufferPointer(rebasing: first[..<(common + 1)])
    }

    /// Moves the children from `index` on to a new branch; the separator before them goes up, to stand between the two.
    func split(at index: Int) -> (separator: [UInt8], right: PackedMap.Branch) {
        let (middle, low, high) = separators.view { all in
            ([UInt8](all.key(index - 1)), part(all, 0..<(index - 1)), part(all, index..<all.count))
        }
        let right = PackedMap.Branch(level: level, separators: high)
        if level == 1 {
            right.leaves = ContiguousArray(leaves[index...])
            leaves.removeSubrange(index...)
        } else {
            right.branches = ContiguousArray(branches[index...])
            branches.removeSubrange(index...)
        }
        separators = low
        return (middle, right)
    }

    /// Takes over all children of `right`, which keeps its own references; `separator` stood between the two.
    func join(_ right: PackedMap.Branch, separator: [UInt8]) {
        separator.withUnsafeBytes { insertSeparator($0, at: childCount - 1) }
        right.separators.view { more in
            for slot in 0..<more.count { insertSeparator(more.key(slot), at: childCount + slot) }
        }
        leaves.append(contentsOf: right.leaves)
        branches.append(contentsOf: right.branches)
    }

    /// Splits the child branches from `index` on until none of the pieces is overfull.
    ///
    /// - Parameter atRightEdge: The tree grows at its end: leave what is to the left full.
    func relieveBranch(_ index: Int, atRightEdge: Bool) {
        var index = index
        var last = index
        while index <= last {
            let child = uniqueBranch(index)
            guard child.isOverfull else {
                index += 1
                continue
            }
            let count = child.childCount
            let (separator, right) = child.split(
                at: atRightEdge ? count - PackedMap.Branch.minimumChildren : count / 2)
            separator.withUnsafeBytes { insertSeparator($0, at: index) }
            branches.insert(right, at: index + 1)
            last += 1
        }
    }

    private func part(_ all: PackedMap.PageView, _ slots: Range<Int>) -> PackedMap.Page {
        var bytes = 0
        for slot in slots { bytes += all.record(slot).size }
        let page = PackedMap.Page.make(capacity: max(256, (slots.count * 8 + bytes) * 3 / 2))
        page.view { $0.append(all, slots) }
        return page
    }
}
