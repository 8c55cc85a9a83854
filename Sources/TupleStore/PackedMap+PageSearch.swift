extension PackedMap.PageView {
    /// A place in a page: of the pair with the key, or where it would have to be inserted.
    struct Place {
        let slot: Int
        let found: Bool
    }

    /// The slot of `key`, if the page holds it.
    ///
    /// Does not look whether `key` shares the page's prefix: if it does not, the search goes astray, but the final
    /// comparison of whole keys finds no match, which is right. This saves the cache miss of reading a first key.
    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer) -> Int? {
        if key.count < prefixLength { return nil }
        let place = searchBehindPrefix(key)
        return place.found ? place.slot : nil
    }

    /// The first slot whose key is not below `key`, and whether it is `key` itself.
    ///
    /// - Complexity: O(log count) head comparisons.
    @inline(__always)
    func lowerBound(_ key: UnsafeRawBufferPointer) -> Place {
        let prefixLength = prefixLength
        if prefixLength > 0, count > 0, !sharesPrefix(key) {
            let prefix = UnsafeRawBufferPointer(rebasing: self.key(0)[..<prefixLength])
            let common = PackedMap.ByteOrder.commonPrefix(key, prefix)
            if common < prefixLength {
                if common == key.count || key[common] < prefix[common] { return Place(slot: 0, found: false) }
                return Place(slot: count, found: false)
            }
        }
        return searchBehindPrefix(key)
    }

    /// The number of keys not above `key`: in a branch, the index of the child that `key` belongs to.
    @inline(__always)
    func upperBound(_ key: UnsafeRawBufferPointer) -> Int {
        let place = lowerBound(key)
        return place.found ? place.slot &+ 1 : place.slot
    }

    /// Whether `key` has the prefix.
    @inline(__always)
    private func sharesPrefix(_ key: UnsafeRawBufferPointer) -> Bool {
        let length = prefixLength
        let known = PackedMap.PrefixHead.maximumLength
        guard key.count >= length, PackedMap.PrefixHead(of: key, length: length) == header.pointee.prefixHead else {
            return false
        }
        guard length > known, let start = key.baseAddress, let first = self.key(0).baseAddress else { return true }
        return PackedMap.ByteOrder.firstDifference(start + known, first + known, count: length &- known) == length
            &- known
    }

    /// Binary search by heads, and by whole keys only among equal heads.
    @inline(__always)
    private func searchBehindPrefix(_ key: UnsafeRawBufferPointer) -> Place {
        let head = PackedMap.ByteOrder.head(of: key, from: prefixLength)
        let low = firstSlot(notBelow: head)
        if low == count || self.head(low) != head { return Place(slot: low, found: false) }
        let order = PackedMap.ByteOrder.compare(key, self.key(low))
        if order == 0 { return Place(slot: low, found: true) }
        if order < 0 { return Place(slot: low, found: false) }
        return searchAmongEqualHeads(key, head, from: low &+ 1)
    }

    /// The slot of `key`, or where it would have to be inserted, for all that the heads tell.
    @inline(__always)
    func likelySlot(_ key: UnsafeRawBufferPointer) -> Int {
        firstSlot(notBelow: PackedMap.ByteOrder.head(of: key, from: min(prefixLength, key.count)))
    }

    /// The same as ``lowerBound(_:)``, which is looked for only where `slot` is not it.
    @inline(__always)
    func lowerBound(_ key: UnsafeRawBufferPointer, perhaps slot: Int) -> Place {
        guard slot <= count, count > 0, sharesPrefix(key) else { return lowerBound(key) }
        let head = PackedMap.ByteOrder.head(of: key, from: prefixLength)
        guard slot == 0 || self.head(slot &- 1) < head else { return lowerBound(key) }
        if slot == count || self.head(slot) > head { return Place(slot: slot, found: false) }
        guard self.head(slot) == head, PackedMap.ByteOrder.compare(key, self.key(slot)) == 0 else {
            return lowerBound(key)
        }
        return Place(slot: slot, found: true)
    }

    /// The first slot whose head is not below `head`.
    @inline(__always)
    private func firstSlot(notBelow head: UInt32) -> Int {
        let slotSize = slotSize
        var low = 0
        var length = count
        // One conditional move a round instead of a branch that the processor could only guess.
        while length > 0 {
            let half = length &>> 1
            let middle = low &+ half
            let below = base.loadUnaligned(fromByteOffset: middle &* slotSize, as: UInt32.self) < head
            low = below ? middle &+ 1 : low
            length = below ? length &- half &- 1 : half
        }
        return low
    }

    /// The rest of the search when the key is above the first slot of its head.
    private func searchAmongEqualHeads(_ key: UnsafeRawBufferPointer, _ head: UInt32, from start: Int) -> Place {
        var low = start
        var high = count
        while low < high {
            let middle = (low &+ high) &>> 1
            if self.head(middle) != head {
                high = middle
                continue
            }
            let order = PackedMap.ByteOrder.compare(key, self.key(middle))
            if order == 0 { return Place(slot: middle, found: true) }
            if order < 0 { high = middle } else { low = middle &+ 1 }
        }
        return Place(slot: low, found: false)
    }
}
