import TupleCore
import TupleStore

/// Pairs of two 16-byte tuples each, the same on every machine: the keys random letters and digits, no two alike.
///
/// One key in a thousand begins with `user` and one in a hundred thousand has `needle` in it.
struct ScanPairs {
    enum Order: String { case random, ascending }

    static let elementBytes = 16
    private static let alphabet = [UInt8]("abcdefghijklmnopqrstuv0123456789".utf8)

    /// The keys, one behind the other, in the order in which they are put.
    private(set) var keys: [UInt8] = []
    private(set) var values: [UInt8] = []
    let count: Int

    init(count: Int, order: Order) {
        self.count = count
        let bytes = count * Self.elementBytes
        keys = [UInt8](unsafeUninitializedCapacity: bytes) { buffer, filled in
            for index in 0..<count {
                Self.write(Self.mixed(UInt64(index)), Self.mixed(~UInt64(index)), index, &buffer, isKey: true)
            }
            filled = bytes
        }
        if order == .ascending { sortKeys() }
        values = [UInt8](unsafeUninitializedCapacity: bytes) { buffer, filled in
            for index in 0..<count {
                Self.write(Self.mixed(UInt64(index) &+ 1 << 40), Self.mixed(UInt64(index) &+ 1 << 41), index, &buffer)
            }
            filled = bytes
        }
    }

    /// SplitMix64's finish: a permutation, so that different numbers stay different.
    private static func mixed(_ number: UInt64) -> UInt64 {
        var z = number &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    private static func write(
        _ high: UInt64, _ low: UInt64, _ index: Int, _ buffer: inout UnsafeMutableBufferPointer<UInt8>,
        isKey: Bool = false
    ) {
        let start = index * elementBytes
        var bits = high
        for offset in 0..<elementBytes {
            // Thirteen digits hold all of a number, hence of a key's.
            if offset == 13 { bits = low }
            (buffer.baseAddress! + start + offset).initialize(to: alphabet[Int(bits & 31)])
            bits >>= 5
        }
        guard isKey else { return }
        func put(_ text: StaticString, at offset: Int) {
            for place in 0..<text.utf8CodeUnitCount { buffer[start + offset + place] = text.utf8Start[place] }
        }
        // What is overwritten is told apart by what stands behind: the index in digits of the alphabet.
        var rest = index
        if index % 1_000 == 0 {
            put("user", at: 0)
            for offset in 8..<16 {
                buffer[start + offset] = alphabet[rest & 31]
                rest >>= 5
            }
        } else if index % 100_000 == 7 {
            put("needle", at: 2)
            for offset in 8..<16 {
                buffer[start + offset] = alphabet[rest & 31]
                rest >>= 5
            }
        }
    }

    private mutating func sortKeys() {
        typealias Key = (high: UInt64, low: UInt64)
        var sorted = [Key](unsafeUninitializedCapacity: count) { buffer, filled in
            keys.withUnsafeBytes { bytes in
                for index in 0..<count {
                    let at = index * Self.elementBytes
                    buffer[index] = (
                        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)),
                        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
                    )
                }
            }
            filled = count
        }
        sorted.sort { $0 < $1 }
        keys.withUnsafeMutableBytes { bytes in
            for index in 0..<count {
                let at = index * Self.elementBytes
                bytes.storeBytes(of: sorted[index].high.bigEndian, toByteOffset: at, as: UInt64.self)
                bytes.storeBytes(of: sorted[index].low.bigEndian, toByteOffset: at + 8, as: UInt64.self)
            }
        }
    }

    func key(_ index: Int) -> String { text(keys, index) }
    func value(_ index: Int) -> String { text(values, index) }

    private func text(_ bytes: [UInt8], _ index: Int) -> String {
        String(decoding: bytes[index * Self.elementBytes..<(index + 1) * Self.elementBytes], as: UTF8.self)
    }

    /// The pair as the operators' effect.
    func pair(_ index: Int) -> Pair {
        let range = index * Self.elementBytes..<(index + 1) * Self.elementBytes
        return Pair(
            key: keys.withUnsafeBytes { Tuple(trustedPacked: UnsafeRawBufferPointer(rebasing: $0[range])) },
            value: values.withUnsafeBytes { Tuple(trustedPacked: UnsafeRawBufferPointer(rebasing: $0[range])) })
    }

    /// Puts all pairs, as a server does.
    ///
    /// - Returns: nil where two keys were alike, which cannot be.
    func space() -> Space? {
        var space = Space(rule: .alphanumeric)
        for index in 0..<count where !space.apply(.added(pair(index))) { return nil }
        return space
    }
}
