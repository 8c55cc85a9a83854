import TestSupport
import Testing
import TupleCore

@testable import WireProtocol

@Suite("Terms on the wire (specs/0002, section 3.1)")
struct TermCodingTests {
    private func decode(_ bytes: [UInt8]) throws(DecodingError) -> Term {
        var reader = ByteReader(bytes)
        let term = try reader.term()
        try reader.end()
        return term
    }

    @Test("64 levels are taken, 65 are not, and a million cost nothing")
    func depth() throws {
        func nested(_ levels: Int) -> [UInt8] {
            [UInt8](([[UInt8]](repeating: [5, 1], count: levels) + [[0]]).joined())
        }
        var expected = Term.null
        for _ in 0..<64 { expected = .list([expected]) }
        #expect(try decode(nested(64)) == expected)
        #expect(throws: DecodingError.tooLong) { try decode(nested(65)) }
        #expect(throws: DecodingError.tooLong) { try decode(nested(1_000_000)) }
        let objects = [UInt8]([[UInt8]](repeating: [6, 1, 0], count: 1_000_000).joined()) + [0]
        #expect(throws: DecodingError.tooLong) { try decode(objects) }
    }

    @Test("Counts of 2^60 items are refused before anything is allocated")
    func bombs() {
        var count = ByteWriter()
        count.length(1 << 60)
        for tag: UInt8 in [3, 4, 5, 6] {
            #expect(throws: DecodingError.self) { try decode([tag] + count.bytes) }
            #expect(throws: DecodingError.self) { try decode([tag] + count.bytes + [0, 0, 0]) }
        }
    }

    @Test("A payload has at most so many terms, however short they are")
    func termsPerPayload() throws {
        func nulls(_ count: Int) -> [UInt8] {
            var writer = ByteWriter()
            writer.byte(5)
            writer.length(count)
            return writer.bytes + [UInt8](repeating: 0, count: count)
        }
        guard case .list(let items) = try decode(nulls(Limits.maximumTermsPerPayload - 1)) else {
            Issue.record("no list")
            return
        }
        #expect(items.count == Limits.maximumTermsPerPayload - 1)
        #expect(throws: DecodingError.tooLong) { try decode(nulls(Limits.maximumTermsPerPayload)) }
    }

    @Test("What is given is given back as it was: bytes that are no UTF-8, members twice, numbers to the digit")
    func fidelity() throws {
        let term: Term = .object([
            .init(name: [0xFF], value: .string([0xC3])), .init(name: [0x61], value: .number("1.0")),
            .init(name: [0x61], value: .number("1e0")), .init(name: [], value: .list([])),
        ])
        var writer = ByteWriter()
        writer.term(term)
        #expect(try decode(writer.bytes) == term)
    }

    @Test(
        "What JSON cannot say is refused",
        arguments: [[7], [0xFF], [3, 0], [3, 1, 0x78], [3, 2, 0x30, 0x31], [3, 1, 0xFF]] as [[UInt8]])
    func invalid(bytes: [UInt8]) {
        #expect(throws: DecodingError.self) { try decode(bytes) }
    }
}

@Suite("Answers in parts (specs/0002, section 5.2)")
struct AnswerChunkTests {
    /// The parts that the encoded answer is cut into.
    private func parts(_ answer: Answer, atMost limit: Int = Limits.preferredChunkBytes) throws -> [[UInt8]] {
        let bytes = answer.payloadBytes
        var cursor = StoredAnswerCursor()
        var parts: [[UInt8]] = []
        while !cursor.isAtEnd { parts.append(try cursor.next(of: bytes, atMost: limit)) }
        return parts
    }

    private func whole(_ answer: Answer, atMost limit: Int = Limits.preferredChunkBytes) throws -> Answer {
        let parts = try parts(answer, atMost: limit).map { try Answer(decoding: $0[...]) }
        var whole = try #require(parts.first)
        for part in parts.dropFirst() {
            #expect(part.status == whole.status && part.message.isEmpty && part.warning.isEmpty)
            whole.append(part)
        }
        return whole
    }

    @Test("An answer of one part, and an empty one")
    func small() throws {
        #expect(try parts(Answer()) == [[0, 0, 0, 0, 0]])
        var random = SeededRandom()
        let seed = random.seed
        for _ in 0..<100 {
            let answer = random.answer()
            #expect(try parts(answer).count == 1)
            #expect(try whole(answer) == answer, "seed \(seed)")
            var explained = answer
            explained.explanation = "why"
            for limit in [1, 10, 50, 1_000] {
                #expect(try whole(explained, atMost: limit) == explained, "seed \(seed)")
            }
        }
    }

    @Test("A long answer comes in parts of about the preferred size")
    func long() throws {
        var random = SeededRandom()
        let pairs = (0..<20_000).map { _ in random.pair() }
        let rejected = (0..<20_000).map { _ in Rejected(item: random.term(), reason: .malformed) }
        let answer = Answer(message: "m", warning: "w", pairs: pairs, rejected: rejected)
        #expect(try whole(answer) == answer, "seed \(random.seed)")
        let parts = try parts(answer)
        #expect(parts.count > 5)
        for part in parts { #expect(part.count <= Limits.preferredChunkBytes + 64) }
    }

    @Test("Whatever a request of the greatest length gets back, fits into frames")
    func greatest() throws {
        // Small items first, each a byte longer in the answer, then one that takes all the room that is left.
        let nulls = [Term](repeating: .null, count: 21_000)
        let request = { (filling: Int) in
            Request(
                operatorName: "PUT", payload: .list(nulls + [.string([UInt8](repeating: 0x61, count: filling))])
            )
        }
        let overhead = request(Limits.maximumPayloadBytes / 2).payloadBytes.count - Limits.maximumPayloadBytes / 2
        let greatest = request(Limits.maximumPayloadBytes - overhead)
        #expect(greatest.payloadBytes.count == Limits.maximumPayloadBytes)
        for payload in [
            greatest.payload, .list([.string([UInt8](repeating: 0x61, count: Limits.maximumPayloadBytes - 11))]),
        ] {
            guard case .list(let items) = payload else { continue }
            #expect(Request(operatorName: "PUT", payload: payload).payloadBytes.count == Limits.maximumPayloadBytes)
            let answer = Answer(rejected: items.map { Rejected(item: $0, reason: .malformed) })
            #expect(try parts(answer).allSatisfy { $0.count <= Limits.maximumPayloadBytes })
            #expect(try whole(answer) == answer)
        }
    }
}

@Suite("Answers put together from pairs")
struct AnswerPartTests {
    @Test("A part is what the answer with its pairs would be")
    func payload() {
        var random = SeededRandom()
        for _ in 0..<100 {
            let pairs = (0..<random.below(20)).map { _ in random.pair() }
            var part = AnswerPart()
            for pair in pairs {
                pair.key.packed.withUnsafeBytes { key in
                    pair.value.packed.withUnsafeBytes { part.add(key: key, value: $0) }
                }
            }
            var answer = Answer(pairs: pairs)
            #expect(part.payload() == answer.payloadBytes, "seed \(random.seed)")
            answer.explanation = "why"
            #expect(part.payload(explanation: "why") == answer.payloadBytes, "seed \(random.seed)")
        }
    }
}
