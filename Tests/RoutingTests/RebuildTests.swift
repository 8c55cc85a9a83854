import Routing
import Testing
import TupleCore
import WireProtocol

/// A proxy that has lost the switch's record takes it from the servers (specs/0005, section 8).
@Suite struct RebuildTests {
    /// The servers were up all the time: the active one registers first, before the record is known to be the newest.
    /// Found by the simulator: it was never routed to again.
    @Test func anActiveServerThatRegisteredBeforeTheRecordWasRebuiltIsRoutedTo() {
        var proxy = RouterFixture()
        let known = record(3, version: 7, "a", ["a", "b"])
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.register(1, "a", activeEpoch: 3, record: known)
        #expect(!proxy.router.isServing && proxy.persisted.isEmpty, "b may know of a newer record")
        proxy.register(2, "b", record: known)
        #expect(proxy.persisted == [known])
        #expect(proxy.router.isServing)
        #expect(proxy.requests(at: 1) == [1])
    }

    @Test func theNewestRecordOfAllCountsAndNothingIsGrantedBefore() {
        var proxy = RouterFixture()
        proxy.register(1, "a", record: record(3, version: 7, "a", ["a", "b"]))
        proxy.takeOver(1, from: 3)
        #expect(proxy.reply(to: 1)?.granted == false)
        proxy.register(2, "b", record: record(4, version: 8, "b", ["b"]))
        #expect(proxy.router.record == record(4, version: 8, "b", ["b"]))
        proxy.takeOver(1, from: 4)
        #expect(proxy.reply(to: 1)?.granted == false)
        proxy.takeOver(2, from: 4)
        #expect(proxy.persisted.last == record(5, version: 9, "b", ["b"]))
    }

    /// An active server notes the set that it asks for before it asks: whoever might be in it is waited for. Found by the
    /// simulator: the newcomer had been promoted, and the record was rebuilt without it.
    @Test func ofRecordsWithTheSameVersionAllSetsCount() {
        var proxy = RouterFixture()
        proxy.register(1, "a", record: record(3, version: 7, "b", ["a", "b"]))
        proxy.register(2, "b", record: record(3, version: 7, "b", ["a", "b", "c"]))
        #expect(proxy.persisted.isEmpty, "c may have been promoted")
        proxy.register(3, "c", record: record(4, version: 9, "c", ["c"]))
        #expect(proxy.persisted == [record(4, version: 9, "c", ["c"])])
    }

    /// The set without those who were asked for is the one that the switch is known to have had, whoever comes last.
    @Test(arguments: [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"], ["c", "a", "b"]])
    func ofRecordsWithTheSameVersionTheSmallestSetIsTaken(_ order: [String]) {
        var proxy = RouterFixture()
        let known = [
            "a": record(3, version: 7, "b", ["a", "b"]), "b": record(3, version: 7, "b", ["a", "b", "c"]),
            "c": record(2, version: 5, "a", ["a"]),
        ]
        for (link, name) in order.enumerated() { proxy.register(UInt64(link + 1), name, record: known[name]) }
        #expect(proxy.persisted == [record(3, version: 7, "b", ["a", "b"])])
    }

    /// An empty directory under a member's name tells nothing.
    @Test func aServerWithoutDataDoesNotStandInForAMember() {
        var proxy = RouterFixture()
        proxy.register(1, "a", record: record(3, version: 7, "a", ["a", "b"]))
        proxy.register(2, "b")
        #expect(proxy.persisted.isEmpty && !proxy.router.isServing)
    }

    // MARK: A member's data are lost too

    /// Nobody can say what the lost member knew: the operator is told, and told what to do.
    @Test func aMemberThatComesBackEmptyIsToldOf() {
        var proxy = RouterFixture()
        proxy.register(1, "a", activeEpoch: 3, record: record(3, version: 7, "a", ["a", "b"]))
        proxy.register(2, "b")
        #expect(proxy.lines.contains("copy-lost"))
        proxy.pass(.seconds(2))
        #expect(proxy.lines.contains("no-active"))
        #expect(proxy.router.noActiveReason.contains("b registers with its data"))
        #expect(proxy.router.noActiveReason.contains("switchover --accept-data-loss"))
        proxy.pass(.seconds(60))
        proxy.takeOver(1, from: 3)
        #expect(proxy.reply(to: 1)?.granted == false)
        #expect(proxy.persisted.isEmpty, "time alone decides nothing")
    }

    /// The operator's words make a copy count, in an epoch that nobody can have been granted.
    @Test func anOperatorCanDecideWhoseCopyCounts() throws {
        var proxy = RouterFixture()
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.register(1, "a", activeEpoch: 3, record: record(3, version: 7, "a", ["a", "b"]))
        proxy.register(2, "b")
        #expect(try proxy.switchOver(to: "a", acceptDataLoss: false).status == .unavailable)
        #expect(try proxy.switchOver(to: nil, acceptDataLoss: true).status == .unavailable)
        #expect(try proxy.switchOver(to: "b", acceptDataLoss: true).status == .unavailable, "it has nothing")
        #expect(try proxy.switchOver(to: "c", acceptDataLoss: true).status == .unavailable, "it is not there")
        #expect(proxy.persisted.isEmpty)
        #expect(try proxy.switchOver(to: "a", acceptDataLoss: true).status == .ok)
        #expect(proxy.persisted == [record(1_000_003, version: 1_000_007, "a", ["a"])])
        #expect(!proxy.router.isServing, "it asks for an epoch of its own")
        proxy.takeOver(1, from: 1_000_003)
        #expect(proxy.persisted.last == record(1_000_004, version: 1_000_008, "a", ["a"]))
        #expect(proxy.requests(at: 1) == [1])
        // A server that knows the lost record is late: its epochs are over.
        proxy.register(3, "c", record: record(5, version: 12, "c", ["c"]))
        proxy.takeOver(3, from: 5)
        #expect(proxy.reply(to: 3)?.granted == false)
        #expect(proxy.router.isServing && proxy.persisted.count == 2)
    }

    /// A copy that is suspect is told that it is trusted before it can ask.
    @Test func aSuspectCopyThatIsToCountIsToldSo() throws {
        var proxy = RouterFixture()
        proxy.register(1, "a", record: record(3, version: 7, "b", ["a", "b"]), holdsCopy: false)
        #expect(try proxy.switchOver(to: "a", acceptDataLoss: true).status == .ok)
        #expect(proxy.toServer[ServerLink(1)]?.contains { $0.type == .trust } == true)
        proxy.takeOver(1, from: 1_000_003)
        #expect(proxy.reply(to: 1)?.granted == false)
        proxy.happen(.serverFrame(ServerLink(1), Frame(Header(.holding))))
        proxy.takeOver(1, from: 1_000_003)
        #expect(proxy.reply(to: 1)?.granted == true)
    }
}
