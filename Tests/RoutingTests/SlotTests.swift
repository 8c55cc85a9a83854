import Testing
import TupleCore
import WireProtocol

@testable import Routing

/// Who is served when all slots are taken.
@Suite struct SlotTests {
    private func full(_ count: Int, source: UInt32 = 1) -> RouterFixture {
        var proxy = RouterFixture(record: record(1, version: 2, "a", ["a"]), maximumClients: count)
        for client in 1...UInt64(count) { proxy.connect(client, source: source) }
        return proxy
    }

    /// A thousand idle connections of one host do not lock another one out.
    @Test func anIdleConnectionGivesWayToAnotherSource() {
        var proxy = full(10)
        proxy.connect(50, source: 2)
        #expect(proxy.closedClients == [ConnectionIndicator(50)], "nobody has been idle for long")
        proxy.pass(.seconds(31))
        proxy.connect(51, source: 2)
        #expect(proxy.router.clientCount == 10)
        #expect(proxy.closedClients.count == 2 && proxy.closedClients.last != ConnectionIndicator(51))
        proxy.happen(.clientFrame(ConnectionIndicator(51), Frame(Header(.request, session: SessionID(1)))))
        #expect(proxy.router.parkedCount == 1)
    }

    @Test func whoIsOverItsShareIsRefusedAndItsConnectionsStay() {
        var proxy = full(10)
        proxy.pass(.seconds(31))
        proxy.connect(50, source: 1)
        #expect(proxy.closedClients == [ConnectionIndicator(50)])
        for client in 60..<70 as Range<UInt64> { proxy.connect(client, source: 2) }
        #expect(proxy.router.sources.connections(of: 2) == 5, "half of the slots")
        #expect(proxy.router.sources.connections(of: 1) == 5)
    }

    @Test func oneWithRequestsOnItsWayStays() {
        var proxy = full(3)
        for client in 1...3 as ClosedRange<UInt64> { proxy.ask(client, 1, operatorName: "GET") }
        proxy.pass(.seconds(8))
        proxy.connect(50, source: 2)
        #expect(proxy.router.clientCount == 3 && proxy.closedClients == [ConnectionIndicator(50)])
    }

    /// A connection that has said nothing goes first.
    @Test func whoHasNotSaidHelloGivesWayFirst() {
        var proxy = full(9)
        proxy.pass(.seconds(40))
        proxy.happen(.clientConnected(ConnectionIndicator(30), source: 1))
        #expect(proxy.router.clientCount == 9, "its source has all slots")
        proxy.happen(.clientClosed(ConnectionIndicator(1)))
        proxy.happen(.clientConnected(ConnectionIndicator(31), source: 1))
        proxy.connect(50, source: 2)
        #expect(proxy.closedClients.last == ConnectionIndicator(31))
    }

    /// Only under scarcity does it matter where somebody comes from.
    @Test func manyOfOneSourceAreServedWhileThereAreSlots() {
        var proxy = full(99)
        #expect(proxy.router.refused == 0 && proxy.router.clientCount == 99)
        proxy.pass(.seconds(60))
        #expect(proxy.router.clientCount == 99)
    }

    /// Connections that were opened and reset are forgotten a part a turn, and do not gather.
    @Test func churnDoesNotGather() {
        var proxy = full(10)
        proxy.checksEachStep = false
        for client in 100..<20_100 as Range<UInt64> {
            if client % 2 == 0 { proxy.happen(.clientClosed(ConnectionIndicator(client - 100))) }
            proxy.happen(.clientConnected(ConnectionIndicator(client), source: 1))
            proxy.happen(.clientClosed(ConnectionIndicator(client)))
        }
        #expect(proxy.router.greeting.count <= 16)
        proxy.check()
    }

    /// Thousands that say nothing are ended a part a tick.
    @Test func thoseWhoSayNothingAreEndedInParts() {
        var proxy = RouterFixture(maximumClients: 5_000)
        proxy.checksEachStep = false
        for client in 1...3_000 as ClosedRange<UInt64> {
            proxy.happen(.clientConnected(ConnectionIndicator(client), source: 1))
        }
        proxy.mostActionsInAStep = 0
        proxy.pass(.milliseconds(5_300))
        #expect(proxy.router.clientCount == 0)
        #expect(proxy.mostActionsInAStep <= 3 * 256)
    }

    // MARK: The table

    @Test func theTableKnowsWhoHasMost() {
        var table = SourceTable()
        var model: [UInt32: Int] = [:]
        var state: UInt64 = 99
        func draw(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        for turn in 0..<5_000 as Range<UInt64> {
            let source = UInt32(draw(12)) + 1
            if draw(2) == 0 {
                table.add(ConnectionIndicator(turn + 1), of: source) { _ in true }
                model[source, default: 0] += 1
            } else if let count = model[source] {
                table.remove(of: source)
                model[source] = count > 1 ? count - 1 : nil
            }
            #expect(table.most == model.values.max() ?? 0)
            #expect(table.count == model.count)
            #expect(table.largest.map { model[$0] ?? 0 } ?? 0 == table.most)
            #expect(model.allSatisfy { table.connections(of: $0.key) == $0.value })
        }
    }
}
