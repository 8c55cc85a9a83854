/// The order-free running hash of a space: the wrapping sum of a hash of every pair. Adding or removing a pair costs O(its
/// bytes), and two copies that hold the same pairs have the same digest, whatever way they came to them.
///
/// It finds divergence, not forgery: the hash is strong against accidents only.
public struct Digest: Hashable, Sendable {
    public private(set) var value: UInt64
    public init(_ value: UInt64 = 0) { self.value = value }

    public mutating func add(key: UnsafeRawBufferPointer, value pairValue: UnsafeRawBufferPointer) {
        value &+= Digest.hash(key, pairValue)
    }

    public mutating func remove(key: UnsafeRawBufferPointer, value pairValue: UnsafeRawBufferPointer) {
        value &-= Digest.hash(key, pairValue)
    }

    /// Key and value are hashed in turn, each with its length, so that the boundary between them counts.
    static func hash(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> UInt64 {
        finish(mix(mix(0x9E37_79B9_7F4A_7C15, key), value))
    }

    private static func mix(_ seed: UInt64, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var state = fold(seed ^ UInt64(bytes.count), 0xD6E8_FEB8_6659_FD93)
        var at = 0
        while at + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            state = fold(state ^ word, 0xA076_1D64_78BD_642F) &+ 0xE703_7ED1_A0B4_28DB
            at += 8
        }
        var last: UInt64 = 0
        while at < bytes.count {
            last = last << 8 | UInt64(bytes[at])
            at += 1
        }
        return fold(state ^ last, 0x8EBC_6AF0_9C88_C6E3) ^ (state >> 29)
    }

    /// The 128-bit product, folded: every bit of the input reaches every bit of the result.
    private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = (a | 1).multipliedFullWidth(by: b)
        return product.high ^ product.low ^ a
    }

    private static func finish(_ state: UInt64) -> UInt64 {
        var state = state
        state ^= state >> 33
        state &*= 0xFF51_AFD7_ED55_8CCD
        state ^= state >> 33
        return state
    }
}
