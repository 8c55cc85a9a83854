import TestSupport
import Testing
import TupleCore

@testable import TupleStore

/// The space and its digest (R1): effects that fit, effects that do not, and copies that are equal.
@Suite struct SpaceTests {
    private let a1 = Pair(key: tuple("a"), value: tuple("1"))
    private let a2 = Pair(key: tuple("a"), value: tuple("2"))
    private let b1 = Pair(key: tuple("b"), value: tuple("1"))

    @Test func aKeyHasAtMostOneValue() {
        var space = Space(rule: .alphanumeric)
        space.take(.added(a1))
        space.refuse(.added(a2))
        #expect(space.value(of: a1.key) == a1.value)
        #expect(space.count == 1)
    }

    @Test func anEffectThatDoesNotFitSaysSoAndChangesNothing() {
        var space = Space(rule: .alphanumeric)
        space.take(.added(a1))
        let before = space.digest
        space.refuse(.added(a1))
        space.refuse(.replaced(b1))
        space.refuse(.removed(b1.key))
        #expect(space.digest == before)
        #expect(space.pairs == [a1])
    }

    @Test func aCopyIsASnapshot() {
        var space = Space(rule: .alphanumeric)
        space.take(.added(a1))
        let snapshot = space
        space.take(.replaced(a2))
        space.take(.added(b1))
        #expect(snapshot.pairs == [a1])
        #expect(space.pairs == [a2, b1])
        #expect(snapshot.digest != space.digest)
    }

    @Test func pairsComeInKeyOrderFromWhereTheyAreAsked() {
        let space = Space(["b": "2", "a": "1", "c": "3"])
        var keys: [String] = []
        space.forEachPair(from: [UInt8]("b".utf8)) {
            keys.append($0.key.text)
            return true
        }
        #expect(keys == ["b", "c"])
        keys = []
        space.forEachPair {
            keys.append($0.key.text)
            return keys.count < 2
        }
        #expect(keys == ["a", "b"])
    }

    // MARK: Digest

    @Test func theDigestDoesNotDependOnTheWay() {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        let pairs = (0..<300).map { Pair(key: tuple("k\($0)"), value: tuple("v\($0 % 7)", "w")) }
        var first = Space(rule: .alphanumeric)
        for pair in pairs { first.take(.added(pair)) }
        var second = Space(rule: .alphanumeric)
        for pair in pairs.shuffled(using: &random) {
            if Bool.random(using: &random) {
                second.take(.added(Pair(key: pair.key, value: tuple("other"))))
                second.take(.replaced(pair))
            } else {
                second.take(.added(pair))
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                second.take(.removed(pair.key))
                second.take(.added(pair))
            }
        }
        #expect(first.digest == second.digest, "seed \(seed)")
        for pair in pairs { second.take(.removed(pair.key)) }
        #expect(second.digest == Digest(), "seed \(seed)")
    }

    @Test func differentSpacesHaveDifferentDigests() {
        func digest(_ pairs: KeyValuePairs<String, String>) -> UInt64 { Space(pairs).digest.value }
        let digests = [
            digest([:]), digest(["a": "1"]), digest(["1": "a"]), digest(["a": "2"]), digest(["b": "1"]),
            digest(["a 1": "1"]), digest(["a": "1 1"]), digest(["a": "1", "b": "2"]), digest(["a": "2", "b": "1"]),
            digest(["aaaaaaaa": "1"]), digest(["aaaaaaaaa": "1"]), digest(["aaaaaaab": "1"]),
        ]
        #expect(Set(digests).count == digests.count)
        let swapped = Space(["x": "1", "y": "2"]).digest.value
        #expect(
            swapped != Space(["x": "2", "y": "1"]).digest.value, "a sum over keys and values apart would not see it")
        var joined = Space(rule: .text)
        joined.take(.added(Pair(key: tuple("a,b"), value: tuple("1"))))
        #expect(joined.digest.value != digest(["a b": "1"]), "elements with commas are not their neighbours")
    }

    @Test func everyBitOfAPairCounts() {
        let base = [UInt8](repeating: 0x55, count: 29)
        let value: [UInt8] = [1, 2, 3]
        func hash(_ key: [UInt8], _ value: [UInt8]) -> UInt64 {
            key.withUnsafeBytes { key in value.withUnsafeBytes { Digest.hash(key, $0) } }
        }
        var seen: Set<UInt64> = [hash(base, value)]
        for byte in base.indices {
            for bit in 0..<8 {
                var other = base
                other[byte] ^= 1 << bit
                #expect(seen.insert(hash(other, value)).inserted, "byte \(byte), bit \(bit)")
            }
        }
        for count in 0..<base.count {
            #expect(seen.insert(hash([UInt8](base[..<count]), value)).inserted, "\(count) bytes")
        }
        #expect(hash([1, 2], [3]) != hash([1], [2, 3]), "the boundary between key and value counts")
    }
}
