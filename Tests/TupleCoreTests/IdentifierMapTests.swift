import TestSupport
import Testing

@testable import TupleCore

@Suite struct IdentifierMapTests {
    /// Held against a dictionary, with numbers that collide and numbers that follow each other.
    @Test func itHoldsWhatADictionaryHolds() {
        var random = SeededRandom()
        let seed = random.seed
        for _ in 0..<40 {
            var map = IdentifierMap<Int>()
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
        }
    }
}
