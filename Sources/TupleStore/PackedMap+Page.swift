extension PackedMap {
    /// What a page knows about its bytes.
    struct PageHeader {
        /// Bytes after the header: slots grow from their start, records from their end.
        let capacity: UInt32
        /// Bytes a slot takes: 6 (head and 16-bit offset), or 8 (32-bit offset) in pages too large for 16 bits.
        let slotSize: UInt32
        /// Pairs in the page.
        var count: UInt32
        /// Leading bytes that all keys here share; the heads in the slots are taken from the bytes after them.
        var prefixLength: UInt32
        /// The first bytes of that prefix: a search need not look at one of the keys for them.
        var prefixHead = PrefixHead()
        /// Offset of the lowest record; the gap between the slots and it is free.
        var recordStart: UInt32
        /// Bytes of all living records. Less than `capacity - recordStart` when removals left holes.
        var recordBytes: UInt32
    }

    /// A slotted page: pairs packed into one piece of memory, in key order.
    ///
    ///     | slot 0 | slot 1 | ...  free  ... | record | record | ... |
    ///     slot:   head of the key (4 bytes), offset of the record (2 or 4 bytes)
    ///     record: key length, value length (LEB128 each), key, value
    ///
    /// Slots are in key order, records in any. A binary search reads only heads as long as these differ. Keys are
    /// stored whole, although they share a prefix, because a scan hands them out in place.
    ///
    /// The page is one allocation (header and bytes behind the object's own), so that reaching a pair costs no further
    /// cache miss. The class has no logic: everything is in `PageView`, the pointers to the header and the bytes.
    final class Page: ManagedBuffer<PageHeader, UInt8> {
        /// Bytes of an ordinary leaf's slots and records. With the object's 16 bytes, the header's 40 and the
        /// allocator's 8 it makes 4,096.
        static let standardCapacity = 4_032

        /// Bytes an allocation takes besides its capacity.
        static let overhead = 64

        /// Lays out an empty page of at least `capacity` bytes.
        static func make(capacity: Int) -> Page {
            precondition(capacity <= Int(Int32.max), "a pair of a PackedMap is limited to 2 GiB")
            let buffer = create(minimumCapacity: capacity) { _ in
                PageHeader(
                    capacity: UInt32(capacity), slotSize: capacity <= Int(UInt16.max) ? 6 : 8, count: 0,
                    prefixLength: 0, recordStart: UInt32(capacity), recordBytes: 0)
            }
            return unsafeDowncast(buffer, to: Page.self)
        }

        /// An empty page that has room for `count` records of `recordBytes` in all, and the standard size at least.
        static func make(count: Int, recordBytes: Int) -> Page {
            // 16-bit offsets if they suffice.
            let narrow = count * 6 + recordBytes
            let needed = narrow <= Int(UInt16.max) ? narrow : count * 8 + recordBytes
            return make(capacity: max(standardCapacity, needed))
        }

        /// Hands out the pointers to header and bytes, valid only inside `body`.
        @inline(__always)
        func view<R, E: Error>(_ body: (PageView) throws(E) -> R) throws(E) -> R {
            // The memory is part of this object, which `withExtendedLifetime` keeps: the pointers hold until `body` is
            // over.
            let view = withUnsafeMutablePointers { PageView(header: $0, base: UnsafeMutableRawPointer($1)) }
            defer { withExtendedLifetime(self) {} }
            return try body(view)
        }

        /// A page with the same contents, for a writer that may not touch this one.
        func copy() -> Page {
            view { source in
                let page = Page.make(capacity: source.capacity)
                page.view { $0.take(source) }
                return page
            }
        }
    }

    /// One pair inside a page.
    struct Record {
        let key: UnsafeRawBufferPointer
        let value: UnsafeRawBufferPointer

        @inline(__always)
        init(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
            self.key = key
            self.value = value
        }

        /// Reads the record that begins at `start`.
        @inline(__always)
        init(at start: UnsafeRawPointer) {
            var keyCount = Int(start.load(as: UInt8.self))
            var valueCount = Int(start.load(fromByteOffset: 1, as: UInt8.self))
            var place = start + 2
            if (keyCount | valueCount) >= 0x80 {
                place = start
                keyCount = Record.readLength(&place)
                valueCount = Record.readLength(&place)
            }
            key = UnsafeRawBufferPointer(start: place, count: keyCount)
            value = UnsafeRawBufferPointer(start: place + keyCount, count: valueCount)
        }

        /// Bytes of a record of the given lengths, without its slot.
        @inline(__always)
        static func size(keyCount: Int, valueCount: Int) -> Int {
            lengthSize(keyCount) &+ lengthSize(valueCount) &+ keyCount &+ valueCount
        }

        @inline(__always) var size: Int { Record.size(keyCount: key.count, valueCount: value.count) }

        /// What the pair counts towards the size of an ordinary page: record and slot.
        @inline(__always) var footprint: Int { size &+ 6 }

        @inline(__always)
        private static func lengthSize(_ length: Int) -> Int {
            if length < 0x80 { return 1 }
            if length < 0x4000 { return 2 }
            return length < 0x20_0000 ? 3 : 5
        }

        /// Hands out the pair as it would stand in a page, valid only inside `body`.
        func withPacked<R>(_ body: (PackedRecord) -> R) -> R {
            withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { bytes in
                guard let start = bytes.baseAddress else { preconditionFailure("a record has two lengths at least") }
                write(to: start)
                return body(PackedRecord(start: UnsafeRawPointer(start), size: size))
            }
        }

        /// Writes the pair as it stands in a page: as many bytes as ``size`` says.
        @inline(__always)
        func write(to start: UnsafeMutableRawPointer) {
            var place = start
            Record.writeLength(key.count, &place)
            Record.writeLength(value.count, &place)
            if let bytes = key.baseAddress { place.copyMemory(from: bytes, byteCount: key.count) }
            if let bytes = value.baseAddress { (place + key.count).copyMemory(from: bytes, byteCount: value.count) }
        }

        /// Encodes `length` in as many bytes as `size` counts for it, and moves `place` behind them.
        @inline(__always)
        private static func writeLength(_ length: Int, _ place: inout UnsafeMutableRawPointer) {
            let last = length < 0x80 ? 0 : length < 0x4000 ? 1 : length < 0x20_0000 ? 2 : 4
            var rest = length
            var index = 0
            while index < last {
                place.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
                place += 1
                rest >>= 7
                index &+= 1
            }
            place.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
            place += 1
        }

        /// Decodes a length and moves `place` behind it.
        private static func readLength(_ place: inout UnsafeRawPointer) -> Int {
            var length = 0
            var shift = 0
            while true {
                let byte = place.load(as: UInt8.self)
                place += 1
                length |= Int(byte & 0x7f) << shift
                if byte < 0x80 || shift == 28 { return length }
                shift += 7
            }
        }
    }

    /// Pointers to a page's header and bytes; valid as long as `Page.view` runs.
    struct PageView {
        let header: UnsafeMutablePointer<PageHeader>
        let base: UnsafeMutableRawPointer

        @inline(__always) var count: Int { Int(header.pointee.count) }
        @inline(__always) var capacity: Int { Int(header.pointee.capacity) }
        @inline(__always) var slotSize: Int { Int(header.pointee.slotSize) }
        @inline(__always) var prefixLength: Int { Int(header.pointee.prefixLength) }
        @inline(__always) var recordStart: Int { Int(header.pointee.recordStart) }
        @inline(__always) var recordBytes: Int { Int(header.pointee.recordBytes) }
        @inline(__always) var slotsEnd: Int { count &* slotSize }

        /// Bytes the pairs would take in an ordinary page: the measure for splitting and merging.
        @inline(__always) var footprint: Int { recordBytes &+ count &* 6 }

        @inline(__always)
        func head(_ slot: Int) -> UInt32 {
            base.loadUnaligned(fromByteOffset: slot &* slotSize, as: UInt32.self)
        }

        @inline(__always)
        func offset(_ slot: Int) -> Int {
            let place = slot &* slotSize &+ 4
            if slotSize == 6 { return Int(base.loadUnaligned(fromByteOffset: place, as: UInt16.self)) }
            return Int(base.loadUnaligned(fromByteOffset: place, as: UInt32.self))
        }

        @inline(__always)
        func setHead(_ slot: Int, _ head: UInt32) {
            base.storeBytes(of: head, toByteOffset: slot &* slotSize, as: UInt32.self)
        }

        @inline(__always)
        func setOffset(_ slot: Int, _ offset: Int) {
            let place = slot &* slotSize &+ 4
            if slotSize == 6 {
                base.storeBytes(of: UInt16(truncatingIfNeeded: offset), toByteOffset: place, as: UInt16.self)
            } else {
                base.storeBytes(of: UInt32(truncatingIfNeeded: offset), toByteOffset: place, as: UInt32.self)
            }
        }

        /// The pair in `slot`, as it stands there.
        @inline(__always)
        func packedRecord(_ slot: Int) -> PackedRecord {
            let start = UnsafeRawPointer(base) + offset(slot)
            return PackedRecord(start: start, size: Record(at: start).size)
        }

        /// The pair in `slot`.
        @inline(__always)
        func record(_ slot: Int) -> Record { Record(at: UnsafeRawPointer(base) + offset(slot)) }

        @inline(__always)
        func key(_ slot: Int) -> UnsafeRawBufferPointer { record(slot).key }
    }
}
