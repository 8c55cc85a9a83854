import Routing
import Testing
import TupleCore
import WireProtocol

/// A member that brings less than it was known to hold is not promoted (specs/0005, section 6; G12).
@Suite struct IncarnationTests {
    /// Start number `starts` of directory `directory`; each start has a life of its own.
    private func lineage(_ directory: UInt64, _ starts: UInt64, copy: UInt64 = 0) -> Lineage {
        var lineage = Lineage(incarnation: Incarnation(directory: directory, starts: 1, life: directory))
        while lineage.incarnation.starts < starts {
            let next = lineage.incarnation.starts + 1
            lineage = lineage.next(life: directory * 1_000 + next + (next == starts ? copy * 100 : 0))
        }
        return lineage
    }

    /// `a` active and `b` in sync, both known by their second start; link 1 and 2.
    private func pair() -> RouterFixture {
        var known = record(3, version: 7, "a", ["a", "b"])
        known.incarnations = [server("a"): lineage(1, 2).incarnation, server("b"): lineage(2, 2).incarnation]
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", activeEpoch: 3, record: known, lineage: lineage(1, 2))
        proxy.register(2, "b", record: known, lineage: lineage(2, 2))
        return proxy
    }

    @Test func theNextStartOfADirectoryIsRecordedOnceAndDurablyBeforeTheView() {
        var proxy = pair()
        #expect(proxy.persisted.isEmpty, "nothing has changed")
        proxy.happen(.serverClosed(ServerLink(2)))
        proxy.register(3, "b", record: proxy.router.record, lineage: lineage(2, 3))
        #expect(proxy.persisted.map(\.version) == [8])
        #expect(proxy.persisted.last?.incarnations[server("b")] == lineage(2, 3).incarnation)
        #expect(proxy.persisted.last?.inSync == [server("a"), server("b")])
        #expect(proxy.order.suffix(3) == ["persist", "view", "view"])
        #expect(!proxy.lines.contains("copy-stale"))
    }

    @Test func theSameStartOverAnotherConnectionChangesNothing() {
        var proxy = pair()
        proxy.happen(.serverClosed(ServerLink(2)))
        proxy.register(3, "b", record: proxy.router.record, lineage: lineage(2, 2))
        #expect(proxy.persisted.isEmpty)
    }

    /// Older copies: one that was started less often, and one of which the count has caught up.
    @Test(arguments: [(1, 0), (2, 1), (3, 1)] as [(UInt64, UInt64)])
    func anOlderCopyOfTheDirectoryIsTakenOutOfTheSet(_ starts: UInt64, _ copy: UInt64) {
        var known = record(3, version: 7, "a", ["a", "b"])
        known.incarnations = [server("a"): lineage(1, 2).incarnation, server("b"): lineage(2, 3).incarnation]
        var proxy = RouterFixture(record: known)
        proxy.register(2, "b", record: record(3, version: 7, "a", ["a", "b"]), lineage: lineage(2, starts, copy: copy))
        #expect(proxy.lines.contains("copy-stale"))
        #expect(proxy.persisted.last?.inSync == [server("a")])
        proxy.takeOver(2, from: 3)
        #expect(proxy.reply(to: 2)?.granted == false)
    }

    @Test func anotherDirectoryIsTakenOutOfTheSet() {
        var proxy = pair()
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.happen(.serverClosed(ServerLink(2)))
        proxy.register(3, "b", record: proxy.router.record, lineage: lineage(9, 5))
        #expect(proxy.lines.contains("copy-stale"))
        proxy.takeOver(3, from: 3)
        #expect(proxy.reply(to: 3)?.granted == false)
        #expect(proxy.persisted.last?.inSync == [server("a")])
    }

    /// The set has to name the active server; who comes back on an older copy of its directory is not granted anything, and
    /// the right directory is known again when it comes.
    @Test func theRecordedActiveServerOnAnOlderCopyIsNotGrantedAnything() throws {
        var known = record(3, version: 7, "a", ["a"])
        known.incarnations = [server("a"): lineage(1, 4).incarnation]
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", record: known, lineage: lineage(1, 2))
        proxy.takeOver(1, from: 3)
        #expect(proxy.reply(to: 1)?.granted == false)
        #expect(proxy.persisted.isEmpty && proxy.lines.contains("copy-stale"))
        #expect(proxy.router.noActiveReason.contains("--accept-data-loss a"))
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.register(2, "a", record: known, lineage: lineage(1, 5))
        proxy.takeOver(2, from: 3)
        #expect(proxy.reply(to: 2)?.granted == true)
    }

    @Test func anotherMemberTakesOverFromAnActiveServerOnAnOlderCopy() {
        var proxy = pair()
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.register(3, "a", record: proxy.router.record, lineage: lineage(1, 2, copy: 1))
        proxy.takeOver(2, from: 3)
        #expect(proxy.reply(to: 2)?.granted == true)
        #expect(proxy.router.record?.inSync == [server("b")])
        #expect(proxy.router.record?.incarnations[server("a")] == lineage(1, 2, copy: 1).incarnation)
        // It follows, catches up, and is a member like any other.
        proxy.changeInSync(2, epoch: 4, version: 8, ["a", "b"])
        #expect(proxy.router.record?.inSync == [server("a"), server("b")])
    }

    @Test func anOperatorCanMakeAStaleCopyCount() throws {
        var known = record(3, version: 7, "a", ["a"])
        known.incarnations = [server("a"): lineage(1, 4).incarnation]
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", record: known, lineage: lineage(1, 2))
        #expect(try proxy.switchOver(to: "a", acceptDataLoss: false).status != .ok)
        #expect(try proxy.switchOver(to: "a", acceptDataLoss: true).status == .ok)
        #expect(proxy.router.record?.incarnations[server("a")] == lineage(1, 2).incarnation)
        #expect(proxy.router.isServing)
    }

    /// What the active server asks for on the ground of an earlier start is refused: the record has changed.
    @Test func aChangeOfTheSetThatWasAskedForBeforeANewStartIsRefused() {
        var known = record(3, version: 7, "a", ["a"])
        known.incarnations = [server("a"): lineage(1, 2).incarnation, server("b"): lineage(2, 2).incarnation]
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", activeEpoch: 3, record: known, lineage: lineage(1, 2))
        proxy.register(2, "b", record: known, lineage: lineage(2, 2))
        proxy.happen(.serverClosed(ServerLink(2)))
        proxy.register(3, "b", record: known, lineage: lineage(2, 2, copy: 1))
        proxy.changeInSync(1, epoch: 3, version: 7, ["a", "b"])
        #expect(proxy.reply(to: 1)?.granted == false)
        #expect(proxy.router.record?.inSync == [server("a")])
    }

    /// A copy that was taken of a running server's directory has an incarnation that fits; it lacks what was confirmed.
    @Test func aMemberOfWhichTheLogEndsBeforeWhatItHadConfirmedIsNotEligible() {
        var proxy = pair()
        proxy.beat(1, timeout: .seconds(1), epoch: 3, commit: 20)
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.happen(.serverClosed(ServerLink(2)))
        let end = LogPosition(epoch: Epoch(3), index: LogIndex(11))
        proxy.register(3, "b", record: proxy.router.record, lineage: lineage(2, 3), position: end)
        #expect(proxy.lines.contains("copy-stale"))
        proxy.takeOver(3, from: 3)
        #expect(proxy.reply(to: 3)?.granted == false)
    }

    @Test func aMemberThatHoldsWhatWasAcknowledgedIsEligible() {
        var proxy = pair()
        proxy.beat(1, timeout: .seconds(1), epoch: 3, commit: 20)
        proxy.beat(1, timeout: .seconds(1), epoch: 2, commit: 90)
        proxy.beat(2, timeout: .seconds(1), epoch: 3, commit: 90)
        proxy.happen(.serverClosed(ServerLink(1)))
        proxy.happen(.serverClosed(ServerLink(2)))
        let end = LogPosition(epoch: Epoch(3), index: LogIndex(20))
        proxy.register(3, "b", record: proxy.router.record, lineage: lineage(2, 3), position: end)
        proxy.takeOver(3, from: 3)
        #expect(proxy.reply(to: 3)?.granted == true)
        #expect(!proxy.lines.contains("copy-stale"))
    }

    @Test func aRebuiltRecordIsHeldAgainstThoseWhoCameBefore() {
        var known = record(3, version: 7, "a", ["a", "b"])
        known.incarnations = [server("a"): lineage(1, 2).incarnation, server("b"): lineage(2, 4).incarnation]
        var proxy = RouterFixture()
        var older = known
        older.version = 5
        proxy.register(2, "b", record: older, lineage: lineage(2, 3, copy: 1))
        proxy.register(1, "a", record: known, lineage: lineage(1, 3))
        #expect(proxy.lines.contains("copy-stale"))
        #expect(proxy.router.record?.inSync == [server("a")])
        #expect(proxy.router.record?.version ?? 0 > 7)
    }

    /// Release 0.1 tells no incarnation, and cannot read a record that has some.
    @Test func aServerOfRelease01IsTakenAsItWasAndSentWhatItCanRead() throws {
        var known = record(3, version: 7, "a", ["a", "b"])
        known.incarnations = [server("a"): lineage(1, 2).incarnation, server("b"): lineage(2, 2).incarnation]
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", record: record(3, version: 7, "a", ["a", "b"]))
        proxy.register(2, "b", record: known, lineage: lineage(2, 3))
        proxy.takeOver(1, from: 3)
        #expect(proxy.reply(to: 1)?.granted == true)
        #expect(proxy.reply(to: 1)?.record?.incarnations == [:])
        let old = try #require(proxy.toServer[ServerLink(1)]?.last { $0.type == .view })
        #expect(old.payload.first == 1)
        let new = try #require(proxy.toServer[ServerLink(2)]?.last { $0.type == .view })
        #expect(new.payload.first == 2)
        #expect(proxy.router.record?.incarnations[server("a")] == lineage(1, 2).incarnation)
    }

    /// More starts than a directory remembers lives of, all while the proxy was away: the count is believed.
    @Test func aDirectoryThatWasStartedOftenMeanwhileIsBelieved() {
        #expect(lineage(2, 200).contradiction(of: lineage(2, 3).incarnation) == nil)
        #expect(lineage(2, 35).contradiction(of: lineage(2, 3, copy: 1).incarnation) != nil)
        #expect(lineage(2, 35).contradiction(of: lineage(2, 3).incarnation) == nil)
    }

    @Test func theRecordNamesNoMoreThanSixtyFourServers() {
        var proxy = pair()
        for number in 0..<100 as Range<UInt64> {
            proxy.register(10 + number, "s\(number)", record: proxy.router.record, lineage: lineage(50 + number, 2))
            proxy.happen(.serverClosed(ServerLink(10 + number)))
        }
        #expect(proxy.router.record?.incarnations.count == Limits.maximumMembers)
        #expect(proxy.router.record?.incarnations[server("b")] == lineage(2, 2).incarnation)
        #expect(proxy.router.record?.invalidField == nil)
    }
}

/// What nobody could have recorded is refused with words (specs/0002, section 3).
@Suite struct RefusedRegistrationTests {
    @Test func aRecordWithTheLastEpochOfAllIsRefusedAndTheProxyGoesOn() throws {
        var proxy = RouterFixture()
        proxy.register(1, "a", record: record(.max, version: .max, "a", ["a"]))
        let refusal = try #require(proxy.toServer[ServerLink(1)]?.last { $0.type == .registerRefused })
        #expect(try RegisterRefused(refusal.payload).isFinal)
        #expect(proxy.closedServers == [ServerLink(1)])
        proxy.register(2, "b")
        proxy.takeOver(2, from: 0)
        #expect(proxy.router.isServing)
    }

    @Test(arguments: [
        record(0, version: 1, "a", ["a"]), record(1, version: 0, "a", ["a"]), record(1, version: 1, "a", []),
        record(1, version: 1, "a", ["b"]), record(1, version: 1, "a", ["a", "a"]),
        record(1 << 63, version: 1, "a", ["a"]), record(1, version: 1 << 63, "a", ["a"]),
        record(1, version: 1, "a", (0..<65).map { $0 == 0 ? "a" : "s\($0)" }),
    ])
    func aRecordThatNoSwitchEverHadIsRefused(_ invalid: SwitchRecord) {
        var proxy = RouterFixture()
        proxy.register(1, "a", record: invalid)
        #expect(proxy.persisted.isEmpty && proxy.closedServers == [ServerLink(1)])
        #expect(invalid.invalidField != nil)
    }

    @Test func anExhaustedRecordGrantsNothingMore() {
        let last = record(Limits.maximumNumber, version: Limits.maximumNumber, "a", ["a", "b"])
        var proxy = RouterFixture(record: last)
        proxy.register(1, "a", record: last)
        proxy.takeOver(1, from: Limits.maximumNumber)
        #expect(proxy.reply(to: 1)?.granted == false)
        proxy.register(2, "b", record: last, holdsCopy: false)
        #expect(proxy.persisted.isEmpty)
    }

    @Test(arguments: [
        "", "a", "a:", "a:0", "a:65536", ":7410", "0.0.0.0:7410", "[::]:7410", "[0:0::]:7410", "a b:1", "a:1x",
    ])
    func anAddressThatNobodyCanDialIsRefused(_ address: String) throws {
        var proxy = RouterFixture()
        proxy.register(1, "a", address: address)
        let refusal = try #require(proxy.toServer[ServerLink(1)]?.last { $0.type == .registerRefused })
        #expect(try RegisterRefused(refusal.payload).isFinal)
        #expect(try RegisterRefused(refusal.payload).message.contains("--advertise"))
    }

    @Test(arguments: ["a:1", "10.0.0.1:7410", "[2001:db8::1]:7410", "host-1.example.org:65535"])
    func anAddressThatSomebodyMayDialIsTaken(_ address: String) {
        var proxy = RouterFixture()
        proxy.register(1, "a", address: address)
        #expect(proxy.closedServers.isEmpty)
    }

    /// While the record is rebuilt, and when it was this proxy's own that was lost.
    @Test func aServerOfAnotherClusterIsRefusedWhileTheRecordIsRebuilt() {
        var foreign = record(9, version: 99, "c", ["c"])
        foreign.cluster = ClusterID(8)
        var proxy = RouterFixture()
        proxy.register(1, "a", record: record(3, version: 7, "a", ["a", "b"]))
        proxy.register(2, "c", record: foreign)
        #expect(proxy.closedServers == [ServerLink(2)])
        proxy.register(3, "b", record: record(3, version: 7, "a", ["a", "b"]))
        #expect(proxy.router.record == record(3, version: 7, "a", ["a", "b"]))

        var other = RouterFixture(record: record(2, version: 2, "a", ["a"]))
        other.register(1, "a", record: record(3, version: 7, "a", ["a", "b"]))
        other.happen(.serverClosed(ServerLink(1)))
        other.register(2, "c", record: foreign)
        #expect(other.closedServers == [ServerLink(2)])
    }
}
