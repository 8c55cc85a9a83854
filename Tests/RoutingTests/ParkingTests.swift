import Testing
import TupleCore
import WireProtocol

@testable import Routing

/// What waits in the proxy for an active server is bounded in all.
@Suite struct ParkingTests {
    /// Room for so many of these requests.
    private static func room(_ requests: Int) -> FlowLimits {
        let payload = Request(operatorName: "PUT", payload: .list([])).payloadBytes
        var flow = FlowLimits()
        flow.requestBytes = requests * (payload.count + RequestsInFlight.overhead)
        return flow
    }

    @Test func whatIsBeyondTheBoundIsRefusedAndRoomIsGivenBack() {
        var proxy = RouterFixture(flow: Self.room(3))
        proxy.connect(100)
        proxy.connect(101)
        for sequence in 1...2 as ClosedRange<UInt64> { proxy.ask(100, sequence) }
        proxy.ask(101, 1, session: 6)
        #expect(proxy.answers(to: 101).isEmpty, "as much as the bound")
        proxy.ask(101, 2, session: 6)
        #expect(proxy.answers(to: 101) == [2])
        #expect(proxy.lastStatus(to: 101) == .unavailable)
        proxy.happen(.clientClosed(ConnectionIndicator(100)))
        for sequence in 3...4 as ClosedRange<UInt64> { proxy.ask(101, sequence, session: 6) }
        #expect(proxy.answers(to: 101) == [2], "what the other one took is there again")
        proxy.ask(101, 5, session: 6)
        #expect(proxy.answers(to: 101) == [2, 5])
    }

    @Test func whatIsAnsweredMakesRoom() {
        var proxy = RouterFixture(record: record(1, version: 1, "a", ["a"]), flow: Self.room(1))
        proxy.register(1, "a", activeEpoch: 1, record: record(1, version: 1, "a", ["a"]))
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.ask(100, 2)
        #expect(proxy.answers(to: 100) == [2])
        proxy.respond(from: 1, to: 100, 1, epoch: 1)
        proxy.ask(100, 3)
        #expect(proxy.requests(at: 1) == [1, 3])
    }
}
