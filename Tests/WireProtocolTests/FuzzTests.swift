import Foundation
import TestSupport
import Testing
import TupleCore

@testable import WireProtocol

/// One round each of what random input is put through.
enum Fuzz {
    /// Sound frames, some damaged, some bytes of no meaning, in pieces of random sizes. Only frames that were sent come
    /// out (a checksum guards each byte), and the decoder keeps less than a frame.
    static func stream(_ random: inout SeededRandom) {
        let seed = random.seed
        var sent: [Frame] = []
        var bytes: [UInt8] = []
        for _ in 0...random.below(6) {
            let frame = random.frame()
            sent.append(frame)
            var encoded = frame.encoded
            switch random.below(8) {
            case 0: random.damage(&encoded)
            case 1: encoded = random.bytes(random.below(200))
            default: break
            }
            bytes += encoded
        }
        var decoder = FrameDecoder()
        var rest = bytes[...]
        var received: [Frame] = []
        while !rest.isEmpty {
            let count = min(rest.count, 1 + random.below(random.flag() ? 8 : 3_000))
            decoder.append(rest.prefix(count))
            rest = rest.dropFirst(count)
            do throws(FrameError) {
                while let frame = try decoder.next() { received.append(frame) }
            } catch {
                #expect(decoder.pendingBytes == 0, "seed \(seed)")
                break
            }
            #expect(decoder.pendingBytes < Header.byteCount + Limits.maximumPayloadBytes, "seed \(seed)")
        }
        #expect(received.allSatisfy(sent.contains), "seed \(seed)")
    }

    /// A damaged payload of each kind.
    static func payloads(_ random: inout SeededRandom) {
        let seed = random.seed
        for codec in Codec.all {
            var payload = codec.sample(&random)
            random.damage(&payload)
            guard let stable = try? codec.isStable(payload) else { continue }
            #expect(stable, "\(codec.name) \(payload), seed \(seed)")
        }
    }

    /// Damaged packed tuples: what is accepted is the one form of its elements.
    static func tuples(_ random: inout SeededRandom) {
        let seed = random.seed
        var packed = random.tuple().packed
        random.damage(&packed)
        guard let tuple = Tuple(packed: packed) else { return }
        #expect((try? Tuple(elements: tuple.elements, rule: .text))?.packed == packed, "\(packed), seed \(seed)")
    }
}

@Suite("Random input for as long as one likes: TWINSPACE_FUZZ_SECONDS")
struct FuzzTests {
    private static let seconds =
        ProcessInfo.processInfo.environment["TWINSPACE_FUZZ_SECONDS"].flatMap(Double.init) ?? 0

    @Test("No input traps, and whatever is accepted is sound", .enabled(if: FuzzTests.seconds > 0))
    func longRun() {
        let first = SeededRandom().seed
        let end = ContinuousClock.now.advanced(by: .seconds(Self.seconds))
        var rounds: UInt64 = 0
        print("fuzzing for \(Self.seconds) s from seed \(first)")
        while ContinuousClock.now < end {
            // A seed for each round: the one of a failure repeats that round alone.
            var random = SeededRandom(seed: first &+ rounds)
            Fuzz.stream(&random)
            Fuzz.payloads(&random)
            for _ in 0..<20 { Fuzz.tuples(&random) }
            rounds += 1
        }
        print("\(rounds) rounds")
    }
}
