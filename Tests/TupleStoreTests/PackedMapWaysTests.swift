import TestSupport
import Testing

@testable import TupleStore

/// Operations along ways that were found for a group of keys before, held against a dictionary.
@Suite struct PackedMapWaysTests {
    @Test(arguments: PackedMapWorkload.allCases)
    func aWayNeverLeadsAstray(_ workload: PackedMapWorkload) {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        var map = PackedMap()
        var model = PackedMapModel()
        // Kept over all groups, as a server does: what is left of an earlier group must not count.
        var ways = PackedMap.Ways()
        var snapshots: [(PackedMap, PackedMapModel)] = []
        let groups = workload.operations / 8
        for group in 0..<groups {
            let place: Comment = "workload \(workload), seed \(seed), group \(group)"
            let grows = (group / (groups / 6 + 1)).isMultiple(of: 2)
            let keys = (0..<Int.random(in: 0...16, using: &random)).map { _ in workload.key(&random) }
            map.prefetch(keys, finding: &ways)
            for (number, key) in keys.enumerated() {
                let way = ways[number]
                let value = workload.value(&random)
                switch Int.random(in: 0..<8, using: &random) {
                case 0:
                    // A change that nobody had foreseen.
                    let victim = map.nearest(workload.key(&random))
                    #expect(map.remove(key: victim) == (model.pairs.removeValue(forKey: victim) != nil), place)
                    fallthrough
                case 1, 2:
                    #expect(map.value(forKey: key, along: way) == model.pairs[key], place)
                case 3:
                    #expect(map.replaceReturningOld(key: key, value: value, along: way) == model.pairs[key], place)
                    if model.pairs[key] != nil { model.pairs[key] = value }
                case 4 where !grows, 5 where !grows:
                    #expect(map.remove(key: key) == (model.pairs.removeValue(forKey: key) != nil), place)
                case 6 where group % 97 == 96:
                    map.removeAll()
                    model.pairs = [:]
                default:
                    #expect(map.insert(key: key, value: value, along: way) == (model.pairs[key] == nil), place)
                    if model.pairs[key] == nil { model.pairs[key] = value }
                }
            }
            if group.isMultiple(of: groups / 20 + 1) {
                #expect(map.violation() == nil, place)
                #expect(model.difference(from: map) == nil, place)
                snapshots.append((map, model))
            }
        }
        for (snapshot, then) in snapshots { #expect(then.difference(from: snapshot) == nil, "seed \(seed)") }
        #expect(map.violation() == nil, "seed \(seed)")
        #expect(model.difference(from: map) == nil, "seed \(seed)")
    }

    /// What the other test relies on: that ways are found, and hold until leaves come or go.
    @Test func waysHoldUntilLeavesComeOrGo() {
        var map = PackedMap()
        for number in 0..<10_000 { map.insert(key: key(number * 2), value: [1]) }
        var ways = PackedMap.Ways()
        let wanted = (0..<16).map { key($0 * 1_201) }
        map.prefetch(wanted, finding: &ways)
        for (number, key) in wanted.enumerated() {
            #expect(ways[number].height == map.root?.level)
            #expect(ways[number].shape == map.shape)
            #expect(map.value(forKey: key, along: ways[number]) == map.value(forKey: key))
        }
        let shape = map.shape
        map.replace(key: key(0), value: [2])
        #expect(map.shape == shape, "a value is no other leaf")
        for number in 0..<10_000 { map.remove(key: key(number * 2)) }
        #expect(map.shape != shape)
        map.prefetch(wanted, finding: &ways)
        #expect(ways[0].height == 0, "an empty map has no ways")
    }

    /// A page whose keys share a prefix, asked for keys that differ from it in one byte, or end in it; whatever slot is
    /// proposed.
    @Test func aPageFindsThePlaceOfKeysThatDoNotShareItsPrefix() {
        for length in 0...40 {
            let prefix = (0..<length).map { UInt8(100 + $0 % 7) }
            let keys = stride(from: 2, to: 60, by: 3).map { prefix + [UInt8($0), 5, 5, 5, 5, UInt8($0)] }
            let page = PackedMap.Page.make(capacity: PackedMap.Page.standardCapacity)
            page.view { page in
                for (slot, key) in keys.enumerated() {
                    key.withUnsafeBytes { key in page.insert(key: key, value: key, at: slot) }
                }
                var probes = keys + keys.map { [UInt8]($0.dropLast()) } + (0...length).map { [UInt8](prefix[..<$0]) }
                for place in 0..<length {
                    for change in [-1, 1] {
                        var other = keys[keys.count / 2]
                        other[place] = UInt8(Int(other[place]) + change)
                        probes += [other, [UInt8](other[...place])]
                    }
                }
                for probe in probes {
                    let expected = keys.firstIndex { !$0.lexicographicallyPrecedes(probe) } ?? keys.count
                    probe.withUnsafeBytes { bytes in
                        let place = page.lowerBound(bytes)
                        #expect(place.slot == expected && place.found == keys.contains(probe), "\(length): \(probe)")
                        for proposed in 0...keys.count + 1 {
                            let again = page.lowerBound(bytes, perhaps: proposed)
                            #expect(again.slot == place.slot && again.found == place.found, "\(length): \(probe)")
                        }
                    }
                }
            }
        }
    }

    private func key(_ number: Int) -> [UInt8] {
        let digits = String(number)
        return [UInt8]((String(repeating: "0", count: 12 - digits.count) + digits).utf8)
    }
}

extension PackedMap {
    fileprivate func prefetch(_ keys: [[UInt8]], finding ways: inout Ways) {
        let all = keys.flatMap { $0 }
        all.withUnsafeBytes { bytes in
            var begin = 0
            let slices = keys.map { key in
                defer { begin += key.count }
                return UnsafeRawBufferPointer(rebasing: bytes[begin..<begin + key.count])
            }
            prefetch(keys.count, finding: &ways) { slices[$0] }
        }
    }

    fileprivate mutating func insert(key: [UInt8], value: [UInt8], along way: Way) -> Bool {
        key.withUnsafeBytes { key in value.withUnsafeBytes { insert(key: key, value: $0, along: way) } }
    }

    fileprivate mutating func replaceReturningOld(key: [UInt8], value: [UInt8], along way: Way) -> [UInt8]? {
        key.withUnsafeBytes { key in value.withUnsafeBytes { replaceReturningOld(key: key, value: $0, along: way) } }
    }

    fileprivate func value(forKey key: [UInt8], along way: Way) -> [UInt8]? {
        key.withUnsafeBytes { withValue(forKey: $0, along: way) { [UInt8]($0) } }
    }
}
