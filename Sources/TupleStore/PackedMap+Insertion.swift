// How pairs get in, and leaves and branches are split.
extension PackedMap {
    /// Inserts a pair where `path` says it belongs. The key is absent.
    mutating func insert(_ pair: Record, at path: Path) {
        count += 1
        byteCount += pair.key.count + pair.value.count
        if !putInPlace(pair, at: path) { divide(pair, path) }
    }

    private mutating func divide(_ pair: Record, _ path: Path) {
        pair.withPacked { divide($0, path) }
    }

    /// The first pair of an empty map.
    mutating func insertFirst(_ pair: Record) {
        let page = Page.make(count: 1, recordBytes: pair.size)
        page.view { $0.insert(key: pair.key, value: pair.value, at: 0) }
        root = Branch(leaf: page)
        shape &+= 1
        count = 1
        byteCount = pair.key.count + pair.value.count
    }

    /// Replaces the value of the pair that `path` leads to, and hands the old one to `body` before.
    mutating func replace(_ pair: Record, at path: Path, _ body: (UnsafeRawBufferPointer) -> Void) {
        if overwriteOrRemove(pair, at: path, body) { return }
        if putInPlace(pair, at: path) {
            // A shorter value may leave too little in the leaf.
            settle(path)
        } else {
            divide(pair, path)
        }
    }

    /// Overwrites the value if the new one is as long; otherwise takes the pair out of its leaf, and returns `false`.
    private mutating func overwriteOrRemove(
        _ pair: Record, at path: Path, _ body: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        withUniqueLeaf(path) { map, page in
            let old = page.record(path.slot).value
            body(old)
            map.byteCount += pair.value.count - old.count
            if old.count == pair.value.count {
                page.overwriteValue(at: path.slot, with: pair.value)
                return true
            }
            page.remove(at: path.slot)
            return false
        }
    }

    /// Puts a pair in its leaf if that has room.
    private mutating func putInPlace(_ pair: Record, at path: Path) -> Bool {
        uniqueParent(path)._withUnsafeGuaranteedRef { parent in
            let index = path[1]
            let fits = parent.leaf(index)._withUnsafeGuaranteedRef { leaf in
                leaf.view { $0.capacity == Page.standardCapacity && $0.fits(recordSize: pair.size) }
            }
            guard fits else { return false }
            parent.uniqueLeaf(index)._withUnsafeGuaranteedRef { leaf in
                leaf.view { $0.insert(key: pair.key, value: pair.value, at: path.slot) }
            }
            return true
        }
    }

    /// Distributes the pairs of a leaf that has no room for another one, and that one, over two leaves or more.
    private mutating func divide(_ pair: PackedRecord, _ path: Path) {
        let branches = uniqueBranches(path)
        let parent = branches[branches.count - 1]
        let index = path[1]
        let leaf = parent.leaves[index]
        let atLeftEdge = branches.allSatisfy { path[$0.level] == 0 }
        let atRightEdge = branches.allSatisfy { path[$0.level] == $0.childCount - 1 }
        let grown =
            atLeftEdge || atRightEdge
            ? leaf.view { page in
                Division(page: page, pair: pair, slot: path.slot).piecesAtEnd(leaf, atLeftEdge, atRightEdge)
            } : nil
        if grown == nil, parent.shareWithNeighbour(index, pair, slot: path.slot, ownWorkplace()) {
            relieve(branches, path, atRightEdge: false)
            return
        }
        let pieces = grown ?? leaf.view { Division(page: $0, pair: pair, slot: path.slot).halves() }
        let childCount = parent.childCount
        parent.leaves[index] = pieces[0]
        for offset in 1..<max(1, pieces.count) { parent.insertLeaf(pieces[offset], after: index + offset - 1) }
        // A small piece at either end may go together with what is next to it. The last first: it does not move the
        // first.
        if pieces.count > 1 { parent.mergeSmallLeaf(index + pieces.count - 1) }
        parent.mergeSmallLeaf(index)
        if parent.childCount < childCount {
            joinUnderfull(branches, path)
        } else {
            relieve(branches, path, atRightEdge: atRightEdge)
        }
    }

    /// A workplace that no copy of the map, perhaps on another thread, uses.
    private mutating func ownWorkplace() -> Workplace {
        if !isKnownUniquelyReferenced(&workplace) { workplace = nil }
        let own = workplace ?? Workplace()
        workplace = own
        return own
    }

    /// Puts a leaf whose keys are all above the others at the end.
    ///
    /// - Complexity: O(log `count`), amortised.
    mutating func appendLeaf(_ leaf: Page) {
        guard let root else {
            root = Branch(leaf: leaf)
            shape &+= 1
            return
        }
        var path = Path(height: root.level)
        var branch = root
        while branch.level > 1 {
            path[branch.level] = branch.branches.count - 1
            branch = branch.branches[branch.branches.count - 1]
        }
        path[1] = branch.leaves.count - 1
        let branches = uniqueBranches(path)
        branches[branches.count - 1].insertLeaf(leaf, after: path[1])
        relieve(branches, path, atRightEdge: true)
    }

    /// Splits the branches on `path` that have become overfull, from the lowest up.
    mutating func relieve(_ branches: [Branch], _ path: Path, atRightEdge: Bool) {
        for (above, branch) in zip(branches, branches.dropFirst()).reversed() {
            guard branch.isOverfull else { return }
            above.relieveBranch(path[above.level], atRightEdge: atRightEdge)
        }
        while let top = root, top.isOverfull {
            let above = Branch(above: top)
            root = above
            above.relieveBranch(0, atRightEdge: atRightEdge)
        }
    }
}
