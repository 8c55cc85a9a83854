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

extension PackedMap.Page {
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
