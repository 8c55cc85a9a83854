import Testing
import TupleCore
import WireProtocol

@testable import Routing

@Suite struct AnswerBudgetTests {
    /// However many clients take as much as they may, one that comes with nothing finds room.
    @Test(arguments: [1, 16, 100, 1_000]) func whoComesWithNothingFindsRoom(_ clients: Int) {
        var budget = AnswerBudget(limit: 128 * 1_048_576, clientLimit: 4 * 1_048_576)
        var charged = [Int](repeating: 0, count: clients)
        let request = Limits.directAnswerBytes
        var hasGrown = true
        while hasGrown {
            hasGrown = false
            for client in charged.indices
            where budget.verdict(on: request, chargedAlready: charged[client]) == .fits {
                charged[client] += request
                budget.charge(request)
                hasGrown = true
            }
        }
        #expect(charged.allSatisfy { $0 >= request && $0 <= 4 * 1_048_576 })
        #expect(budget.charged <= budget.limit)
        #expect(budget.verdict(on: request, chargedAlready: 0) == .fits)
        #expect(budget.verdict(on: request, chargedAlready: charged[0]) == .exceedsShare)
    }

    /// The same where they come one after the other and each takes at once what it may.
    @Test(arguments: [1, 16, 100, 1_000]) func whoComesLastFindsRoomToo(_ clients: Int) {
        var budget = AnswerBudget(limit: 128 * 1_048_576, clientLimit: 4 * 1_048_576)
        let request = Limits.directAnswerBytes
        for _ in 0..<clients {
            var charged = 0
            while budget.verdict(on: request, chargedAlready: charged) == .fits {
                charged += request
                budget.charge(request)
            }
            #expect(charged >= request)
        }
        #expect(budget.verdict(on: request, chargedAlready: 0) == .fits)
        #expect(budget.credit(wanted: 262_144, least: request, chargedAlready: 0) >= request)
        if clients > 99 { #expect(budget.credit(wanted: 262_144, least: request, chargedAlready: 1) == 0) }
    }

    @Test func whatIsReleasedCanBeChargedAgain() {
        var budget = AnswerBudget(limit: 100, clientLimit: 50)
        budget.charge(90)
        #expect(budget.verdict(on: 20, chargedAlready: 0) == .exceedsRoom)
        budget.release(90)
        #expect(budget.verdict(on: 20, chargedAlready: 0) == .fits && budget.charged == 0)
    }

    @Test(arguments: [
        ("GET", 0, 32_768), ("DELETE", 0, 32_768), ("OUTCOME", 0, 32_768), ("P", 0, 32_768), ("PUTS", 0, 32_768),
        ("PUT", 0, 1_030), ("POST", 0, 1_031), ("PUT", 100_000, 32_768),
    ])
    func whatIsReserved(_ name: String, _ bytes: Int, _ reserved: Int) {
        let filling = bytes > 0 ? [Term.string([UInt8](repeating: 1, count: bytes))] : []
        let payload = Request(operatorName: name, payload: .list(filling)).payloadBytes
        #expect(payload.withUnsafeBytes { AnswerBudget.reservation($0, atMost: 32_768) } == reserved)
    }

    @Test func payloadsThatAreNoneAreReservedFor() {
        for bytes in [[], [3], [3, 80], [3, 80, 85, 84], [4, 80, 79, 83]] as [[UInt8]] {
            #expect(bytes.withUnsafeBytes { AnswerBudget.reservation($0, atMost: 32_768) } == 32_768)
        }
    }
}
