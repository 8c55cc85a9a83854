import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// Requests that come together, wait, or find the server unable: in their order, and no earlier than they may.
@Suite struct RequestOrderTests {
    private func frame(_ client: WireClient, _ sequence: UInt64, _ operatorName: String, _ payload: Term) -> Frame {
        Frame(
            Header(
                .request, session: client.session, sequence: RequestSequence(sequence), epoch: Epoch(1),
                connection: ConnectionIndicator(client.connection), lowWater: RequestSequence(1)),
            payload: Request(operatorName: operatorName, payload: payload).payloadBytes)
    }

    /// A full disk refuses updates, those of one pair as those of a list; a disk that is stuck too.
    @Test(arguments: [DiskCondition.full("no room"), .stuck("it hangs")])
    func aDiskThatTakesNothingInRefusesUpdates(_ condition: DiskCondition) {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.ms(300))
        let client = wire.client()
        wire.happen(wire.node("a"), .disk(condition))
        let one = client.put("k", "1")
        let list = client.request("PUT", .list([.pair("l", "1"), .pair("m", "1")]))
        let get = client.get("k")
        wire.settle()
        #expect(client.says(one) == "unavailable" && client.says(list) == "unavailable")
        #expect(client.says(get) == "ok")
        #expect(wire.node("a").replica?.state.space.count == 0)
    }

    /// The session's requests take effect in their order: a GET that could be answered at once waits for a search.
    @Test func aLookUpWaitsForTheSearchBeforeIt() {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.ms(300))
        let client = wire.client()
        for number in 0..<100 { client.put("k\(number)", "1") }
        wire.settle()
        wire.node("a").areSearchesHeld = true
        let delete = client.request("DELETE", .list([.string(".*"), .string(".*")]))
        let get = client.get("k7")
        wire.settle()
        #expect(!wire.node("a").searches.isEmpty, "the search is handed out")
        #expect(client.says(get) == "-")
        wire.node("a").areSearchesHeld = false
        wire.run(.ms(50))
        #expect(client.says(delete) == "ok 100")
        #expect(client.answers[get]?.pairs.isEmpty == true)
        #expect(client.order.suffix(2) == [delete, get])
    }

    /// An update that goes the long way and a GET behind it in the same read: the GET waits for what it shows.
    @Test func aLookUpBehindAnUpdateOfTheLongWayWaitsForIt() {
        let wire = Wire.running()
        let searcher = wire.client()
        let client = wire.client()
        for number in 0..<100 { searcher.put("s\(number)", "1") }
        wire.settle()
        // While there is a search every update goes the long way.
        wire.node("a").areSearchesHeld = true
        searcher.request("DELETE", .list([.string("s.*"), .string(".*")]))
        wire.settle()
        #expect(!wire.node("a").searches.isEmpty)
        wire.node("b").isDiskHeld = true
        var run = FrameRun()
        run.append(frame(client, 1, "PUT", .list([.pair("k", "1")])))
        run.append(frame(client, 2, "GET", .list([.string("k"), .string(".*")])))
        let before = wire.responses
        wire.happen(wire.node("a"), .proxyFrames(run))
        wire.settle()
        #expect(wire.node("a").value("k") == "1")
        #expect(wire.responses == before, "b does not hold it yet")
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(wire.responses == before + 2)
    }

    /// What is not kept any more is not carried out again.
    @Test func whatIsForgottenIsUnknownAndHasNoSecondEffect() {
        let wire = Wire(["a"])
        wire.start("a")
        wire.run(.ms(300))
        let client = wire.client()
        let other = wire.client()
        let first = client.put("k", "1")
        wire.settle()
        client.put("l", "1")
        wire.settle()
        other.delete("k")
        wire.settle()
        let before = wire.responses
        wire.happen(wire.node("a"), .proxyFrame(frame(client, first, "PUT", .list([.pair("k", "1")]))))
        wire.settle()
        #expect(wire.responses == before + 1)
        #expect(wire.node("a").value("k") == nil, "the client has its answer; it was carried out once")
    }

    /// The proxy is gone: answers on their way were for a connection that is no more.
    @Test func answersForALostProxyAreDropped() throws {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("b").isDiskHeld = true
        client.put("k", "1")
        wire.settle()
        let active = { try #require(wire.node("a").replica?.active) }
        #expect(try !active().outbox.isEmpty)
        wire.happen(wire.node("a"), .proxyLost(reason: "the connection was closed"))
        #expect(try active().outbox.isEmpty)
    }

    /// A server that is told to end answers first what it has taken on.
    @Test func answersComeBeforeTheEnd() {
        let wire = Wire.running()
        let client = wire.client()
        wire.node("b").isDiskHeld = true
        let put = client.put("k", "1")
        wire.settle()
        wire.happen(wire.node("a"), .proxyFrame(Frame(Header(.shutdown))))
        wire.settle()
        #expect(wire.node("a").ended == nil && client.says(put) == "-")
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(client.says(put) == "ok")
        #expect(wire.node("a").ended == .shutdown)
    }
}
