import TestSupport
import Testing

@testable import TupleStore

/// Sixteen bytes with the order of `number`.
private func key(_ number: Int) -> [UInt8] {
    let digits = [UInt8](String(number).utf8)
    return [UInt8]("key-".utf8) + [UInt8](repeating: 48, count: 12 - digits.count) + digits
}

@Suite struct PackedMapTests {
    @Test func anEmptyMapHoldsNothing() {
        var map = PackedMap()
        #expect(map.isEmpty && map.count == 0 && map.byteCount == 0)
        #expect(!map.contains([1]) && map.value(forKey: [1]) == nil)
        #expect(!map.remove(key: [1]) && !map.replace(key: [1], value: [2]))
        #expect(map.removeReturningOld(key: [1]) == nil && map.replaceReturningOld(key: [1], value: [2]) == nil)
        #expect(map.pairs().isEmpty && map.pairs(from: [1], below: [2]).isEmpty)
        #expect(map.violation() == nil && map.statistics().allocatedBytes == 0)
    }

    @Test func insertTakesOnlyAbsentKeysAndReplaceOnlyPresentOnes() {
        var map = PackedMap()
        #expect(map.insert(key: [1], value: [10]) == true)
        #expect(!map.insert(key: [1], value: [11]) && map.value(forKey: [1]) == [10])
        #expect(!map.replace(key: [2], value: [20]) && !map.contains([2]))
        #expect(map.replaceReturningOld(key: [1], value: [12, 13]) == [10])
        #expect(map.count == 1 && map.byteCount == 3)
        map.set(key: [2], value: [])
        #expect(map.value(forKey: [2]) == [] && map.byteCount == 4)
        #expect(map.removeReturningOld(key: [1]) == [12, 13] && map.remove(key: [2]) && map.isEmpty)
    }

    @Test func anyCollectionOfBytesIsAKey() {
        var map = PackedMap()
        let bytes: [UInt8] = [1, 2, 3, 4]
        map.insert(key: bytes[1...2], value: "value".utf8)
        map.insert(key: bytes.reversed(), value: bytes.lazy.map { $0 + 1 })
        #expect(map.value(forKey: [2, 3]) == [UInt8]("value".utf8))
        #expect(map.value(forKey: ArraySlice([4, 3, 2, 1])) == [2, 3, 4, 5])
        map.removeAll()
        #expect(map.isEmpty && map.violation() == nil)
    }

    @Test func keysAreInTheOrderOfUnsignedBytesTheShorterFirst() {
        var map = PackedMap()
        let keys: [[UInt8]] = [
            [], [0], [0, 0], [0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1], [1], [1, 0], [1, 0, 0, 0, 1], [1, 127], [1, 128],
            [127], [127, 255, 255, 255, 255], [128], [255], [255, 0], [255, 255],
        ]
        for key in keys.reversed() { map.insert(key: key, value: key) }
        #expect(map.pairs().map { $0[0] } == keys)
        #expect(map.violation() == nil)
        for key in keys { #expect(map.value(forKey: key) == key) }
    }

    @Test(arguments: ["ascending", "descending", "random"])
    func everyInsertionOrderGivesTheSamePairs(_ order: String) {
        var numbers = Array(0..<20_000)
        var random = SeededRandom(seed: 7)
        if order == "descending" { numbers.reverse() }
        if order == "random" { numbers.shuffle(using: &random) }
        var map = PackedMap()
        for number in numbers { map.insert(key: key(number), value: key(number)) }
        #expect(map.violation() == nil)
        #expect(map.pairs().map { $0[0] } == (0..<20_000).map(key))
        let bytesAPair = Double(map.statistics().allocatedBytes) / 20_000
        // 40 bytes a pair in full pages, 58 in pages that are 69 % full, and what the pages cost.
        #expect(bytesAPair < (order == "random" ? 66 : 43))
    }

    @Test func aRangeIncludesItsLowerBoundAndExcludesItsUpper() {
        var map = PackedMap()
        for number in 0..<1_000 { map.insert(key: key(2 * number), value: []) }
        #expect(map.pairs(from: key(10), below: key(14)).map { $0[0] } == [key(10), key(12)])
        #expect(map.pairs(from: key(9), below: key(13)).map { $0[0] } == [key(10), key(12)])
        #expect(map.pairs(from: key(10), below: key(10)).isEmpty)
        #expect(map.pairs(from: key(14), below: key(10)).isEmpty)
        #expect(map.pairs(from: key(11), below: key(12)).isEmpty)
        #expect(map.pairs(from: key(5_000)).isEmpty && map.pairs(below: key(0)).isEmpty)
        #expect(map.pairs(from: [], below: [255]).count == 1_000)
    }

    @Test func aScanThatStopsGoesOnBehindItsLastKey() {
        var map = PackedMap()
        for number in 0..<5_000 { map.insert(key: key(number), value: []) }
        var seen: [[UInt8]] = []
        var steps = 0
        while steps < 1_000 {
            let before = seen.count
            let visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool = { key, _ in
                seen.append([UInt8](key))
                return seen.count < before + 7
            }
            if let last = seen.last {
                last.withUnsafeBytes { map.forEach(after: $0, visit) }
            } else {
                map.forEach(visit)
            }
            if seen.count == before { break }
            // The key to go on from may vanish in between.
            if let last = seen.last { map.remove(key: last) }
            steps += 1
        }
        #expect(seen == (0..<5_000).map(key))
    }

    @Test func theVisitorsErrorComesOut() {
        struct Stop: Error {}
        var map = PackedMap()
        map.insert(key: [1], value: [1])
        #expect(throws: Stop.self) { try map.forEach { _, _ throws(Stop) in throw Stop() } }
        #expect(throws: Stop.self) { try map.withValue(forKey: [1]) { _ throws(Stop) in throw Stop() } }
    }

    @Test func memoryReturnsWhenPairsGo() {
        var map = PackedMap()
        var numbers = Array(0..<30_000)
        for number in numbers { map.insert(key: key(number), value: key(number)) }
        let full = map.statistics()
        var random = SeededRandom(seed: 11)
        numbers.shuffle(using: &random)
        for number in numbers[..<27_000] { map.remove(key: key(number)) }
        #expect(map.violation() == nil)
        #expect(map.statistics().allocatedBytes < full.allocatedBytes / 4)
        for number in numbers[27_000...] { map.remove(key: key(number)) }
        #expect(map.statistics().allocatedBytes == 0)
    }

    @Test func memoryReturnsWhenLongValuesAreReplacedByShortOnes() {
        var map = PackedMap()
        let long = [UInt8](repeating: 1, count: 10_000)
        for number in 0..<500 { map.insert(key: key(number), value: long) }
        #expect(map.statistics().leafCount == 500)
        for number in 0..<500 { map.set(key: key(number), value: [1]) }
        #expect(map.violation() == nil && map.statistics().leafCount < 10)
    }

    @Test func pagesAreFourFifthsFullAfterInsertionsInAnyOrder() throws {
        var random = SeededRandom(seed: 5)
        var map = PackedMap()
        for _ in 0..<20_000 {
            map.insert(key: random.bytes(16, alphabet: 0x61...0x7A), value: random.bytes(16, alphabet: 0x61...0x7A))
        }
        let statistics = map.statistics()
        let capacity = statistics.leafCount * PackedMap.Page.standardCapacity
        #expect(statistics.usedBytes * 100 / capacity >= 78)
        #expect(map.violation() == nil)
    }

    @Test func aPairTooLargeForAPageGetsALeafOfItsOwn() {
        var map = PackedMap()
        for number in stride(from: 0, to: 400, by: 2) { map.insert(key: key(number), value: [0]) }
        let largest = [UInt8](repeating: 9, count: 262_144)
        for number in stride(from: 51, to: 400, by: 100) { map.insert(key: key(number), value: largest) }
        map.insert(key: largest, value: largest)
        #expect(
            map.violation() == nil && map.value(forKey: key(151)) == largest && map.value(forKey: largest) == largest)
        for number in stride(from: 51, to: 400, by: 100) { map.remove(key: key(number)) }
        #expect(map.violation() == nil && map.remove(key: largest))
        #expect(map.violation() == nil && map.count == 200 && map.statistics().leafCount < 4)
    }
}

@Suite struct PackedMapBuilderTests {
    @Test(arguments: [0, 1, 2, 100, 101, 5_000, 60_000])
    func ascendingPairsFillPages(_ count: Int) throws {
        let map = try PackedMap(ascending: (0..<count).lazy.map { (key: key($0), value: key($0)) })
        #expect(map.violation() == nil && map.count == count && map.byteCount == 32 * count)
        #expect(map.pairs() == (0..<count).map { [key($0), key($0)] })
        if count > 1_000 { #expect(map.statistics().allocatedBytes < 43 * count) }
    }

    @Test func aBuiltMapCanBeChanged() throws {
        var map = try PackedMap(ascending: (0..<5_000).map { (key: key(2 * $0), value: []) })
        for number in 0..<5_000 { map.insert(key: key(2 * number + 1), value: [1]) }
        #expect(map.violation() == nil && map.pairs().map { $0[0] } == (0..<10_000).map(key))
    }

    @Test func pairsOfAllSizesAreTaken() throws {
        var random = SeededRandom(seed: 5)
        var builder = PackedMap.Builder()
        var model = PackedMapModel()
        for number in 0..<600 {
            let length = number.isMultiple(of: 50) ? 262_144 : Int.random(in: 0...4_000, using: &random)
            let value = [UInt8](repeating: 1, count: length)
            try builder.append(key: key(number), value: value)
            model.pairs[key(number)] = value
        }
        let map = builder.finish()
        #expect(map.violation() == nil && model.difference(from: map) == nil)
    }

    @Test func aKeyOutOfOrderIsRefused() throws {
        var builder = PackedMap.Builder()
        try builder.append(key: [5], value: [1])
        #expect(throws: PackedMap.OrderError(position: 1)) { try builder.append(key: [5], value: [2]) }
        #expect(throws: PackedMap.OrderError(position: 1)) { try builder.append(key: [4, 9], value: [2]) }
        try builder.append(key: [5, 0], value: [3])
        #expect(builder.finish().pairs() == [[[5], [1]], [[5, 0], [3]]])
    }
}
