// How pairs get out, and leaves and branches are joined so that memory returns.
extension PackedMap {
    /// Removes the pair that `path` leads to, and hands its value to `body` before.
    mutating func remove(at path: Path, _ body: (UnsafeRawBufferPointer) -> Void) {
        let isSmall = withUniqueLeaf(path) { map, page in
            let record = page.record(path.slot)
            body(record.value)
            map.count -= 1
            map.byteCount -= record.key.count + record.value.count
            page.remove(at: path.slot)
            return page.isSmall
        }
        if isSmall { settle(path) }
    }

    /// Joins the leaf on `path` with neighbours if they are small together, then likewise the branches above it.
    mutating func settle(_ path: Path) {
        if count == 0 {
            root = nil
            shape &+= 1
        } else if settleLeaf(path) {
            joinUnderfull(uniqueBranches(path), path)
        }
    }

    /// Returns whether leaves were joined. Apart, so that nothing refers to the branch when it is next tested for
    /// sharing.
    private mutating func settleLeaf(_ path: Path) -> Bool {
        uniqueParent(path)._withUnsafeGuaranteedRef { parent in
            let childCount = parent.childCount
            parent.mergeSmallLeaf(path[1])
            return parent.childCount < childCount
        }
    }

    /// Joins branches on `path` that have lost too many children with neighbours, from the lowest up.
    mutating func joinUnderfull(_ branches: [Branch], _ path: Path) {
        for (above, branch) in zip(branches, branches.dropFirst()).reversed() {
            guard branch.isUnderfull else { break }
            above.joinBranch(path[above.level])
        }
        while let top = root, top.level > 1, top.branches.count == 1 { root = top.branches[0] }
    }
}

extension PackedMap.PageView {
    /// Whether less than half of an ordinary page is used.
    @inline(__always) var isSmall: Bool { footprint < PackedMap.Page.standardCapacity / 2 }
}

extension PackedMap.Branch {
    /// What two leaves joined may take: not all of a page, so that the next insertion does not split them again.
    private static let maximumMergedBytes = PackedMap.Page.standardCapacity / 4 * 3

    /// Joins the leaf `index` with its neighbours as long as it is small and they fit together.
    ///
    /// Thus two neighbours of the same branch always hold half a page between them: where both are small they are
    /// joined when the second becomes so, and where one is not it holds that alone. An empty leaf goes.
    func mergeSmallLeaf(_ index: Int) {
        var index = index
        while leaves[index].view({ $0.isSmall }) {
            if leaves[index].view({ $0.count == 0 }) {
                removeChild(at: index)
                if leaves.isEmpty { return }
                // Its neighbours have become each other's; one of them may have been small all the time.
                index = max(0, index - 1)
                if index + 1 < leaves.count && !leaves[index].view({ $0.isSmall }) { index += 1 }
                continue
            }
            if index > 0 && fitTogether(index - 1) {
                index -= 1
            } else if index + 1 >= leaves.count || !fitTogether(index) {
                return
            }
            let joined = PackedMap.Page.make(capacity: PackedMap.Page.standardCapacity)
            joined.view { page in
                leaves[index].view { left in page.append(left, 0..<left.count) }
                leaves[index + 1].view { right in page.append(right, 0..<right.count) }
            }
            leaves[index] = joined
            removeChild(at: index + 1)
        }
    }

    private func fitTogether(_ index: Int) -> Bool {
        leaves[index].view { $0.footprint } + leaves[index + 1].view { $0.footprint }
            <= PackedMap.Branch.maximumMergedBytes
    }

    /// Joins the child branch `index` with a neighbour; if the two are too large for one branch, evens them out.
    func joinBranch(_ index: Int) {
        guard branches.count > 1 else { return }
        let left = index > 0 ? index - 1 : index
        let joined = uniqueBranch(left)
        let seam = joined.childCount
        joined.join(branches[left + 1], separator: separators.view { [UInt8]($0.key(left)) })
        removeChild(at: left + 1)
        if joined.level == 1 {
            // The leaves on both sides of the seam have become neighbours.
            joined.mergeSmallLeaf(seam)
            joined.mergeSmallLeaf(min(seam, joined.leaves.count) - 1)
        }
        relieveBranch(left, atRightEdge: false)
    }
}
