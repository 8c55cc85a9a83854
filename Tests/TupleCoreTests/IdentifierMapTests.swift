import TestSupport
import Testing

@testable import TupleCore

@Suite struct IdentifierMapTests {
    /// Held against a dictionary, with numbers that collide and numbers that follow each other.
    @Test func itHoldsWhatADictionaryHolds() {
        var random = SeededRandom()
        let seed = random.seed
        for round in 0..<40 {
            var map = round % 2 == 0 ? IdentifierMap<Int>() : .scattering
            var model: [UInt64: Int] = [:]
            let step = random.below(2) == 0 ? 1 : 16
            for turn in 0..<400 {
                let key = UInt64(1 + random.below(40) * step)
                switch random.below(3) {
                case 0:
                    #expect(map.removeValue(forKey: key) == model.removeValue(forKey: key), "seed \(seed)")
                case 1:
                    if let place = map.place(of: key) { map[at: place] += 1000 }
                    model[key]? += 1000
                default:
                    map[key] = turn
                    model[key] = turn
                }
                #expect(map[key] == model[key], "seed \(seed)")
                #expect(map.count == model.count, "seed \(seed)")
            }
            #expect(map.all.map(\.key) == model.keys.sorted(), "seed \(seed)")
            #expect(map.all.map(\.value) == model.sorted { $0.key < $1.key }.map(\.value), "seed \(seed)")
            #expect(map[0] == nil && map[1 << 60] == nil)
            var again = IdentifierMap<Int>()
            for (key, value) in model { again[key] = value }
            #expect(again == map, "seed \(seed)")
            again[1 << 60] = 1
            #expect(again != map, "seed \(seed)")
        }
    }

    /// Numbers that differ in their high bits only would all share a place if they were taken as they are.
    @Test func whatOthersChooseIsScattered() {
        var map = IdentifierMap<Int>.scattering
        for number in 1...4_096 { map[UInt64(number) << 40] = number }
        let homes = Set((1...4_096).map { map.home(of: UInt64($0) << 40) })
        #expect(homes.count > 1_024)
    }

    /// Numbers chosen so that all would get the same place are scattered anew before each takes long to find.
    @Test func whoCrowdsIsScatteredAnew() {
        var map = IdentifierMap<Int>.scattering
        // Large enough that it does not grow meanwhile.
        for number in 1...40_000 { map[UInt64(number)] = 0 }
        let home = map.home(of: 1)
        var chosen: [UInt64] = []
        var number: UInt64 = 1_000_000
        while chosen.count < 1_000 {
            if map.home(of: number) == home { chosen.append(number) }
            number += 1
        }
        for (index, number) in chosen.enumerated() { map[number] = index }
        #expect(chosen.map { map[$0] } == chosen.indices.map { $0 })
        #expect(map.count == 41_000)
        #expect(Set(chosen.map { map.home(of: $0) }).count > 900)
    }
}
