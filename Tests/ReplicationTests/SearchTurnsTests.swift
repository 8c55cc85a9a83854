import Replication
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// Whose turn it is among long searches (specs/0003, section 5).
@Suite struct SearchTurnsTests {
    private static let alternation = "(?:" + (0..<40).map { "x\($0)y*|" }.joined() + "k[0-9]*z)"

    /// An honest search of some four slices behind fifty clients with long ones is over after a bounded number of slices;
    /// also where these hold all the states of the space that may be held.
    @Test(arguments: [false, true]) func aShortSearchIsNotHeldUpByTheLongOnesOfOthers(_ doesTheSpaceChange: Bool) {
        let server = LoneServer(pairs: Pair.many(5_000, valueBytes: 10)) { $0.searchSliceWork = 10_000 }
        for client in 1...50 {
            for session in 0..<4 {
                server.ask(
                    "GET", .list([.string(Self.alternation), .string(".*")]), client: UInt64(client),
                    session: UInt64(client * 10 + session))
            }
        }
        for number in 0..<300 {
            server.step()
            if doesTheSpaceChange {
                server.ask("PUT", .list([.pair("x\(number)", "1")]), client: 90, session: 5_000 + UInt64(number))
            }
        }
        let before = server.stepsTaken
        let honest = server.get("k0010.*|k0020.*", ".*v", client: 99)
        while server.answer(to: honest)?.isWhole != true, server.stepsTaken < before + 500 { server.step() }
        #expect(server.answer(to: honest)?.answer.pairs.count == 200)
        #expect(server.stepsTaken - before <= 20, "\(server.stepsTaken - before) slices")
        server.run(atMost: 100_000)
    }

    @Test func aClientHasAShareOfWhatMayWait() {
        let server = LoneServer(pairs: Pair.many(100, valueBytes: 10)) { $0.workOnTheSpot = 16 }
        let greedy = (0..<100).map {
            server.ask("GET", .list([.string(".*"), .string(".*")]), client: 1, session: 100 + $0)
        }
        let other = server.get(client: 2)
        #expect(greedy.count { server.answer(to: $0)?.answer.status == .unavailable } == 36)
        server.run()
        #expect(server.answer(to: other)?.answer.pairs.count == 100)
        #expect(greedy.count { server.answer(to: $0)?.answer.pairs.count == 100 } == 64)
    }

    /// No tuple has so many elements: nothing is compiled.
    @Test func aListLongerThanAnyTupleMatchesNothing() {
        let server = LoneServer(pairs: Pair.many(10, valueBytes: 10))
        let list = Term.list((0..<100_000).map { .string("a\($0).*") })
        let request = server.ask("GET", .list([.string(".*"), list]), client: 1)
        server.run()
        #expect(server.stepsTaken <= 2)
        #expect(server.answer(to: request)?.answer.status == .ok)
        #expect(server.answer(to: request)?.answer.warning.contains("no tuple has more than 4096 elements") == true)
        let short = Term.list((0..<5_000).map { .string("\($0)") })
        let remove = server.ask("DELETE", .list([short, .string(".*")]), client: 2)
        server.run()
        #expect(server.answer(to: remove)?.answer.status == .ok)
        #expect(server.replica.status.pairs == 10)
    }

    /// Compiling takes from the request's budget, and a client that leaves ends it.
    @Test func compilingIsPaidFor() {
        let server = LoneServer(pairs: Pair.many(10, valueBytes: 10))
        func list(_ salt: String) -> Term {
            .list((0..<4_096).map { .string("[a-z]*\($0)\(salt)" + String(repeating: "q", count: 250)) })
        }
        let request = server.ask("GET", .list([list("x"), .string(".*")]), client: 1)
        server.run()
        #expect(server.answer(to: request)?.answer.status == .tooCostly)
        #expect(server.stepsTaken > 50)
        server.ask("GET", .list([list("y"), .string(".*")]), client: 2)
        for _ in 0..<5 { server.step() }
        server.leave(2)
        let before = server.stepsTaken
        server.run()
        #expect(server.stepsTaken - before <= 2)
    }
}
