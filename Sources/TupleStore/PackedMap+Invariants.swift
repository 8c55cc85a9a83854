extension PackedMap {
    /// A property of the structure that does not hold: a defect of the map, never of what is stored in it.
    package struct InvariantViolation: Error, CustomStringConvertible {
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// Checks the whole structure: the order of keys, within and across pages; separators; bounds, overlaps and lengths
    /// of records; heads and prefixes; fill of pages and branches; uniform depth; counts.
    ///
    /// - Throws: `InvariantViolation`, the first one found.
    /// - Complexity: O(`byteCount`).
    package func checkInvariants() throws(InvariantViolation) {
        guard let root else {
            guard count == 0 && byteCount == 0 else { throw InvariantViolation("no root, but \(count) pairs") }
            return
        }
        guard root.level >= 1 && root.level <= Path.maximumHeight else {
            throw InvariantViolation("the root is at level \(root.level)")
        }
        guard root.level == 1 || root.branches.count > 1 else {
            throw InvariantViolation("the root has a single branch below it")
        }
        var pass = InvariantPass()
        try pass.check(root, isRoot: true, lower: nil, upper: nil)
        guard pass.count == count && pass.byteCount == byteCount else {
            throw InvariantViolation(
                "\(pass.count) pairs of \(pass.byteCount) bytes, but counted \(count) of \(byteCount)")
        }
    }
}

/// One walk through the tree, in key order.
private struct InvariantPass {
    typealias Violation = PackedMap.InvariantViolation

    var count = 0
    var byteCount = 0

    mutating func check(
        _ branch: PackedMap.Branch, isRoot: Bool, lower: [UInt8]?, upper: [UInt8]?
    ) throws(Violation) {
        let level = branch.level
        guard level == 1 ? branch.branches.isEmpty : branch.leaves.isEmpty else {
            throw Violation("a branch of level \(level) has children of another level")
        }
        let children = branch.childCount
        guard children >= (isRoot ? 1 : PackedMap.Branch.minimumChildren) && !branch.isOverfull else {
            throw Violation("a branch of level \(level) has \(children) children")
        }
        let separators = try branch.separators.view { (page) throws(Violation) -> [[UInt8]] in
            try check(page, lower: lower, upper: upper)
            return (0..<page.count).map { [UInt8](page.key($0)) }
        }
        guard separators.count == children - 1 else {
            throw Violation("\(children) children, but \(separators.count) separators")
        }
        for index in 0..<children {
            let low = index == 0 ? lower : separators[index - 1]
            let high = index == children - 1 ? upper : separators[index]
            if level == 1 {
                try checkLeaf(branch, index, lower: low, upper: high)
            } else {
                guard branch.branches[index].level == level - 1 else {
                    throw Violation("a branch of level \(branch.branches[index].level) below one of \(level)")
                }
                try check(branch.branches[index], isRoot: false, lower: low, upper: high)
            }
        }
    }

    private mutating func checkLeaf(
        _ branch: PackedMap.Branch, _ index: Int, lower: [UInt8]?, upper: [UInt8]?
    ) throws(Violation) {
        let standard = PackedMap.Page.standardCapacity
        let footprint = try branch.leaves[index].view { (page) throws(Violation) -> Int in
            try check(page, lower: lower, upper: upper)
            guard page.count > 0 else { throw Violation("a leaf is empty") }
            guard page.capacity == standard || (page.capacity > standard && page.count == 1) else {
                throw Violation("a leaf of \(page.capacity) bytes with \(page.count) pairs")
            }
            count += page.count
            for slot in 0..<page.count {
                let record = page.record(slot)
                byteCount += record.key.count + record.value.count
            }
            return page.footprint
        }
        guard index + 1 < branch.leaves.count else { return }
        let next = branch.leaves[index + 1].view { $0.footprint }
        guard footprint + next >= standard / 2 else {
            throw Violation("neighbouring leaves hold \(footprint) and \(next) bytes, less than half a page together")
        }
    }

    /// One page: bounds first, since nothing in it can be read safely before.
    private func check(_ page: PackedMap.PageView, lower: [UInt8]?, upper: [UInt8]?) throws(Violation) {
        guard page.slotSize == (page.capacity <= Int(UInt16.max) ? 6 : 8) else {
            throw Violation("slots of \(page.slotSize) bytes in a page of \(page.capacity)")
        }
        guard page.slotsEnd <= page.recordStart && page.recordStart <= page.capacity else {
            throw Violation("slots end at \(page.slotsEnd), records start at \(page.recordStart) of \(page.capacity)")
        }
        try checkRecords(page)
        for slot in 0..<page.count {
            let key = page.key(slot)
            if slot > 0 && PackedMap.ByteOrder.compare(page.key(slot - 1), key) >= 0 {
                throw Violation("key \(slot) of a page is not above the one before it")
            }
            guard key.count >= page.prefixLength && key.starts(with: page.key(0).prefix(page.prefixLength)) else {
                throw Violation("key \(slot) lacks the page's prefix of \(page.prefixLength) bytes")
            }
            guard page.head(slot) == PackedMap.ByteOrder.head(of: key, from: page.prefixLength) else {
                throw Violation("the head of slot \(slot) is not that of its key")
            }
        }
        guard page.count > 0 else { return }
        guard page.header.pointee.prefixHead == PackedMap.PrefixHead(of: page.key(0), length: page.prefixLength) else {
            throw Violation("the head of a page's prefix is not that of its keys")
        }
        if let lower, lower.withUnsafeBytes({ PackedMap.ByteOrder.compare($0, page.key(0)) }) > 0 {
            throw Violation("a key is below the separator to its left")
        }
        if let upper, upper.withUnsafeBytes({ PackedMap.ByteOrder.compare($0, page.key(page.count - 1)) }) <= 0 {
            throw Violation("a key is not below the separator to its right")
        }
    }

    /// Records lie within the page and do not overlap, and their bytes are counted rightly.
    private func checkRecords(_ page: PackedMap.PageView) throws(Violation) {
        var ends: [(start: Int, end: Int)] = []
        for slot in 0..<page.count {
            let start = page.offset(slot)
            guard start >= page.recordStart && start + 2 <= page.capacity else {
                throw Violation("slot \(slot) points to \(start), outside of the records")
            }
            let record = page.record(slot)
            guard record.size <= page.capacity - start else {
                throw Violation("the record of slot \(slot) reaches beyond its page")
            }
            ends.append((start, start + record.size))
        }
        ends.sort { $0.start < $1.start }
        for (one, next) in zip(ends, ends.dropFirst()) where one.end > next.start {
            throw Violation("records overlap at \(next.start)")
        }
        let bytes = ends.reduce(0) { $0 + $1.end - $1.start }
        guard bytes == page.recordBytes else {
            throw Violation("\(bytes) bytes of records, but counted \(page.recordBytes)")
        }
    }
}
