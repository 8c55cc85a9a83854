import Replication
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// Large answers, sent as their clients take them (specs/0002, section 5.3; 0003, section 5).
@Suite struct StreamsTests {
    private static let oneFrame = Limits.preferredChunkBytes + 64

    /// 3 MB.
    private static func large() -> LoneServer { LoneServer(pairs: Pair.many(3_000, valueBytes: 1_000)) }

    @Test func whoeverGivesNoCreditIsSentOneWindowAndNoMore() {
        let server = Self.large()
        let requests = (1...40).map { server.get(client: UInt64($0)) }
        server.run()
        for request in requests {
            let bytes = server.bytes(of: request)
            #expect(bytes >= Limits.answerWindowBytes)
            #expect(bytes <= Limits.answerWindowBytes + Self.oneFrame)
            #expect(server.frames(of: request).allSatisfy { $0.payload.count <= Self.oneFrame })
            #expect(server.answer(to: request)?.isWhole == false)
        }
        // Forty that began in the same state hold it once.
        #expect(server.replica.heldStates == 1)
    }

    @Test func creditBringsTheRestAndNothingTwice() {
        let server = Self.large()
        let request = server.get(client: 1)
        server.run()
        var rounds = 0
        while server.answer(to: request)?.isWhole != true, rounds < 100 {
            let before = server.bytes(of: request)
            server.give(100_000, to: request)
            server.run()
            #expect(server.bytes(of: request) - before <= 100_000 + Self.oneFrame)
            rounds += 1
        }
        #expect(server.answer(to: request)?.answer.pairs == Pair.many(3_000, valueBytes: 1_000))
        #expect(rounds > 20)
        #expect(server.replica.heldStates == 0)
    }

    /// The stream shows the space as it was when it began, whatever is changed while it is parked, and updates do not wait.
    @Test func aStreamShowsOneStateAndHoldsUpNoUpdates() {
        let server = Self.large()
        let request = server.get(client: 1)
        server.run()
        let post = server.ask("POST", .list([.pair("k002999", "new")]), client: 1, sequence: 2)
        let put = server.ask("PUT", .list([.pair("z", "new")]), client: 1, sequence: 3)
        #expect(server.answer(to: post)?.answer == Answer(), "the same session goes on once the state is fixed")
        #expect(server.answer(to: put)?.answer == Answer())
        server.give(10_000_000, to: request)
        server.run()
        #expect(server.answer(to: request)?.answer.pairs == Pair.many(3_000, valueBytes: 1_000))
    }

    @Test func anAnswerOfOneFrameNeedsNoCredit() {
        let server = LoneServer(pairs: Pair.many(30, valueBytes: 1_000)) { $0.answerWindowBytes = 1 }
        let request = server.get(client: 1)
        server.run()
        #expect(server.frames(of: request).count == 1)
        #expect(server.frames(of: request).first?.header.flags == .first)
        #expect(server.answer(to: request)?.answer.pairs.count == 30)
        #expect(server.bytes(of: request) <= Limits.directAnswerBytes)
    }

    /// On the spot a search makes no more than one frame, however little its work is.
    @Test func aLargeAnswerIsNotMadeOnTheSpot() {
        let server = LoneServer(pairs: [.of("k", String(repeating: "v", count: 60_000)), .of("l", "1")])
        let exact = server.get("k", client: 1)
        #expect(server.frames(of: exact) == [])
        let prefix = server.get("k.*", client: 2)
        #expect(server.frames(of: prefix) == [])
        #expect(server.answer(to: server.get("l", client: 3))?.isWhole == true)
        server.run()
        #expect(server.answer(to: exact)?.isWhole == true)
        #expect(server.answer(to: prefix)?.answer.pairs.count == 1)
    }

    @Test func anExplanationComesFirstAndIsTrue() {
        let server = Self.large()
        let request = server.ask(
            "GET", .list([.string("k.*0"), .string(".*")]), client: 1, isExplained: true)
        server.run()
        let explanation = server.answer(to: request)?.answer.explanation ?? ""
        #expect(explanation.hasPrefix("range of keys that begin with 'k'"), "\(explanation)")
        #expect(
            explanation.contains("3000 of 3000 pairs examined, 3000 by the expressions, 300 matched"), "\(explanation)")
        server.give(10_000_000, to: request)
        server.run()
        #expect(server.answer(to: request)?.answer.pairs.count == 300)
        #expect(server.frames(of: request).dropFirst().allSatisfy { !$0.header.flags.contains(.first) })
    }

    /// What comes before an error is void.
    @Test func anErrorMidwayBeginsTheAnswerAnew() {
        var pairs = Pair.many(2_000, valueBytes: 1_000)
        pairs.append(.of("zz", String(repeating: "a", count: 5_000)))
        let server = LoneServer(pairs: pairs)
        let request = server.get("k.*|(?:(?:a|a?)+z)+", "v*|(?:a|a?)+b", client: 1)
        server.run()
        server.give(10_000_000, to: request)
        server.run()
        #expect(server.frames(of: request).count > 3)
        #expect(server.frames(of: request).last?.header.flags == .first)
        #expect(server.answer(to: request)?.answer.status == .tooCostly)
    }

    // MARK: Stored outcomes

    @Test func aDeletesAnswerIsStreamedFromWhatIsStored() {
        let server = Self.large()
        let request = server.ask("DELETE", .list([.string("k.*"), .string(".*")]), client: 1)
        server.run()
        #expect(server.replica.status.pairs == 0)
        #expect(server.bytes(of: request) <= Limits.answerWindowBytes + Self.oneFrame)
        #expect(server.answer(to: request)?.isWhole == false)
        server.give(10_000_000, to: request)
        server.run()
        #expect(server.answer(to: request)?.answer.pairs == Pair.many(3_000, valueBytes: 1_000))
        // Asked again from another connection, it is answered from the beginning.
        let again = server.ask("DELETE", .list([.string("k.*"), .string(".*")]), client: 2, session: 1_001)
        server.give(10_000_000, to: again)
        server.run()
        #expect(server.answer(to: again)?.answer.pairs.count == 3_000)
    }

    @Test func rejectedItemsAreStreamedToo() {
        let server = LoneServer(pairs: Pair.many(2_000, valueBytes: 1_000))
        let items = Pair.many(2_000, valueBytes: 1_000).map { Term($0) }
        let request = server.ask("PUT", .list(items), client: 1)
        server.run()
        #expect(server.bytes(of: request) <= Limits.answerWindowBytes + Self.oneFrame)
        server.give(10_000_000, to: request)
        server.run()
        #expect(server.answer(to: request)?.answer.rejected.map(\.item) == items)
    }

    // MARK: Bounds

    @Test func aClientHasFourStreamsAndTheOthersOfItWait() {
        let server = Self.large()
        let requests = (1...8).map { server.get(client: 1, sequence: $0) }
        let other = server.get(client: 2)
        server.run()
        #expect(requests.count { server.bytes(of: $0) > 0 } == 4)
        #expect(server.bytes(of: other) > 0)
        let begun = requests.filter { server.bytes(of: $0) > 0 }
        server.give(10_000_000, to: begun[0])
        server.run()
        #expect(requests.count { server.bytes(of: $0) > 0 } == 5)
    }

    @Test func onlySoManyStatesAreHeldAndASlowReaderMakesRoom() {
        let server = Self.large()
        var requests: [Header] = []
        for client in 1...30 {
            requests.append(server.get(client: UInt64(client)))
            server.run()
            server.ask("PUT", .list([.pair("z\(client)", "1")]), client: 100 + UInt64(client))
        }
        #expect(server.replica.heldStates == 16)
        #expect(requests.count { server.bytes(of: $0) > 0 } == 16)
        // Short searches are answered all the same.
        #expect(server.answer(to: server.get("k000001", client: 200))?.isWhole == true)
        // The others get a state in common when the first reader has taken too long.
        server.pass(.seconds(11))
        server.run()
        #expect(server.answer(to: requests[0])?.answer.status == .unavailable)
        #expect(requests.count { server.bytes(of: $0) > 0 } == 30)
        #expect(server.replica.heldStates == 16)
    }

    @Test func aStreamWithoutCreditIsDropped() {
        let server = Self.large()
        server.get(client: 1)
        server.run()
        #expect(server.replica.heldStates == 1)
        server.pass(.seconds(59))
        #expect(server.replica.heldStates == 1)
        server.pass(.seconds(2))
        #expect(server.replica.heldStates == 0)
    }

    @Test func aStreamEndsWithItsClient() {
        let server = Self.large()
        let request = server.get(client: 1)
        server.run()
        let bytes = server.bytes(of: request)
        server.leave(1)
        server.give(10_000_000, to: request)
        server.run()
        #expect(server.bytes(of: request) == bytes)
        #expect(server.replica.heldStates == 0)
    }
}

extension StreamsTests {
    /// What one turn of the loop answers is bounded in bytes: the rest goes the way of long searches.
    @Test func aTurnSendsOnlySoManyBytes() {
        let server = LoneServer(pairs: [.of("k", String(repeating: "v", count: 30_000))])
        let before = server.bytesSent
        let requests = server.askTogether(2_000, "k")
        #expect(server.bytesSent - before <= 9_000_000)
        server.run()
        let answered = Set(server.responses.map(\.header.connection))
        #expect(answered == Set(requests.map(\.connection)))
    }
}
