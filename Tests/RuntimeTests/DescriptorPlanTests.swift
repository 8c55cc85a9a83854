import Testing

@testable import Runtime

@Suite struct DescriptorPlanTests {
    private let reserved = DescriptorPlan.reserved(threads: 1)

    @Test func whatFitsIsTaken() throws {
        let plan = try DescriptorPlan.fit(clients: 1_000, isGiven: true, threads: 1, limit: reserved + 1_000)
        #expect(plan == DescriptorPlan(clients: 1_000))
        #expect(try DescriptorPlan.fit(clients: 7, isGiven: false, threads: 1, limit: .max).clients == 7)
    }

    @Test func aNumberThatWasAskedForAndDoesNotFitIsRefusedWithWords() {
        let error = #expect(throws: StartFailure.self) {
            try DescriptorPlan.fit(clients: 5_000, isGiven: true, threads: 1, limit: 1_024)
        }
        let words = error?.description ?? ""
        #expect(words.contains("--max-clients 5000") && words.contains("1024") && words.contains("ulimit -Hn"))
        #expect(words.contains("--max-clients \(1_024 - reserved)"))
    }

    @Test func theDefaultIsLowered() throws {
        let plan = try DescriptorPlan.fit(clients: 1_000, isGiven: false, threads: 1, limit: 1_024)
        #expect(plan == DescriptorPlan(clients: 1_024 - reserved, isLowered: true))
    }

    @Test func withoutRoomForASingleClientItDoesNotStart() {
        #expect(throws: StartFailure.self) {
            try DescriptorPlan.fit(clients: 1_000, isGiven: false, threads: 1, limit: reserved)
        }
        #expect(throws: StartFailure.self) {
            try DescriptorPlan.fit(clients: 1_000, isGiven: false, threads: 64, limit: 100)
        }
    }

    @Test func everyThreadNeedsSome() {
        #expect(DescriptorPlan.reserved(threads: 4) > reserved)
    }
}
