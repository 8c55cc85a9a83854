import Journal
import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication
@testable import Simulation

/// Full, hanging and lying disks under the real journal and replica (specs/0004-journal.md, "When a disk fails").
@Suite struct DiskTests {
    static let large = String(repeating: "v", count: 1_500)

    /// Updates are refused before anything is taken in that has no place; reads go on, and so does everything when
    /// there is room again.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func aFullDiskRefusesUpdatesAndAnswersReads(_ seed: UInt64) throws {
        let scene = DiskScene(seed: seed)
        let active = try #require(scene.active)
        scene.write("k", "1")
        active.fillDisk()
        var refusal: Answer?
        for number in 0..<40 where refusal == nil {
            let answer = scene.write("x\(number)", Self.large)
            if answer?.status != .ok { refusal = answer }
        }
        #expect(refusal?.status == .unavailable)
        #expect(refusal?.message.contains("the disk of a is full") == true)
        #expect(scene.told("a ALERT disk server=a problem=full"))
        #expect(scene.read("k")?.pairs.count == 1)
        scene.run(.seconds(5))
        #expect(scene.read("k")?.pairs.count == 1)
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a,b]")
        active.mend()
        scene.run(.seconds(2))
        #expect(scene.told("a ALERT disk-restored"))
        #expect(scene.write("k", "2")?.status == .ok)
        #expect(scene.run { scene.world.servers.allSatisfy { scene.differences(on: $0) == [] } })
        #expect(scene.world.watch.violations == [])
        // Nothing that was refused comes back with a restart.
        for server in scene.world.servers { server.crash() }
        for server in scene.world.servers { server.start() }
        #expect(scene.run { scene.isRedundant })
        for server in scene.world.servers { #expect(scene.differences(on: server) == []) }
    }

    /// A passive server with a full disk leaves the in-sync set; nobody waits for it.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func aPassiveServerWithAFullDiskLeaves(_ seed: UInt64) {
        let scene = DiskScene(seed: seed)
        scene.write("k", "1")
        scene.world.server("b").fillDisk()
        for number in 0..<60 { #expect(scene.write("x\(number)", Self.large)?.status == .ok) }
        #expect(scene.told("b ALERT disk server=b problem=stuck"))
        #expect(scene.told("a ALERT not-redundant"))
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a]", "it did not take over")
        scene.world.server("b").mend()
        #expect(scene.run { scene.isRedundant })
        scene.world.server("a").crash()
        #expect(scene.run { scene.active?.machine == "b" })
        #expect(scene.differences(on: scene.world.server("b")) == [])
        #expect(scene.world.watch.violations == [])
    }

    /// An active server whose disk hangs leaves its place to one that is in sync.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func anActiveServerWithAHangingDiskStepsAside(_ seed: UInt64) {
        let scene = DiskScene(seed: seed)
        scene.write("k", "1")
        scene.world.server("a").isDiskHeld = true
        #expect(scene.write("k", "2", atMost: .seconds(20))?.status == .ok, "the other server has answered")
        #expect(scene.told("a ALERT disk server=a problem=stuck"))
        #expect(scene.told("a ALERT stepping-aside"))
        #expect(scene.active?.machine == "b")
        scene.world.server("a").isDiskHeld = false
        #expect(scene.run { scene.isRedundant })
        #expect(scene.told("a ALERT disk-restored"))
        #expect(scene.run { scene.world.servers.allSatisfy { scene.differences(on: $0) == [] } })
        #expect(scene.world.watch.violations == [])
    }

    /// Who has stepped aside does not ask for the switch while its disk hangs, whatever became of its heir.
    @Test func aServerThatSteppedAsideAsksForNothingBeforeItsDiskIsWell() {
        let scene = DiskScene(seed: 16)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        scene.write("k", "1")
        a.isDiskHeld = true
        let end = scene.world.now.advanced(by: .seconds(20))
        let sequence = scene.begin("l", "1")
        while !scene.told("a ALERT stepping-aside"), scene.world.stepOnce(until: end) {}
        b.crash()
        scene.run(.seconds(5))
        #expect(scene.active == nil)
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a,b]")
        a.isDiskHeld = false
        #expect(scene.run { scene.active?.machine == "a" })
        #expect(scene.run { scene.isAnswered(sequence) })
        b.start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.world.watch.violations == [])
    }

    /// Without another one it waits for its disk, and answers nothing that is not on it.
    @Test func aHangingDiskOfTheOnlyServerIsWaitedFor() {
        let scene = DiskScene(seed: 3, ["a"])
        scene.world.server("a").isDiskHeld = true
        #expect(scene.write("k", "1", atMost: .seconds(8)) == nil)
        #expect(scene.told("a ALERT disk server=a problem=stuck"))
        #expect(scene.active?.machine == "a")
        // What comes now is not let in: it is known that it would only wait.
        let queued = scene.world.server("a").replica?.state.position
        #expect(scene.write("l", "1", atMost: .seconds(1)) == nil, "its refusal stands behind what waits")
        #expect(scene.world.server("a").replica?.state.position == queued)
        scene.world.server("a").isDiskHeld = false
        scene.run(.seconds(2))
        #expect(scene.read("k")?.pairs.count == 1)
        #expect(scene.read("l")?.pairs.isEmpty == true)
    }

    /// A failed write or sync is not tried again: the server ends, and the other one takes over.
    @Test(arguments: [true, false]) func aFailedWriteOrSyncEndsTheServer(failsSync: Bool) {
        let scene = DiskScene(seed: 5)
        scene.write("k", "1")
        scene.world.server("a").failDisk(syncsAfter: failsSync ? 0 : nil, writesAfter: failsSync ? nil : 0)
        #expect(scene.write("k", "2")?.status == .ok, "the other server has answered")
        #expect(!scene.world.server("a").isUp)
        #expect(scene.active?.machine == "b")
        scene.world.server("a").mend()
        scene.world.server("a").start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.run { scene.differences(on: scene.world.server("a")) == [] })
        #expect(scene.world.watch.violations == [])
    }

    /// Files that cannot be removed cost room, and a line in the log; the server goes on, over a restart too.
    @Test(arguments: ["log-", "snapshot-"]) func aFileThatCannotBeRemovedIsToldOf(_ kind: String) {
        let scene = DiskScene(seed: 15)
        let a = scene.world.server("a")
        var faults = InMemoryStorage.Faults()
        faults.irremovable = kind
        a.storage.disk.setFaults(faults)
        for number in 0..<30 { #expect(scene.write("k\(number % 3)", Self.large + "\(number)")?.status == .ok) }
        scene.run(.seconds(2))
        #expect(scene.told("a WARN not-tidied reason="))
        #expect(scene.active?.machine == "a" && scene.isRedundant)
        let left = files(a, kind)
        #expect(left > 1)
        a.mend()
        // With the next snapshot it is tried again.
        for number in 0..<30 { #expect(scene.write("k\(number % 3)", Self.large + "\(number)")?.status == .ok) }
        scene.run(.seconds(2))
        if kind == "snapshot-" { #expect(files(a, kind) == 1) }
        for server in scene.world.servers { server.crash() }
        for server in scene.world.servers { server.start() }
        #expect(scene.run { scene.isRedundant })
        for server in scene.world.servers { #expect(scene.differences(on: server) == []) }
        #expect(scene.world.watch.violations == [])
    }

    private func files(_ server: ServerHost, _ kind: String) -> Int {
        ((try? server.storage.disk.list()) ?? []).count { $0.hasPrefix(kind) && !$0.hasSuffix(".tmp") }
    }

    // MARK: Copies that are lost

    private func damageLog(_ server: ServerHost) {
        let disk = server.storage.disk
        let name = ((try? disk.list()) ?? []).filter { $0.hasPrefix("log-") && !$0.hasSuffix(".tmp") }.max() ?? ""
        disk.flip(bit: 8 * (64 + 40 + 3), of: name)
        server.isDamaged = true
    }

    /// The recorded active server comes back alone with a damaged log: it does not serve, and does not found anything.
    @Test func aServerWithADamagedLogWaitsForTheOther() {
        let scene = DiskScene(seed: 6)
        scene.write("k", "1")
        scene.run(.seconds(1))
        for server in scene.world.servers { server.crash() }
        damageLog(scene.world.server("a"))
        scene.world.server("a").start()
        scene.run(.seconds(4))
        #expect(scene.active == nil)
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a,b]")
        #expect(!scene.world.server("a").storage.disk.asideNames.isEmpty)
        // Also after another restart: nothing in the directory looks damaged any more.
        scene.world.server("a").crash()
        scene.world.server("a").start()
        scene.run(.seconds(4))
        #expect(scene.active == nil)
        scene.world.server("b").start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.active?.machine == "b")
        #expect(scene.told("a ALERT repaired"))
        #expect(scene.run { scene.differences(on: scene.world.server("a")) == [] })
        #expect(scene.world.watch.violations == [])
    }

    /// Its own word takes a damaged copy out of the in-sync set at once, so that no switchover names it.
    @Test func aDamagedCopyIsNotPromoted() {
        let scene = DiskScene(seed: 7)
        scene.write("k", "1")
        scene.run(.seconds(1))
        for server in scene.world.servers { server.crash() }
        scene.world.proxy.crash()
        damageLog(scene.world.server("b"))
        scene.world.proxy.start()
        scene.world.server("b").start()
        scene.run(.seconds(3))
        #expect(scene.active == nil)
        #expect(scene.told("proxy ALERT copy-lost server=b"))
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a]")
        scene.world.server("a").start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.differences(on: scene.world.server("b")) == [])
    }

    /// A server that was found to differ is not believed after a restart either.
    @Test func aSuspectCopyStaysSuspectOverARestart() throws {
        let scene = DiskScene(seed: 8)
        scene.write("k", "1")
        scene.run(.seconds(1))
        let b = scene.world.server("b")
        for server in scene.world.servers { server.crash() }
        var mark = try DurableRecord(storage: b.storage.disk, name: "copy")
        try DurableCopy.write(isSuspect: true, to: &mark)
        b.start()
        scene.run(.seconds(3))
        #expect(scene.active == nil)
        scene.world.server("a").start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.active?.machine == "a")
        #expect(scene.told("b ALERT repaired"))
    }

    /// Changes a bit in both copies of a durable record.
    private func damageRecord(_ name: String, of server: ServerHost) throws {
        let size = try #require(server.storage.disk.contents(of: name)?.count)
        for copy in 0...1 { server.storage.disk.flip(bit: (copy * size / 2 + 20) * 8, of: name) }
        server.isDamaged = true
    }

    /// Nobody knows what a damaged mark said: the worse is believed.
    @Test func aCopyWhoseMarkIsDamagedIsSuspect() throws {
        let scene = DiskScene(seed: 13)
        let b = scene.world.server("b")
        scene.write("k", "1")
        scene.run(.seconds(1))
        for server in scene.world.servers { server.crash() }
        var mark = try DurableRecord(storage: b.storage.disk, name: "copy")
        try DurableCopy.write(isSuspect: true, to: &mark)
        try damageRecord("copy.record", of: b)
        b.start()
        scene.run(.seconds(3))
        #expect(scene.told("b ALERT corruption"))
        #expect(scene.active == nil)
        scene.world.server("a").start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.told("b ALERT repaired"))
        #expect(scene.world.watch.violations == [])
    }

    /// A server that has lost its last record of the switch does not found a cluster, though nobody contradicts it.
    @Test func aServerWithoutItsRecordFoundsNothing() throws {
        let scene = DiskScene(seed: 14)
        let b = scene.world.server("b")
        scene.write("k", "1")
        scene.run(.seconds(1))
        for server in scene.world.servers { server.crash() }
        scene.world.proxy.crash()
        scene.world.proxy.wipe()
        scene.world.proxy.start()
        try damageRecord("member.record", of: b)
        b.start()
        scene.run(.seconds(3))
        #expect(scene.told("b ALERT corruption"))
        #expect(scene.world.proxy.durable == nil)
        // Nor after another start, when nothing looks damaged any more.
        b.crash()
        b.start()
        scene.run(.seconds(3))
        #expect(scene.world.proxy.durable == nil && scene.active == nil)
    }

    /// The active server says to b's heartbeat that its copy has another digest.
    private func makeDiffer(_ b: ServerHost) throws {
        let replica = try #require(b.replica)
        let peer = try #require(replica.passive?.heartbeats)
        let word = Heartbeat(index: replica.state.position.index, digest: ~replica.state.space.digest.value)
        let epoch = try #require(replica.passive?.target.epoch)
        b.happened(.peerFrame(peer, word.frame(.heartbeatReply, epoch: epoch, sequence: RequestSequence(1))))
    }

    /// That a copy differs is on the disk at once: whatever else ends at that moment, it is not served.
    @Test func aCopyThatDiffersIsSuspectOverARestart() throws {
        let scene = DiskScene(seed: 10)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        scene.write("k", "1")
        scene.run(.seconds(1))
        a.crash()
        try makeDiffer(b)
        #expect(scene.told("b ALERT divergence"))
        b.crash()
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a,b]", "the proxy does not know of it yet")
        b.start()
        scene.run(.seconds(3))
        #expect(scene.active == nil)
        #expect(scene.told("proxy ALERT copy-lost server=b"))
        a.start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.active?.machine == "a")
    }

    /// A copy that was made anew is as good as any, over a restart too.
    @Test func aRepairedCopyIsSoundOverARestart() throws {
        let scene = DiskScene(seed: 11)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        scene.write("k", "1")
        scene.run(.seconds(1))
        try makeDiffer(b)
        #expect(scene.run { scene.told("b ALERT repaired") && scene.isRedundant })
        for server in [a, b] { server.crash() }
        b.start()
        #expect(scene.run { scene.active?.machine == "b" })
        #expect(scene.differences(on: b) == [])
        #expect(scene.world.watch.violations == [])
    }

    /// So is one that an operator has decided to trust.
    @Test func aTrustedCopyIsSoundOverARestart() throws {
        let scene = DiskScene(seed: 12)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        scene.write("k", "1")
        scene.run(.seconds(1))
        a.crash()
        try makeDiffer(b)
        scene.run(.seconds(1))
        #expect(scene.active == nil)
        let console = Console(scene.world)
        console.command(
            "switchover",
            .object([
                .init(name: Array("to".utf8), value: .string("b")),
                .init(name: Array("acceptDataLoss".utf8), value: .boolean(true)),
            ]))
        #expect(scene.run { scene.active?.machine == "b" })
        #expect(scene.told("b ALERT copy-trusted server=b"))
        b.crash()
        b.start()
        #expect(scene.run { scene.active?.machine == "b" })
        #expect(scene.differences(on: b) == [])
    }

    // MARK: Coming back

    /// A server that was active and has entries which nobody else has goes back to what it shares, without a snapshot.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func anUnansweredTailIsDroppedWithoutASnapshot(_ seed: UInt64) {
        let scene = DiskScene(seed: seed)
        for number in 0..<30 { scene.write("k\(number)", "1") }
        // What a makes from here on reaches its disk, and nobody else.
        scene.world.setCut(from: scene.world.server("a").place, to: scene.world.server("b").place)
        _ = scene.ask(
            "PUT", .list([.list([.list([.string("lost")]), .list([.string("v")])])]), atMost: .milliseconds(60))
        scene.world.server("a").crash()
        #expect(scene.run { scene.active?.machine == "b" })
        scene.world.healAllCuts()
        for number in 0..<5 { scene.write("k\(number)", "2") }
        let mark = scene.world.story.count
        scene.world.server("a").start()
        #expect(scene.run { scene.isRedundant })
        #expect(!scene.told("b INFO resync", since: mark))
        #expect(scene.told("a INFO rewind", since: mark))
        let digests = Set(scene.world.servers.compactMap { $0.replica?.state.space.digest })
        #expect(digests.count == 1)
        #expect(scene.world.watch.violations == [])
    }

    /// What memory does not hold any more comes from the journal.
    @Test func aReturningServerIsServedFromTheJournal() {
        var disk = DiskSettings()
        disk.retainedLogBytes = 1 << 20
        let scene = DiskScene(seed: 9, disk: disk)
        for number in 0..<10 { scene.write("k\(number)", "1") }
        scene.world.server("b").crash()
        #expect(scene.run { scene.world.proxy.durable?.inSync.count == 1 })
        for number in 0..<40 { scene.write("x\(number)", Self.large) }
        // A restart empties the memory.
        scene.world.server("a").crash()
        scene.world.server("a").start()
        #expect(scene.run { scene.active?.machine == "a" })
        let mark = scene.world.story.count
        scene.world.server("b").start()
        #expect(scene.run { scene.isRedundant })
        #expect(!scene.told("a INFO resync", since: mark))
        #expect(scene.told("a INFO catch-up", since: mark))
        #expect(scene.run { scene.differences(on: scene.world.server("b")) == [] })
    }
}
