import Routing
import Testing
import TupleCore
import WireProtocol

/// A founder may ask again with an empty directory as long as nothing can have been acknowledged, and no longer
/// (specs/0005, section 1).
@Suite struct FounderTests {
    private func founded() -> RouterFixture {
        var proxy = RouterFixture()
        proxy.register(1, "a")
        proxy.takeOver(1, from: 0)
        return proxy
    }

    /// a is gone, and registers anew without data.
    private func returns(_ proxy: inout RouterFixture) {
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.register(2, "a")
        proxy.takeOver(2, from: 1)
    }

    @Test func whoHasAnsweredNobodyMayFoundAgain() {
        var proxy = founded()
        returns(&proxy)
        #expect(proxy.reply(to: 2)?.granted == true)
        #expect(proxy.persisted.last == record(2, version: 2, "a", ["a"]))
    }

    @Test func aLoneFounderThatHasAnsweredIsNotPromotedEmpty() {
        var proxy = founded()
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.respond(from: 1, to: 100, 1, epoch: 1)
        #expect(proxy.answers(to: 100) == [1])
        returns(&proxy)
        #expect(proxy.reply(to: 2)?.granted == false)
        #expect(proxy.persisted.count == 1 && !proxy.router.isServing)
        #expect(proxy.lines.contains("copy-lost"))
    }

    @Test func aFounderThatHasRegisteredWithItsRecordIsNotPromotedEmpty() {
        var proxy = founded()
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.register(3, "a", activeEpoch: 1, record: record(1, version: 1, "a", ["a"]))
        #expect(proxy.router.isServing)
        proxy.happen(.serverClosed(ServerLink(3)))
        returns(&proxy)
        #expect(proxy.reply(to: 2)?.granted == false)
        #expect(proxy.persisted.count == 1)
    }

    @Test func aFounderThatHasTakenAnotherInIsNotPromotedEmpty() {
        var proxy = founded()
        proxy.register(5, "b", record: record(1, version: 1, "a", ["a"]))
        proxy.changeInSync(1, epoch: 1, version: 1, ["a", "b"])
        proxy.happen(.serverClosed(ServerLink(5)))
        returns(&proxy)
        #expect(proxy.reply(to: 2)?.granted == false)
    }
}
