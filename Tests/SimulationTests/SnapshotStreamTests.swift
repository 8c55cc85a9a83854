import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication
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

    /// The state of a snapshot that broke off is not kept for ever, nor the log behind it.
    @Test func anInterruptedSnapshotIsGivenUpInTime() throws {
        let scene = DiskScene(seed: 5, imported: Self.pairs) { $0.pausedSnapshotPatience = .milliseconds(700) }
        let mark = beginAnew(scene)
        scene.world.server("b").crash()
        scene.run(.milliseconds(500))
        let replica = { try #require(scene.world.server("a").replica) }
        #expect(try replica().active?.paused.count == 1)
        #expect(try replica().journalNeededAfter != nil)
        scene.run(.milliseconds(500))
        #expect(try replica().active?.paused.isEmpty == true)
        #expect(try replica().journalNeededAfter == nil)
        scene.world.server("b").start()
        #expect(scene.run { scene.isRedundant })
        #expect(!scene.told("a INFO resync-resumed", since: mark))
        #expect(scene.world.watch.violations == [])
    }

    // MARK: More updates than are kept

    private static let large = String(repeating: "w", count: 40_000)
    private static let tailBytes = 65_536

    private func scene(_ seed: UInt64, _ disk: DiskSettings = DiskSettings(), pairs: ArraySlice<Pair>) -> DiskScene {
        DiskScene(seed: seed, disk: disk, imported: Array(pairs)) {
            $0.tailBytes = Self.tailBytes
            $0.restBytes = 4_096
            $0.snapshotBurstBytes = 4_096
        }
    }

    /// Nothing arrives of a snapshot that has begun, while updates go on.
    private func writeWhileItIsHeld(_ scene: DiskScene, count: Int) throws {
        let isOnItsWay = { (item: Link.Item) in
            if case .frame(let frame) = item { frame.type == .snapshotChunk } else { false }
        }
        let link = try #require(
            scene.world.links.first { $0.queues.joined().contains { isOnItsWay($0.item) } }, "no snapshot is on its way"
        )
        let side = link.queues[0].contains { isOnItsWay($0.item) } ? 0 : 1
        scene.world.silence(link, side: side, true)
        for number in 0..<count {
            #expect(scene.write("held\(number % 4)", "\(number)" + Self.large)?.status == .ok)
            #expect(try keptBytes(scene) <= Self.tailBytes + 50_000)
        }
        scene.world.silence(link, side: side, false)
    }

    private func keptBytes(_ scene: DiskScene) throws -> Int {
        try #require(scene.world.server("a").replica?.active).tail.byteCount
    }

    private func finish(_ scene: DiskScene) {
        var most = 0
        #expect(
            scene.run {
                most = max(most, (try? keptBytes(scene)) ?? .max)
                return scene.isRedundant && areEqual(scene)
            })
        #expect(most <= Self.tailBytes + 50_000)
        #expect(scene.write("after", "1")?.status == .ok)
        #expect(scene.run { (try? keptBytes(scene)) ?? .max <= 4_096 }, "nobody needs more any longer")
        #expect(scene.world.watch.violations == [])
    }

    /// Memory keeps what its bound says; the rest comes from the journal, when the snapshot has arrived. The journal keeps
    /// it, though snapshots on the disk cover it.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func memoryStaysBoundedWhileASnapshotIsSent(_ seed: UInt64) throws {
        let scene = scene(seed, pairs: Self.pairs[..<1_000])
        let mark = beginAnew(scene)
        try writeWhileItIsHeld(scene, count: 80)
        #expect(!scene.isRedundant)
        finish(scene)
        #expect(scene.world.story[mark...].count { $0.hasPrefix("a INFO resync server=b") } == 1)
        #expect(!scene.told("a INFO follower-left", since: mark))
    }

    /// Where the journal does not keep all of it either, the newcomer takes another snapshot.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func logThatIsGivenUpCostsAnotherSnapshot(_ seed: UInt64) throws {
        var disk = DiskSettings()
        disk.pinnedBytes = 1_000_000
        let scene = scene(seed, disk, pairs: Self.pairs[..<1_000])
        let mark = beginAnew(scene)
        try writeWhileItIsHeld(scene, count: 80)
        #expect(!scene.isRedundant)
        finish(scene)
        #expect(scene.world.story[mark...].count { $0.hasPrefix("a INFO resync server=b") } >= 2)
        #expect(!scene.told("b ALERT active-lost", since: mark))
    }
}
