import CLibUV
import Glibc

/// Where a connection comes from, as the proxy tells sources apart: hosts, not ports, and for IPv6 networks of 64 bits, since
/// whoever has one of their addresses mostly has all.
extension SocketAddress {
    /// Never 0. Two addresses may have the same number by accident: then they share what a source has.
    var sourceKey: UInt32 {
        let bits = sourceBits
        // The finalizer of MurmurHash3, 64 bits.
        var mixed = (bits ^ bits >> 33) &* 0xFF51_AFD7_ED55_8CCD
        mixed = (mixed ^ mixed >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return max(1, UInt32(truncatingIfNeeded: mixed ^ mixed >> 33))
    }

    /// The IPv4 address, also one that is written as IPv6, or the first half of the IPv6 address.
    private var sourceBits: UInt64 {
        withPointer { pointer in
            guard isIPv6 else {
                return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    UInt64(UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
                }
            }
            return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { v6 in
                withUnsafeBytes(of: v6.pointee.sin6_addr) { bytes in
                    let high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
                    let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                    return high == 0 && low >> 32 == 0xFFFF ? low & 0xFFFF_FFFF : high
                }
            }
        }
    }
}

extension Connection {
    /// As ``SocketAddress/sourceKey`` of the peer; 1 where it is gone already.
    var source: UInt32 { peerAddress?.sourceKey ?? 1 }
}
