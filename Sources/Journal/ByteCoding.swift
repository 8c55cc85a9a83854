import CChecksum

// Little-endian integers and CRC32C: all that the formats of this room are made of.

extension [UInt8] {
    mutating func appendLittleEndian<Integer: FixedWidthInteger & Sendable>(_ value: Integer) {
        var rest = value.littleEndian
        Swift.withUnsafeBytes(of: &rest) { append(contentsOf: $0) }
    }

    mutating func append(bytesOf span: RawSpan) {
        span.withUnsafeBytes { append(contentsOf: $0) }
    }

    /// - Precondition: the integer lies within the array.
    func littleEndian<Integer: FixedWidthInteger & Sendable>(_: Integer.Type, at offset: Int) -> Integer {
        precondition(offset >= 0 && offset + MemoryLayout<Integer>.size <= count)
        return withUnsafeBytes { Integer(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Integer.self)) }
    }

    /// - Precondition: the range lies within the array.
    func isZero(_ range: Range<Int>) -> Bool {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return withUnsafeBytes { raw in
            var at = range.lowerBound
            while at + 8 <= range.upperBound {
                if raw.loadUnaligned(fromByteOffset: at, as: UInt64.self) != 0 { return false }
                at += 8
            }
            while at < range.upperBound {
                if raw[at] != 0 { return false }
                at += 1
            }
            return true
        }
    }

    /// The CRC32C of a part of the array, continued from `seed`.
    /// - Precondition: the range lies within the array.
    func checksum(_ range: Range<Int>, seed: UInt32 = 0) -> UInt32 {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return withUnsafeBytes { Journal.checksum(UnsafeRawBufferPointer(rebasing: $0[range]), seed: seed) }
    }
}

func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32) -> UInt32 {
    twinspace_crc32c(seed, bytes.baseAddress, bytes.count)
}

func checksum(_ bytes: RawSpan, seed: UInt32) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, seed: seed) }
}

/// Binds a checksum to the place of what it covers, so that intact bytes in the wrong place do not pass.
func placeSeed(_ first: UInt64, _ second: UInt64) -> UInt32 {
    var place = (first.littleEndian, second.littleEndian)
    return withUnsafeBytes(of: &place) { checksum($0, seed: 0) }
}
