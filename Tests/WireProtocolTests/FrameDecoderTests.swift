import CChecksum
import TestSupport
import Testing
import TupleCore

@testable import WireProtocol

@Suite("Frames in a stream (specs/0002, section 2)")
struct FrameDecoderTests {
    /// All frames that come of `pieces`, or the error.
    private func decode(_ pieces: some Sequence<ArraySlice<UInt8>>) throws(FrameError) -> [Frame] {
        var decoder = FrameDecoder()
        var frames: [Frame] = []
        for piece in pieces {
            decoder.append(piece)
            while let frame = try decoder.next() { frames.append(frame) }
        }
        return frames
    }

    @Test("Frames come out whole, however their bytes are cut")
    func splits() throws {
        var random = SeededRandom()
        let seed = random.seed
        let frames = (0..<6).map { _ in random.frame() }
        let bytes = frames.flatMap(\.encoded)
        for size in [1, 2, 3, 7, 63, 64, 65, 100, bytes.count] {
            let pieces = stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
            #expect(try decode(pieces) == frames, "seed \(seed)")
        }
        for cut in 0...bytes.count { #expect(try decode([bytes[..<cut], bytes[cut...]]) == frames, "seed \(seed)") }
    }

    /// A frame's bytes with something else in the header, its checksum right again.
    private func forged(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes = Frame(Header(.request, session: SessionID(1)), payload: [1, 2, 3]).encoded
        change(&bytes)
        let checksum = Frame.checksum(bytes[..<60])
        for offset in 0..<4 { bytes[60 + offset] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(offset))) }
        return bytes
    }

    @Test("Each thing that is wrong has its name, and stays wrong")
    func errors() throws {
        let cases: [([UInt8], FrameError)] = [
            (forged { $0[0] = 0 }, .magic), (forged { $0[4] = 2 }, .version(2)), (forged { $0[5] = 99 }, .type(99)),
            (forged { $0[6] = 8 }, .flags(8)), (forged { $0[7] = 0x80 }, .flags(0x8000)),
            (forged { $0[56] = 1 }, .reserved), (forged { $0[64] = 9 }, .payloadChecksum),
            (forged { $0[11] = 1 }, .payloadTooLong(0x0100_0003, limit: Limits.maximumPayloadBytes)),
            (forged { $0[8...11] = [255, 255, 255, 255] }, .payloadTooLong(.max, limit: Limits.maximumPayloadBytes)),
        ]
        for (bytes, error) in cases {
            #expect(throws: error) { try decode([bytes[...]]) }
            #expect(!error.explanation.isEmpty)
        }
        var damaged = Frame(Header(.hello)).encoded
        damaged[60] ^= 1
        var decoder = FrameDecoder()
        decoder.append(damaged)
        #expect(throws: FrameError.headerChecksum) { try decoder.next() }
        decoder.append(Frame(Header(.hello)).encoded)
        #expect(throws: FrameError.headerChecksum) { try decoder.next() }
        #expect(decoder.pendingBytes == 0)
    }

    @Test("Only requests of the proxy say where they come from")
    func source() throws {
        let request = Frame(Header(.request, source: 0xC0A8_0001), payload: [1])
        var decoder = FrameDecoder(allowsSource: true)
        decoder.append(request.encoded)
        #expect(try decoder.next() == request)
        decoder.append(Frame(Header(.view, source: 7)).encoded)
        #expect(throws: FrameError.reserved) { try decoder.next() }
        #expect(throws: FrameError.reserved) { try decode([request.encoded[...]]) }
    }

    @Test("A stranger is recognised by four bytes")
    func stranger() {
        #expect(throws: FrameError.magic) { try decode(["GET ".utf8.map { $0 }[...]]) }
        #expect(throws: Never.self) { try decode(["TWS".utf8.map { $0 }[...]]) }
    }

    @Test("Any single bit that is wrong is noticed, and no frame comes of it")
    func bits() {
        let bytes = Frame(Header(.response, flags: .first, session: SessionID(5)), payload: [1, 2, 3, 4]).encoded
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: FrameError.self, "bit \(bit)") { try decode([damaged[...]]) }
        }
    }

    @Test("Random and damaged streams: no trap, nothing but frames that were sent, and bounded memory")
    func hostile() {
        var random = SeededRandom()
        for _ in 0..<300 { Fuzz.stream(&random) }
    }

    @Test("The first frame may be as long as its limit, later ones as long as theirs; a header is enough to be refused")
    func limits() throws {
        func frame(_ bytes: Int) -> [UInt8] {
            Frame(Header(.hello), payload: [UInt8](repeating: 1, count: bytes)).encoded
        }
        let limits = FrameLimits(firstPayloadBytes: 10, laterPayloadBytes: 20)
        var decoder = FrameDecoder(limits: limits)
        decoder.append(frame(10) + frame(20) + frame(21)[..<Header.byteCount])
        let run = try decoder.nextRun(atMost: 100)
        #expect(run?.count == 2)
        #expect(throws: FrameError.payloadTooLong(21, limit: 20)) { try decoder.next() }
        var early = FrameDecoder(limits: limits)
        early.append(frame(11)[..<Header.byteCount])
        #expect(throws: FrameError.payloadTooLong(11, limit: 10)) { try early.next() }
        #expect(early.heldBytes == 0)
    }

    @Test("What a large frame took is given back at once, also while the next one has begun to come")
    func memory() throws {
        for rest in [0, 1, 100] {
            let large = Frame(Header(.append), payload: [UInt8](repeating: 0xA5, count: 4 * 1_048_576)).encoded
            var decoder = FrameDecoder()
            decoder.append(large[..<1_000])
            var run = try decoder.nextRun(atMost: 1)
            #expect(run?.count == nil)
            #expect(decoder.pendingFrameBytes == large.count)
            decoder.reservePending()
            decoder.append(large[1_000...] + large[..<rest])
            run = try decoder.nextRun(atMost: 128)
            #expect(run?.count == 1)
            run = try decoder.nextRun(atMost: 128)
            #expect(run?.count == nil)
            #expect(decoder.pendingBytes == rest && decoder.heldBytes <= 1_024, "\(decoder.heldBytes)")
        }
    }

    @Test("A frame of the greatest length passes in pieces; no more than it is kept")
    func greatest() throws {
        let frame = Frame(Header(.append), payload: [UInt8](repeating: 0xA5, count: Limits.maximumPayloadBytes))
        let bytes = frame.encoded + frame.encoded[..<100]
        var decoder = FrameDecoder()
        var frames = 0
        for begin in stride(from: 0, to: bytes.count, by: 65_536) {
            decoder.append(bytes[begin..<min(begin + 65_536, bytes.count)])
            while let next = try decoder.next() {
                #expect(next == frame)
                frames += 1
            }
            #expect(decoder.pendingBytes < Header.byteCount + Limits.maximumPayloadBytes)
        }
        #expect(frames == 1 && decoder.pendingBytes == 100)
    }
}

@Suite("CRC32C (RFC 3720, appendix B.4)")
struct ChecksumTests {
    /// Bit by bit from the polynomial: slow, and beyond doubt.
    private func reference(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return ~crc
    }

    @Test("The values of the RFC")
    func known() {
        let ascending = [UInt8](0..<32)
        let cases: [([UInt8], UInt32)] = [
            ([UInt8]("123456789".utf8), 0xE306_9283), ([], 0), ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
            ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43), (ascending, 0x46DD_794E),
            (ascending.reversed(), 0x113F_DB5C),
        ]
        for (bytes, checksum) in cases {
            #expect(Frame.checksum(bytes[...]) == checksum)
            #expect(reference(bytes) == checksum)
            #expect(bytes.withUnsafeBytes { twinspace_crc32c_table(0, $0.baseAddress, $0.count) } == checksum)
        }
    }

    @Test("The instruction, the table and the polynomial agree at every length and alignment, also in two steps")
    func agreement() {
        var random = SeededRandom()
        let seed = random.seed
        let bytes = random.bytes(20_000)
        bytes.withUnsafeBytes { raw in
            for begin in 0..<9 {
                for count in [0, 1, 7, 8, 17, 63, 64, 65, 500, 767, 768, 769, 6_143, 6_144, 6_145, 6_999, 19_000] {
                    let part = UnsafeRawBufferPointer(rebasing: raw[begin..<begin + count])
                    let whole = twinspace_crc32c(0, part.baseAddress, count)
                    #expect(whole == twinspace_crc32c_table(0, part.baseAddress, count), "seed \(seed)")
                    #expect(whole == reference(part), "seed \(seed)")
                    let middle = count / 3
                    let first = twinspace_crc32c(0, part.baseAddress, middle)
                    let rest = UnsafeRawBufferPointer(rebasing: part[middle...])
                    #expect(twinspace_crc32c(first, rest.baseAddress, rest.count) == whole, "seed \(seed)")
                }
            }
        }
    }
}
