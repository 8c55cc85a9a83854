import TestSupport
import Testing

@testable import TupleCore

@Suite("Packed tuples (specs/0002, section 5.4)")
struct TupleTests {
    private func tuple(_ elements: String...) throws -> Tuple {
        try Tuple(elements: elements.map { [UInt8]($0.utf8) }, rule: .text)
    }

    private func joined(_ tuple: Tuple) -> [UInt8] {
        tuple.packed.withUnsafeBytes { [UInt8]($0[..<Tuple.joinedCount(ofPacked: $0)]) }
    }

    @Test("Without a comma the packed form is the joined elements and nothing more")
    func plain() throws {
        let packed = try tuple("user", "42").packed
        #expect(packed == [UInt8]("user,42".utf8))
        #expect(Tuple(packed: packed)?.elements == [[UInt8]("user".utf8), [UInt8]("42".utf8)])
    }

    @Test(
        "Lengths around the table's digits survive packing, the mark never comes from a length",
        arguments: [1, 2, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x100, 0x3F7F, 0x3F80, 0x3FFE, 0x3FFF, 0x4000, 65_535])
    func boundaryTable(length: Int) throws {
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: length)
        let comma: [UInt8] = [UInt8(ascii: ",")]
        for elements in [
            [long, comma], [comma, long], [long, comma, long], [[UInt8](repeating: comma[0], count: length)],
        ] {
            let tuple = try Tuple(elements: elements, rule: .text)
            #expect(tuple.elements == elements)
            #expect(Tuple(packed: tuple.packed) == tuple)
            #expect(joined(tuple) == [UInt8](elements.joined(separator: comma)))
            let table = tuple.packed[joined(tuple).count + 1..<tuple.packed.count - 5]
            #expect(!table.contains(0xFF))
        }
    }

    @Test("Tuples whose joined forms are the same stay apart")
    func ambiguity() throws {
        let all = [
            try tuple("a", "b", "c"), try tuple("a,b", "c"), try tuple("a", "b,c"), try tuple("a,b,c"),
            try tuple(",", "a"),
            try tuple(",,a"), try tuple(",", ","), try tuple(",,,"),
        ]
        #expect(Set(all).count == all.count)
        for tuple in all { #expect(Tuple(packed: tuple.packed)?.elements == tuple.elements) }
    }

    @Test("A single element with commas has an empty table")
    func singleElement() throws {
        #expect(try tuple(",").packed == [0x2C, 0xFF, 0, 0, 0, 0, 0xFF])
        #expect(Tuple(packed: [0x2C, 0xFF, 0, 0, 0, 0, 0xFF])?.elements == [[0x2C]])
    }

    @Test("A literal prefix of the joined form selects a range: the order is that of the bytes")
    func order() throws {
        let sorted = try [
            tuple("a"), tuple("a", "b"), tuple("a", "b", "c"), tuple("a,b"), tuple("a", "c"), tuple("ab"), tuple("b"),
            tuple("é"), tuple("\u{10FFFF}"),
        ].sorted()
        for (low, high) in zip(sorted, sorted.dropFirst()) { #expect(low < high && !(high < low)) }
        let prefix = [UInt8]("a,b".utf8)
        let inside = sorted.indices.filter { joined(sorted[$0]).starts(with: prefix) }
        #expect(inside.count == 3 && inside.last == inside[0] + 2)
    }

    @Test(
        "Packed bytes that no tuple has are refused",
        arguments: [
            [],
            [0xFF],
            [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            [0x2C],
            [0x61, 0x2C],
            [0x2C, 0x61],
            [0x61, 0x2C, 0x2C, 0x62],
            [0x61, 0xC3],
            [0xC0, 0x80],
            [0xED, 0xA0, 0x80],
            // No table is needed: neither for "a", nor for "a", "b".
            [0x61, 0xFF, 0, 0, 0, 0, 0xFF],
            [0x61, 0x2C, 0x62, 0xFF, 0x81, 0, 0, 0, 1, 0xFF],
            // "a,b", "c" with a wrong mark, a table that is too long, too short, cut in a number, or not at a comma.
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFE, 0x83, 0, 0, 0, 1, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x83, 0, 0, 0, 2, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x83, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x83, 0, 0, 0, 0, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x03, 0, 0, 0, 1, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x82, 0, 0, 0, 1, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x85, 0, 0, 0, 1, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x80, 0, 0, 0, 1, 0xFF],
            // The length 3 in two digits, and a number of more digits than any length has.
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 0x03, 0x80, 0, 0, 0, 2, 0xFF],
            [0x61, 0x2C, 0x62, 0x2C, 0x63, 0xFF, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 10, 0xFF],
            // An element of no bytes between two commas.
            [0x2C, 0x2C, 0x61, 0xFF, 0x81, 0x80, 0, 0, 0, 2, 0xFF],
        ] as [[UInt8]])
    func refused(packed: [UInt8]) {
        #expect(Tuple(packed: packed) == nil)
    }

    @Test("Whatever random or damaged bytes are accepted, is the one packed form of its elements")
    func randomBytes() throws {
        var random = SeededRandom()
        let seed = random.seed
        var accepted = 0
        for _ in 0..<20_000 {
            var packed = randomTuple(&random).packed
            if random.below(4) == 0 { packed = random.bytes(random.below(24)) }
            for _ in 0..<random.below(3) where !packed.isEmpty {
                let interesting: [UInt8] = [0, 0x2C, 0x7F, 0x80, 0x81, 0xFF, random.bytes(1)[0]]
                packed[random.below(packed.count)] = interesting[random.below(interesting.count)]
            }
            guard let tuple = Tuple(packed: packed) else { continue }
            accepted += 1
            let again = try? Tuple(elements: tuple.elements, rule: .text)
            #expect(again?.packed == packed, "seed \(seed)")
        }
        #expect(accepted > 1_000, "seed \(seed)")
    }

    private func randomTuple(_ random: inout SeededRandom) -> Tuple {
        let alphabet = ["a", "b", ",", ",", "é", "漢"]
        let elements = (0...random.below(4)).map { _ in
            (0...random.below(6)).flatMap { _ in [UInt8](alphabet[random.below(alphabet.count)].utf8) }
        }
        guard let tuple = try? Tuple(elements: elements, rule: .text) else { preconditionFailure("a sound tuple") }
        return tuple
    }

    @Test("Limits: elements, bytes of an element, bytes of a tuple")
    func limits() throws {
        let one: [UInt8] = [0x61]
        let most = [[UInt8]](repeating: one, count: Limits.maximumTupleElements)
        #expect(try Tuple(elements: most, rule: .alphanumeric).elements.count == Limits.maximumTupleElements)
        #expect(throws: TupleError.tooManyElements) { try Tuple(elements: most + [one], rule: .alphanumeric) }
        #expect(Tuple(packed: [UInt8]((most + [one]).joined(separator: [0x2C]))) == nil)
        let long = [UInt8](repeating: 0x61, count: Limits.maximumElementBytes)
        #expect(throws: TupleError.tooLarge) { try Tuple(elements: [long + one], rule: .alphanumeric) }
        #expect(Tuple(packed: long + one) == nil)
        // Four elements of 65,535 bytes and three commas are 262,143 bytes; a fifth does not fit.
        let four = [[UInt8]](repeating: long, count: 4)
        #expect(try Tuple(elements: four, rule: .alphanumeric).packed.count == 262_143)
        #expect(throws: TupleError.tooLarge) { try Tuple(elements: four + [one], rule: .alphanumeric) }
    }

    @Test("What is no tuple says where")
    func errors() {
        #expect(throws: TupleError.empty) { try Tuple(elements: [], rule: .text) }
        #expect(throws: TupleError.element(1)) { try Tuple(elements: [[0x61], []], rule: .text) }
        #expect(throws: TupleError.element(0)) { try Tuple(elements: [[0xFF]], rule: .text) }
        #expect(throws: TupleError.element(1)) { try Tuple(elements: [[0x61], [0x2C]], rule: .alphanumeric) }
        #expect(throws: TupleError.element(1)) { try Tuple(.list([.string("a"), .number("1")]), rule: .text) }
        #expect(throws: TupleError.empty) { try Tuple(.string("a"), rule: .text) }
        #expect(throws: TupleError.empty) { try Tuple(.list([]), rule: .text) }
    }
}
