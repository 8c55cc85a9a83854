// Changes of a page in place. Callers have made sure that nobody else sees the page.
extension PackedMap.PageView {
    /// Whether a record of `size` bytes and its slot still fit, after compaction if need be.
    @inline(__always)
    func fits(recordSize size: Int) -> Bool {
        slotsEnd &+ slotSize &+ recordBytes &+ size <= capacity
    }

    /// Inserts a pair as `slot`, which must be its place in the key order. The pair must fit.
    func insert(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, at slot: Int) {
        let size = PackedMap.Record.size(keyCount: key.count, valueCount: value.count)
        precondition(fits(recordSize: size) && slot <= count, "a page has no room for the pair")
        if slotsEnd &+ slotSize &+ size > recordStart { compact() }
        narrowPrefix(for: key, at: slot)

        let places = base + slot &* slotSize
        (places + slotSize).copyMemory(from: places, byteCount: slotsEnd &- slot &* slotSize)
        header.pointee.count &+= 1
        setHead(slot, PackedMap.ByteOrder.head(of: key, from: prefixLength))
        writeRecord(PackedMap.Record(key: key, value: value), size: size, slot: slot)
    }

    /// Becomes the same as a page of the same capacity.
    func take(_ source: PackedMap.PageView) {
        header.initialize(to: source.header.pointee)
        base.copyMemory(from: source.base, byteCount: source.slotsEnd)
        let start = source.recordStart
        (base + start).copyMemory(from: source.base + start, byteCount: source.capacity - start)
    }

    /// Fills a page, whatever it had, with copies of these pairs, which are so many bytes and lie elsewhere.
    func fill(_ records: ContiguousArray<PackedMap.PackedRecord>.SubSequence, bytes: Int) {
        precondition(records.count &* slotSize &+ bytes <= capacity, "a page has no room for the pairs")
        guard let first = records.first, let last = records.last else { return }
        let prefixLength = PackedMap.ByteOrder.commonPrefix(first.key, last.key)
        var slot = 0
        var start = capacity
        for record in records {
            start &-= record.size
            let copy = base + start
            copy.copyMemory(from: record.start, byteCount: record.size)
            let key = PackedMap.Record(at: UnsafeRawPointer(copy)).key
            setHead(slot, PackedMap.ByteOrder.head(of: key, from: prefixLength))
            setOffset(slot, start)
            slot &+= 1
        }
        header.pointee.count = UInt32(slot)
        setPrefix(prefixLength, of: first.key)
        header.pointee.recordStart = UInt32(start)
        header.pointee.recordBytes = UInt32(capacity &- start)
    }

    /// Adds a copy of `record` behind the last pair, without its head: `rebuildHeads()` must follow.
    func appendHeadless(_ record: PackedMap.Record) {
        let slot = count
        header.pointee.count &+= 1
        setHead(slot, 0)
        writeRecord(record, size: record.size, slot: slot)
    }

    /// Adds copies of the pairs `slots` of another page behind the last.
    func append(_ source: PackedMap.PageView, _ slots: Range<Int>) {
        for slot in slots { appendHeadless(source.record(slot)) }
        rebuildHeads()
    }

    /// Removes the pair in `slot`, leaving a hole among the records unless it was the lowest of them.
    func remove(at slot: Int) {
        let start = offset(slot)
        let size = record(slot).size
        let places = base + slot &* slotSize
        places.copyMemory(from: places + slotSize, byteCount: slotsEnd &- (slot &+ 1) &* slotSize)
        header.pointee.count &-= 1
        header.pointee.recordBytes &-= UInt32(size)
        if count == 0 {
            header.pointee.recordStart = header.pointee.capacity
            setPrefix(0, of: UnsafeRawBufferPointer(start: nil, count: 0))
        } else if start == recordStart {
            header.pointee.recordStart &+= UInt32(size)
        }
    }

    /// Overwrites the value in `slot` with one of the same length.
    func overwriteValue(at slot: Int, with value: UnsafeRawBufferPointer) {
        let old = record(slot).value
        precondition(old.count == value.count, "only a value of the same length is overwritten in place")
        UnsafeMutableRawBufferPointer(mutating: old).copyMemory(from: value)
    }

    /// Sets the prefix to all that the first and the last key share, and the heads accordingly.
    func rebuildHeads() {
        guard count > 0 else {
            setPrefix(0, of: UnsafeRawBufferPointer(start: nil, count: 0))
            return
        }
        setPrefix(PackedMap.ByteOrder.commonPrefix(key(0), key(count &- 1)), of: key(0))
        resetHeads()
    }

    /// All keys have the first `length` bytes of `key` in common.
    @inline(__always)
    private func setPrefix(_ length: Int, of key: UnsafeRawBufferPointer) {
        header.pointee.prefixLength = UInt32(length)
        header.pointee.prefixHead = PackedMap.PrefixHead(of: key, length: length)
    }

    /// Shortens the prefix to what `key`, about to become `slot`, shares. Only a new first or last key can do so: one
    /// in between shares whatever its neighbours do.
    @inline(__always)
    private func narrowPrefix(for key: UnsafeRawBufferPointer, at slot: Int) {
        let count = count
        if count == 0 {
            setPrefix(key.count, of: key)
        } else if slot == 0 || slot == count {
            let prefix = UnsafeRawBufferPointer(rebasing: self.key(0)[..<prefixLength])
            let common = PackedMap.ByteOrder.commonPrefix(key, prefix)
            guard common < prefixLength else { return }
            setPrefix(common, of: key)
            resetHeads()
        }
    }

    private func resetHeads() {
        let prefixLength = prefixLength
        for slot in 0..<count { setHead(slot, PackedMap.ByteOrder.head(of: key(slot), from: prefixLength)) }
    }

    /// Writes a record below the lowest one and lets `slot` point to it.
    @inline(__always)
    private func writeRecord(_ record: PackedMap.Record, size: Int, slot: Int) {
        let start = recordStart &- size
        header.pointee.recordStart = UInt32(start)
        header.pointee.recordBytes &+= UInt32(size)
        setOffset(slot, start)
        record.write(to: base + start)
    }

    /// Moves the records together at the page's end, in key order, so that all free bytes are in one gap.
    private func compact() {
        let start = recordStart
        let length = capacity &- start
        withUnsafeTemporaryAllocation(byteCount: max(1, length), alignment: 8) { scratch in
            guard let copy = scratch.baseAddress else { return }
            copy.copyMemory(from: base + start, byteCount: length)
            var end = capacity
            for slot in 0..<count {
                let old = offset(slot)
                // The record itself still stands in the copy only: its old place may be overwritten by now.
                let size = PackedMap.Record(at: UnsafeRawPointer(copy) + (old &- start)).size
                end &-= size
                (base + end).copyMemory(from: copy + (old &- start), byteCount: size)
                setOffset(slot, end)
            }
            header.pointee.recordStart = UInt32(end)
        }
    }
}
