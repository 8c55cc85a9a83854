import TestSupport
import Testing
import TupleCore

@testable import WireProtocol

@Suite("Messages (specs/0002, sections 3 and 5)")
struct MessageTests {
    @Test("Every message survives encoding and decoding", arguments: Codec.all)
    func roundTrip(codec: Codec) throws {
        var random = SeededRandom()
        let seed = random.seed
        for _ in 0..<200 {
            let payload = codec.sample(&random)
            #expect(try codec.isStable(payload), "seed \(seed)")
        }
    }

    @Test("A payload that is cut anywhere, or goes on after its end, is refused", arguments: Codec.all)
    func truncation(codec: Codec) throws {
        var random = SeededRandom()
        let seed = random.seed
        for _ in 0..<20 {
            let payload = codec.sample(&random)
            let accepted = (0..<payload.count).filter { (try? codec.isStable([UInt8](payload[..<$0]))) != nil }
            // Where the fields of release 0.1 end, the message may end.
            #expect(accepted.count <= (codec.isExtensible ? 1 : 0), "\(payload) \(accepted), seed \(seed)")
            #expect(throws: DecodingError.trailing, "seed \(seed)") { try codec.isStable(payload + [0]) }
        }
    }

    @Test("Damaged and random payloads throw or are sound; they never trap", arguments: Codec.all)
    func damaged(codec: Codec) {
        var random = SeededRandom()
        let seed = random.seed
        for _ in 0..<1_000 {
            var payload = codec.sample(&random)
            if random.below(5) == 0 { payload = random.bytes(random.below(80)) } else { random.damage(&payload) }
            guard let stable = try? codec.isStable(payload) else { continue }
            #expect(stable, "\(payload), seed \(seed)")
        }
    }

    @Test("No length or count is believed that the bytes cannot hold", arguments: Codec.all)
    func lengthBombs(codec: Codec) {
        var random = SeededRandom()
        var bomb = ByteWriter()
        bomb.length(1 << 60)
        for _ in 0..<20 {
            let payload = codec.sample(&random)
            for at in payload.indices {
                // Where a length was, there is now one of 2^60; elsewhere it is nonsense of another kind.
                var bytes = payload
                bytes.replaceSubrange(at...at, with: bomb.bytes)
                _ = try? codec.isStable(bytes)
            }
        }
    }

    @Test("Lengths are LEB128 of up to nine bytes")
    func lengths() throws {
        for (value, bytes): (Int, [UInt8]) in [
            (0, [0]), (127, [0x7F]), (128, [0x80, 1]), (16_383, [0xFF, 0x7F]), (16_384, [0x80, 0x80, 1]),
            (.max, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            var writer = ByteWriter()
            writer.length(value)
            #expect(writer.bytes == bytes)
            var reader = ByteReader(bytes)
            #expect(try reader.length() == value)
        }
        for bad: [UInt8] in [[0x80], .init(repeating: 0x80, count: 9) + [1], .init(repeating: 0xFF, count: 20)] {
            #expect(throws: DecodingError.self) {
                var reader = ByteReader(bad)
                _ = try reader.length()
            }
        }
        #expect(throws: DecodingError.tooLong) {
            var reader = ByteReader([11])
            _ = try reader.length(atMost: 10)
        }
    }

    @Test("The codes of the frames are those of the page, for good")
    func frameTypes() {
        let codes: [FrameType: UInt8] = [
            .hello: 1, .welcome: 2, .request: 3, .response: 4, .refused: 5, .operatorRequest: 16, .operatorReply: 17,
            .register: 32, .registerRefused: 33, .view: 34, .takeOver: 35, .changeInSync: 36, .switchReply: 37,
            .probe: 38, .probeReply: 39, .statusQuery: 40, .statusReply: 41, .shutdown: 42, .resync: 43, .holding: 44,
            .cancel: 45, .proxyHeartbeat: 46, .proxyHeartbeatReply: 47, .trust: 48, .credit: 49,
            .peerHello: 64, .peerWelcome: 65, .peerRefused: 66, .heartbeat: 67, .heartbeatReply: 68, .append: 69,
            .appendReply: 70, .snapshotChunk: 71, .stop: 72,
        ]
        #expect(Set(FrameType.allCases) == Set(codes.keys))
        for type in FrameType.allCases { #expect(type.rawValue == codes[type]) }
        #expect(Status.allCases.map(\.rawValue) == [UInt8](0...7))
        #expect(Reason.allCases.map(\.rawValue) == [UInt8](0...2))
    }

    @Test("A hello tells whether there is a common version")
    func commonVersion() {
        #expect(Hello(agent: "x").commonVersion == 1)
        #expect(Hello(lowestVersion: 1, highestVersion: 9, agent: "x").commonVersion == 1)
        #expect(Hello(lowestVersion: 2, highestVersion: 9, agent: "x").commonVersion == nil)
        #expect(Hello(lowestVersion: 0, highestVersion: 0, agent: "x").commonVersion == nil)
        #expect(Hello(lowestVersion: 9, highestVersion: 0, agent: "x").commonVersion == nil)
    }
}
