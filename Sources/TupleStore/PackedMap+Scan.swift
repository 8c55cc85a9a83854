import CMemory

extension PackedMap {
    /// Calls `body` with the pairs in key order, until it returns `false`.
    ///
    /// The two buffers are valid only inside `body`. Nothing is allocated.
    ///
    /// - Parameters:
    ///   - lower: The inclusive lower bound; `nil` begins with the first key.
    ///   - upper: The exclusive upper bound; `nil` goes on to the last key. Not above `lower`: an empty range.
    /// - Throws: What `body` throws.
    /// - Complexity: O(log `count`) and O(1) for each pair visited.
    public func forEach<E: Error>(
        from lower: UnsafeRawBufferPointer? = nil, below upper: UnsafeRawBufferPointer? = nil,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(E) -> Bool
    ) throws(E) {
        try scan(lower, isExclusive: false, upper, body)
    }

    /// The same, from the first key above `last`: goes on where a bounded step ended.
    ///
    /// Keys may have come and gone in between, `last` itself included.
    public func forEach<E: Error>(
        after last: UnsafeRawBufferPointer, below upper: UnsafeRawBufferPointer? = nil,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(E) -> Bool
    ) throws(E) {
        try scan(last, isExclusive: true, upper, body)
    }

    /// Calls `body` with each page that has pairs in the range, and their slots there, until it returns `false`.
    ///
    /// Many pairs in one call, so that they can be looked at together. The view is valid only inside `body`.
    func forEachPage(
        from lower: UnsafeRawBufferPointer?, below upper: UnsafeRawBufferPointer?,
        _ body: (_ page: PageView, _ slots: Range<Int>) -> Bool
    ) {
        guard let root else { return }
        if let lower, let upper, ByteOrder.compare(lower, upper) >= 0 { return }
        _ = root.forEachPage(lower, upper, body)
    }

    private func scan<E: Error>(
        _ lower: UnsafeRawBufferPointer?, isExclusive: Bool, _ upper: UnsafeRawBufferPointer?,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(E) -> Bool
    ) throws(E) {
        guard let root else { return }
        if let lower, let upper, ByteOrder.compare(lower, upper) >= 0 { return }
        _ = try root.scan(lower, isExclusive: isExclusive, upper, body)
    }
}

extension PackedMap.Branch {
    /// Visits the pairs from `lower` (above it, if `isExclusive`) to below `upper`; returns whether `body` let it
    /// finish.
    ///
    /// Bounds are passed on only to the children at the ends of the range, so that pairs are compared with neither.
    func scan<E: Error>(
        _ lower: UnsafeRawBufferPointer?, isExclusive: Bool, _ upper: UnsafeRawBufferPointer?,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(E) -> Bool
    ) throws(E) -> Bool {
        let first = lower.map { childIndex($0) } ?? 0
        let last = upper.map { childIndex($0) } ?? childCount - 1
        var index = first
        while index <= last {
            let from = index == first ? lower : nil
            let below = index == last ? upper : nil
            let goesOn =
                level == 1
                ? try leaves[index].scan(from, isExclusive: isExclusive, below, body)
                : try branches[index].scan(from, isExclusive: isExclusive, below, body)
            guard goesOn else { return false }
            index += 1
        }
        return true
    }
}

extension PackedMap.Branch {
    /// Returns whether `body` let it finish.
    fileprivate func forEachPage(
        _ lower: UnsafeRawBufferPointer?, _ upper: UnsafeRawBufferPointer?,
        _ body: (PackedMap.PageView, Range<Int>) -> Bool
    ) -> Bool {
        let first = lower.map { childIndex($0) } ?? 0
        let last = upper.map { childIndex($0) } ?? childCount - 1
        if level > 1 {
            for index in first...last {
                let goesOn = branches[index].forEachPage(
                    index == first ? lower : nil, index == last ? upper : nil, body)
                guard goesOn else { return false }
            }
            return true
        }
        return leaves.withUnsafeBufferPointer { leaves in
            for index in first...last {
                // By the time a page's turn comes it is there: pages lie anywhere, so nothing else foresees it. First
                // its header, then what the header says is used.
                if index &+ 2 <= last { leaves[index &+ 2].prefetchHeader() }
                if index &+ 1 <= last { leaves[index &+ 1].prefetchPairs() }
                let goesOn = leaves[index].visit(index == first ? lower : nil, index == last ? upper : nil, body)
                guard goesOn else { return false }
            }
            return true
        }
    }
}

extension PackedMap.Page {
    @inline(__always)
    fileprivate func prefetchHeader() {
        twinspace_prefetch(Unmanaged.passUnretained(self).toOpaque(), PackedMap.Page.overhead)
    }

    @inline(__always)
    fileprivate func prefetchPairs() {
        view { page in
            twinspace_prefetch(page.base, page.slotsEnd)
            // What is far ahead in a page as large as a single pair would be gone again.
            let records = min(page.capacity &- page.recordStart, PackedMap.Page.standardCapacity)
            twinspace_prefetch(page.base + page.recordStart, records)
        }
    }

    fileprivate func visit(
        _ lower: UnsafeRawBufferPointer?, _ upper: UnsafeRawBufferPointer?,
        _ body: (PackedMap.PageView, Range<Int>) -> Bool
    ) -> Bool {
        view { page in
            let slots =
                (lower.map { page.lowerBound($0).slot } ?? 0)..<(upper.map { page.lowerBound($0).slot } ?? page.count)
            return slots.isEmpty || body(page, slots)
        }
    }

    func scan<E: Error>(
        _ lower: UnsafeRawBufferPointer?, isExclusive: Bool, _ upper: UnsafeRawBufferPointer?,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(E) -> Bool
    ) throws(E) -> Bool {
        try view { (page) throws(E) -> Bool in
            var slot = lower.map { isExclusive ? page.upperBound($0) : page.lowerBound($0).slot } ?? 0
            let end = upper.map { page.lowerBound($0).slot } ?? page.count
            while slot < end {
                let record = page.record(slot)
                guard try body(record.key, record.value) else { return false }
                slot &+= 1
            }
            return true
        }
    }
}
