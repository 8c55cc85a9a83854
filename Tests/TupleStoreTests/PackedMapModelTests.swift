import TestSupport
import Testing

@testable import TupleStore

/// What the map must equal: a dictionary, sorted when it is compared.
struct PackedMapModel {
    var pairs: [[UInt8]: [UInt8]] = [:]

    var sorted: [(key: [UInt8], value: [UInt8])] {
        pairs.map { ($0.key, $0.value) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
    }

    /// The first difference from `map`, or `nil`.
    func difference(from map: PackedMap) -> String? {
        let expected = sorted
        guard map.count == expected.count else { return "\(map.count) pairs instead of \(expected.count)" }
        let bytes = expected.reduce(0) { $0 + $1.key.count + $1.value.count }
        guard map.byteCount == bytes else { return "\(map.byteCount) bytes instead of \(bytes)" }
        var index = 0
        var difference: String?
        map.forEach { key, value in
            if index >= expected.count || !key.elementsEqual(expected[index].key) {
                difference = "key \(index) differs"
            } else if !value.elementsEqual(expected[index].value) {
                difference = "value \(index) differs"
            }
            index += 1
            return difference == nil
        }
        if difference == nil && index != expected.count { return "visited \(index) of \(expected.count) pairs" }
        return difference
    }
}

extension PackedMap {
    /// All pairs in the range, copied.
    func pairs(from lower: [UInt8]? = nil, below upper: [UInt8]? = nil) -> [[[UInt8]]] {
        var pairs: [[[UInt8]]] = []
        let visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool = { key, value in
            pairs.append([[UInt8](key), [UInt8](value)])
            return true
        }
        switch (lower, upper) {
        case (nil, nil): forEach(visit)
        case (let lower?, nil): lower.withUnsafeBytes { forEach(from: $0, visit) }
        case (nil, let upper?): upper.withUnsafeBytes { forEach(below: $0, visit) }
        case (let lower?, let upper?):
            lower.withUnsafeBytes { lower in upper.withUnsafeBytes { forEach(from: lower, below: $0, visit) } }
        }
        return pairs
    }

    func violation() -> String? {
        do throws(InvariantViolation) {
            try checkInvariants()
            return nil
        } catch {
            return error.description
        }
    }
}

/// A kind of pairs that random operations are drawn from.
enum PackedMapWorkload: String, CaseIterable, CustomTestStringConvertible {
    case tiny
    case short
    case commonPrefix
    case zeroBytes
    case longValues
    case longKeys
    case largest

    var testDescription: String { rawValue }

    var operations: Int {
        switch self {
        case .tiny, .short, .commonPrefix, .zeroBytes: 9_000
        case .longValues: 3_000
        case .longKeys: 1_000
        case .largest: 125
        }
    }

    func key(_ random: inout SeededRandom) -> [UInt8] {
        switch self {
        case .tiny:
            return random.bytes(.random(in: 0...3, using: &random), alphabet: 97...104)
        case .short, .longValues:
            return random.bytes(2, alphabet: 0...40) + random.bytes(14, alphabet: 7...7)
        case .commonPrefix:
            return [UInt8]("a place all keys have in common/".utf8)
                + [UInt8](String(Int.random(in: 0..<4_000, using: &random)).utf8)
        case .zeroBytes:
            return random.bytes(.random(in: 0...9, using: &random), alphabet: 0...1)
        case .longKeys:
            return [UInt8](repeating: 120, count: .random(in: 0...8, using: &random) * 700)
                + random.bytes(.random(in: 0...2, using: &random), alphabet: 97...122)
        case .largest:
            return [UInt8](repeating: 120, count: Int.random(in: 0...1, using: &random) * 262_140)
                + random.bytes(.random(in: 0...2, using: &random), alphabet: 97...104)
        }
    }

    func value(_ random: inout SeededRandom) -> [UInt8] {
        switch self {
        case .tiny, .short, .commonPrefix, .zeroBytes:
            return random.bytes(.random(in: 0...40, using: &random))
        case .longValues:
            let longest = [20, 200, 2_000, 5_000].randomElement(using: &random) ?? 0
            return [UInt8](
                repeating: .random(in: 0...255, using: &random), count: .random(in: 0...longest, using: &random))
        case .longKeys:
            return random.bytes(.random(in: 0...40, using: &random))
        case .largest:
            let length = [1, 127, 128, 16_383, 16_384, 65_535, 70_000, 262_144].randomElement(using: &random) ?? 0
            return [UInt8](repeating: .random(in: 0...255, using: &random), count: length)
        }
    }
}

@Suite struct PackedMapModelTests {
    /// Random operations leave the map and its snapshots equal to the model, and its structure sound. The share of
    /// insertions swings, so that the map grows and shrinks to (nearly) nothing several times.
    @Test(arguments: PackedMapWorkload.allCases, [1, 2] as [UInt64])
    func equalsTheModelAfterRandomOperations(_ workload: PackedMapWorkload, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var map = PackedMap()
        var model = PackedMapModel()
        var snapshots: [(PackedMap, PackedMapModel)] = []
        let place: (Int) -> Comment = { "workload \(workload), seed \(seed), operation \($0)" }

        for operation in 0..<workload.operations {
            let growth = (operation / (workload.operations / 6)).isMultiple(of: 2) ? 70 : 15
            let key = workload.key(&random)
            let old = model.pairs[key]
            if Int.random(in: 0..<100, using: &random) < growth {
                let value = workload.value(&random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    #expect(map.replace(key: key, value: value) == (old != nil), place(operation))
                    if old != nil { model.pairs[key] = value }
                case 1:
                    #expect(map.replaceReturningOld(key: key, value: value) == old, place(operation))
                    if old != nil { model.pairs[key] = value }
                case 2:
                    map.set(key: key, value: value)
                    model.pairs[key] = value
                default:
                    #expect(map.insert(key: key, value: value) == (old == nil), place(operation))
                    if old == nil { model.pairs[key] = value }
                }
            } else {
                // Mostly a key that is there: the map would not shrink otherwise.
                let victim = Bool.random(using: &random) ? key : map.nearest(key)
                let expected = model.pairs.removeValue(forKey: victim)
                if Bool.random(using: &random) {
                    #expect(map.removeReturningOld(key: victim) == expected, place(operation))
                } else {
                    #expect(map.remove(key: victim) == (expected != nil), place(operation))
                }
            }
            let probe = workload.key(&random)
            #expect(map.value(forKey: probe) == model.pairs[probe], place(operation))
            #expect(map.contains(probe) == (model.pairs[probe] != nil), place(operation))

            if operation.isMultiple(of: workload.operations / 12) {
                #expect(map.violation() == nil, place(operation))
                #expect(model.difference(from: map) == nil, place(operation))
                expectSameRanges(map, model, workload, &random, place(operation))
                if snapshots.count == 4 { snapshots.remove(at: .random(in: 0..<4, using: &random)) }
                snapshots.append((map, model))
            }
        }
        for (snapshot, then) in snapshots {
            #expect(snapshot.violation() == nil, place(-1))
            #expect(then.difference(from: snapshot) == nil, place(-1))
        }
        for key in model.pairs.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            #expect(map.remove(key: key) == true)
        }
        #expect(map.isEmpty && map.byteCount == 0 && map.violation() == nil, place(-1))
        #expect(map.statistics() == PackedMap.Statistics())
    }

    private func expectSameRanges(
        _ map: PackedMap, _ model: PackedMapModel, _ workload: PackedMapWorkload, _ random: inout SeededRandom,
        _ place: Comment
    ) {
        let sorted = model.sorted
        for _ in 0..<4 {
            let lower = workload.key(&random)
            let upper = workload.key(&random)
            let notBelow = sorted.filter { !$0.key.lexicographicallyPrecedes(lower) }
            let expected = notBelow.filter { $0.key.lexicographicallyPrecedes(upper) }.map { [$0.key, $0.value] }
            #expect(map.pairs(from: lower, below: upper) == expected, place)
            #expect(map.pairs(from: lower).count == notBelow.count, place)
            var above = 0
            lower.withUnsafeBytes { lower in
                map.forEach(after: lower) { _, _ in
                    above += 1
                    return true
                }
            }
            #expect(above == notBelow.count - (model.pairs[lower] == nil ? 0 : 1), place)
        }
    }
}

extension PackedMap {
    /// The first key not below `key`, or `key` if there is none.
    func nearest(_ key: [UInt8]) -> [UInt8] {
        var nearest = key
        key.withUnsafeBytes { lower in
            forEach(from: lower) { key, _ in
                nearest = [UInt8](key)
                return false
            }
        }
        return nearest
    }
}
