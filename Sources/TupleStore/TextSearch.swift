import PythonRegex

/// Looks for a text in packed pages, sixteen bytes at a time: every place is tried at which two of its bytes, the rarest
/// ones, are where they belong.
struct TextSearch: Sendable {
    let bytes: [UInt8]
    let masks: [UInt8]
    private let first: Probe
    private let second: Probe

    /// One byte of the text.
    private struct Probe: Sendable {
        let offset: Int
        let byte: UInt8
        let mask: UInt8
    }

    /// - Precondition: `text` is not empty.
    init(_ text: SoughtText) {
        bytes = text.bytes
        masks = text.masks
        func probe(_ offset: Int) -> Probe {
            Probe(offset: offset, byte: text.bytes[offset], mask: text.masks[offset])
        }
        let byRarity = text.bytes.indices.sorted {
            TextSearch.rarity(text.bytes[$0]) > TextSearch.rarity(text.bytes[$1])
        }
        let rarest = byRarity[0]
        // Two equal bytes tell less than two different ones.
        let other = byRarity.first { text.bytes[$0] != text.bytes[rarest] } ?? byRarity[byRarity.count - 1]
        first = probe(rarest)
        second = probe(other)
    }

    var count: Int { bytes.count }

    /// How seldom a byte is in texts, roughly: only the choice of the bytes that are tried first depends on it.
    private static func rarity(_ byte: UInt8) -> Int {
        switch byte {
        case 0x61...0x7A, 0x41...0x5A:
            // Letters, the most frequent ones in English first.
            let order: StaticString = "etaoinsrhldcumfpgwybvkxjqz"
            for place in 0..<order.utf8CodeUnitCount where order.utf8Start[place] == byte | 0x20 {
                return place + (byte & 0x20 == 0 ? 20 : 0)
            }
            return 0
        case 0x30...0x39: return 12
        case 0x20, 0x2C, 0x2D, 0x2E: return 4
        // First bytes of characters in Latin letters, and in the scripts around.
        case 0xC3...0xDF: return 16
        default: return 30
        }
    }

    /// The first place in `start..<end` where the whole text lies, or `end`.
    ///
    /// - Complexity: O(`end - start`), some bytes a cycle where its rarest bytes are seldom there together.
    @inline(__always)
    func firstPlace(in base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        bytes.withUnsafeBufferPointer { bytes in
            masks.withUnsafeBufferPointer { masks in
                guard let bytes = bytes.baseAddress, let masks = masks.baseAddress else { return end }
                return search(base, start, end, bytes, masks)
            }
        }
    }

    private typealias Block = SIMD16<UInt8>

    private func search(
        _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ bytes: UnsafePointer<UInt8>,
        _ masks: UnsafePointer<UInt8>
    ) -> Int {
        // The last place at which the text could begin, and how many places there are.
        let last = end &- count
        guard start <= last else { return end }
        let one = Block(repeating: first.byte)
        let oneMask = Block(repeating: first.mask)
        let two = Block(repeating: second.byte)
        let twoMask = Block(repeating: second.mask)
        /// Where both bytes are: 0xFF at each such place.
        @inline(__always) func hits(_ at: Int) -> SIMD2<UInt64> {
            let left = base.loadUnaligned(fromByteOffset: at &+ first.offset, as: Block.self) | oneMask
            let right = base.loadUnaligned(fromByteOffset: at &+ second.offset, as: Block.self) | twoMask
            return unsafeBitCast((left .== one) .& (right .== two), to: SIMD2<UInt64>.self)
        }
        var at = start
        // Both loads stay below `end`, since their offsets are within the text.
        while at &+ 63 <= last {
            let (a, b, c, d) = (hits(at), hits(at &+ 16), hits(at &+ 32), hits(at &+ 48))
            let all = (a | b) | (c | d)
            if all[0] | all[1] != 0 {
                if let place = place(base, at, a, bytes, masks) { return place }
                if let place = place(base, at &+ 16, b, bytes, masks) { return place }
                if let place = place(base, at &+ 32, c, bytes, masks) { return place }
                if let place = place(base, at &+ 48, d, bytes, masks) { return place }
            }
            at &+= 64
        }
        while at &+ 15 <= last {
            if let place = place(base, at, hits(at), bytes, masks) { return place }
            at &+= 16
        }
        while at <= last {
            if isHere(base + at, bytes, masks) { return at }
            at &+= 1
        }
        return end
    }

    /// The first place of a block where the text is.
    private func place(
        _ base: UnsafeRawPointer, _ at: Int, _ hits: SIMD2<UInt64>, _ bytes: UnsafePointer<UInt8>,
        _ masks: UnsafePointer<UInt8>
    ) -> Int? {
        for half in 0..<2 {
            var rest = hits[half].littleEndian
            while rest != 0 {
                let lane = rest.trailingZeroBitCount &>> 3
                let here = at &+ half &* 8 &+ lane
                if isHere(base + here, bytes, masks) { return here }
                rest &= ~(0xFF &<< UInt64(lane &* 8))
            }
        }
        return nil
    }

    @inline(__always)
    private func isHere(
        _ place: UnsafeRawPointer, _ bytes: UnsafePointer<UInt8>, _ masks: UnsafePointer<UInt8>
    ) -> Bool {
        var offset = 0
        while offset < count {
            if place.load(fromByteOffset: offset, as: UInt8.self) | masks[offset] != bytes[offset] { return false }
            offset &+= 1
        }
        return true
    }
}
