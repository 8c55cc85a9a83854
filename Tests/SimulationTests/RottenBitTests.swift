import Journal
import Testing
import TupleCore

@testable import Simulation

/// Any single bit of a journal or a snapshot flips, of the active or the passive server, while it runs or while it is
/// down: what was acknowledged is served and stays on both, and what was noticed is repaired (specs/0004-journal.md).
@Suite struct RottenBitTests {
    static let trials = 100

    @Test(arguments: 0..<10 as Range<UInt64>) func aFlippedBitCostsNothing(_ seed: UInt64) throws {
        let scene = DiskScene(seed: seed)
        var random = SeededRandom(seed: seed, purpose: 91)
        var noticed = 0
        for trial in 0..<Self.trials {
            let label: Comment = "seed \(seed), trial \(trial)"
            for _ in 0..<random.below(4) {
                let value = String(repeating: "v", count: 1 + random.below(900)) + "\(trial)"
                #expect(scene.write("k\(random.below(60))", value)?.status == .ok, label)
            }
            let victim = scene.world.servers[random.below(2)]
            let mark = scene.world.story.count
            let isRunning = random.once(in: 6)
            if !isRunning { victim.crash() }
            victim.isDamaged = true
            flip(victim, &random)
            if isRunning {
                // A whole pass of the scrub, and what it takes to mend.
                scene.run(.seconds(6))
            } else {
                scene.run(.milliseconds(random.below(600)))
                victim.start()
            }
            #expect(scene.run { scene.isRedundant }, "seed \(seed), trial \(trial): \(scene.situation)")
            if scene.told("\(victim.machine) ALERT corruption", since: mark) {
                noticed += 1
                #expect(scene.told("\(victim.machine) ALERT repaired", since: mark), label)
            }
            victim.isDamaged = false
            #expect(scene.world.watch.violations == [], label)
            guard !scene.world.watch.isViolated else { return }
            if trial % 10 == 9 {
                scene.run(.milliseconds(200))
                for server in scene.world.servers { #expect(scene.differences(on: server) == [], label) }
            }
        }
        print("seed \(seed): \(Self.trials) flipped bits, \(noticed) mattered and were repaired")
        #expect(noticed > Self.trials / 4)
    }

    /// A bit of what was written; now and then one of the zeros behind.
    private func flip(_ victim: ServerHost, _ random: inout SeededRandom) {
        let disk = victim.storage.disk
        let names = ((try? disk.list()) ?? []).filter { $0.hasPrefix("log-") || $0.hasPrefix("snapshot-") }
            .filter { !$0.hasSuffix(".tmp") }
        let name = names[random.below(names.count)]
        let bytes = disk.contents(of: name) ?? []
        let written = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
        let byte = random.below(random.once(in: 10) ? bytes.count : written)
        let bit = byte * 8 + random.below(8)
        victim.world.tell("\(victim.machine): bit \(bit) of \(name) flips")
        disk.flip(bit: bit, of: name)
    }
}
