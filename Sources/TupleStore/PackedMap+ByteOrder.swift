extension PackedMap {
    /// Comparisons of byte strings as unsigned bytes, the shorter first among equals: the order of the map.
    ///
    /// Word-wise and inlined, because keys are short and a call into the C library would cost more than it compares.
    enum ByteOrder {
        /// The index of the first byte in which `a` and `b` differ, or `count` when they agree in all of them.
        ///
        /// Both pointers must address at least `count` bytes. - Complexity: O(`count`).
        @inline(__always)
        static func firstDifference(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, count: Int) -> Int {
            var index = 0
            while index &+ 8 <= count {
                let left = a.loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian
                let right = b.loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian
                let difference = left ^ right
                if difference != 0 { return index &+ difference.trailingZeroBitCount / 8 }
                index &+= 8
            }
            while index < count {
                if a.load(fromByteOffset: index, as: UInt8.self) != b.load(fromByteOffset: index, as: UInt8.self) {
                    return index
                }
                index &+= 1
            }
            return count
        }

        /// Negative when `a` sorts before `b`, zero when they are equal, positive otherwise.
        @inline(__always)
        static func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
            let common = min(a.count, b.count)
            guard common > 0, let left = a.baseAddress, let right = b.baseAddress else { return a.count &- b.count }
            let index = firstDifference(left, right, count: common)
            if index == common { return a.count &- b.count }
            return Int(left.load(fromByteOffset: index, as: UInt8.self))
                &- Int(right.load(fromByteOffset: index, as: UInt8.self))
        }

        /// The number of leading bytes that `a` and `b` share.
        static func commonPrefix(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
            guard let left = a.baseAddress, let right = b.baseAddress else { return 0 }
            return firstDifference(left, right, count: min(a.count, b.count))
        }

        /// The first bytes of `key`, `length` of them but eight at most, as a big-endian number with zeros behind them.
        @inline(__always)
        static func prefixHead(of key: UnsafeRawBufferPointer, length: Int) -> UInt64 {
            guard length > 0, let base = key.baseAddress else { return 0 }
            if key.count >= 8 {
                let word = UInt64(bigEndian: base.loadUnaligned(as: UInt64.self))
                return length >= 8 ? word : word & ~(UInt64.max >> UInt64(8 &* length))
            }
            var head: UInt64 = 0
            for index in 0..<min(length, key.count) { head |= UInt64(key[index]) << UInt64(56 &- 8 &* index) }
            return head
        }

        /// The four bytes of `key` from `start` on as a big-endian number, missing ones taken as zero.
        ///
        /// Among keys that agree in their first `start` bytes, a smaller head means a smaller key; equal heads decide
        /// nothing (zero padding cannot be told from zero bytes).
        @inline(__always)
        static func head(of key: UnsafeRawBufferPointer, from start: Int) -> UInt32 {
            guard let base = key.baseAddress else { return 0 }
            let rest = key.count &- start
            if rest >= 4 { return UInt32(bigEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self)) }
            var head: UInt32 = 0
            var index = 0
            while index < rest {
                let byte = UInt32(base.load(fromByteOffset: start &+ index, as: UInt8.self))
                head |= byte << UInt32(24 &- 8 &* index)
                index &+= 1
            }
            return head
        }
    }
}
