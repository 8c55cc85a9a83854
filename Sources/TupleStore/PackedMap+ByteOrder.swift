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
    /// The first bytes of a prefix, sixteen at most, as big-endian numbers with zeros behind them.
    struct PrefixHead: Hashable {
        static let maximumLength = 16
        private var first: UInt64 = 0
        private var second: UInt64 = 0

        @inline(__always)
        init() {}

        /// - Parameter length: of the prefix, no more than `key` has.
        @inline(__always)
        init(of key: UnsafeRawBufferPointer, length: Int) {
            guard length > 0, let base = key.baseAddress else { return }
            if key.count >= 16 {
                func word(_ offset: Int) -> UInt64 {
                    UInt64(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                }
                first = length >= 8 ? word(0) : word(0) & ~(UInt64.max >> UInt64(8 &* length))
                second =
                    length <= 8 ? 0 : length >= 16 ? word(8) : word(8) & ~(UInt64.max >> UInt64(8 &* (length &- 8)))
                return
            }
            for index in 0..<length {
                let byte = UInt64(key[index])
                if index < 8 {
                    first |= byte << UInt64(56 &- 8 &* index)
                } else {
                    second |= byte << UInt64(120 &- 8 &* index)
                }
            }
        }
    }
}
