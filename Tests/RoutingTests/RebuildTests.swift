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
        proxy.register(2, "b", record: record(3, version: 7, "b", ["b", "c"]))
        #expect(proxy.persisted.isEmpty, "c may have been promoted")
        proxy.register(3, "c", record: record(4, version: 9, "c", ["c"]))
        #expect(proxy.persisted == [record(4, version: 9, "c", ["c"])])
    }

    /// An empty directory under a member's name tells nothing.
    @Test func aServerWithoutDataDoesNotStandInForAMember() {
        var proxy = RouterFixture()
        proxy.register(1, "a", record: record(3, version: 7, "a", ["a", "b"]))
        proxy.register(2, "b")
        #expect(proxy.persisted.isEmpty && !proxy.router.isServing)
    }
}
