import Replication
import Testing
import TupleCore
import TupleStore

@testable import Simulation

/// A snapshot on its way to a server that has nothing (specs/0004-journal.md, "Catching up").
@Suite struct SnapshotStreamTests {
    private static let pairs: [Pair] = (0..<1_500).compactMap { number in
        guard let key = try? Tuple(elements: [Array("key\(number)".utf8)], rule: .alphanumeric),
            let value = try? Tuple(elements: [[UInt8](repeating: 0x76, count: 1_500)], rule: .alphanumeric)
        else { return nil }
        return Pair(key: key, value: value)
    }

    private func sever(_ scene: DiskScene) {
        let places = [scene.world.server("a").place, scene.world.server("b").place]
        for link in scene.world.links where places.allSatisfy({ link.places.contains($0) }) { scene.world.sever(link) }
    }

    private func beginAnew(_ scene: DiskScene) -> Int {
        scene.world.server("b").crash()
        scene.world.server("b").wipe()
        let mark = scene.world.story.count
        scene.world.server("b").start()
        let end = scene.world.now.advanced(by: .seconds(5))
        while !scene.told("a INFO resync server=b", since: mark), scene.world.stepOnce(until: end) {}
        // Some of it arrives, not all.
        scene.run(.microseconds(900))
        return mark
    }

    private func areEqual(_ scene: DiskScene) -> Bool {
        Set(scene.world.servers.compactMap { $0.replica?.state.space.digest }).count == 1
    }

    /// It goes on where it stopped, although updates went on meanwhile.
    @Test(arguments: 1...2 as ClosedRange<UInt64>) func anInterruptedSnapshotGoesOn(_ seed: UInt64) {
        let scene = DiskScene(seed: seed, imported: Self.pairs)
        let mark = beginAnew(scene)
        sever(scene)
        for number in 0..<3 { scene.write("k\(number)", "1") }
        #expect(scene.run { scene.isRedundant })
        let isResumed = scene.told("a INFO resync-resumed server=b", since: mark)
        #expect(isResumed, "\(scene.world.story[mark...])")
        #expect(scene.run { areEqual(scene) })
        let count = scene.world.server("b").replica?.state.space.count
        #expect(count == Self.pairs.count + scene.expected.count)
        #expect(scene.world.watch.violations == [])
    }

    /// Another active server has another state: it begins again.
    @Test func anInterruptedSnapshotBeginsAgainElsewhere() {
        let scene = DiskScene(seed: 4, imported: Self.pairs)
        let mark = beginAnew(scene)
        scene.world.server("a").crash()
        scene.world.server("a").start()
        #expect(scene.run { scene.isRedundant })
        #expect(!scene.told("a INFO resync-resumed", since: mark))
        #expect(scene.run { areEqual(scene) })
        #expect(scene.world.watch.violations == [])
    }
}
