import Testing

@testable import Runtime

@Suite struct BusyPollingTests {
    private static let second: Int64 = 1_000_000_000
    private static let window: Int64 = 50_000

    /// Events follow each other as closely as under load.
    private static func busy(_ window: Duration = .microseconds(50)) -> BusyPolling {
        var polling = BusyPolling(window: window)
        for _ in 0..<100 { polling.waited(for: 20_000) }
        return polling
    }

    @Test func aLoopWithoutAWindowSleepsAtOnce() {
        var polling = BusyPollingTests.busy(.zero)
        let pays = polling.pays(at: BusyPollingTests.second)
        #expect(!pays)
    }

    @Test func nobodyLooksWhereLittleHappens() {
        var polling = BusyPolling(window: .microseconds(50))
        var pays = polling.pays(at: BusyPollingTests.second)
        #expect(!pays)
        for _ in 0..<1_000 { polling.waited(for: 5_000_000) }
        pays = polling.pays(at: 2 * BusyPollingTests.second)
        #expect(!pays)
        // Heartbeats come with their answers, close to each other.
        for number in 0..<1_000 { polling.waited(for: number % 4 == 0 ? 40_000_000 : 20_000) }
        pays = polling.pays(at: 3 * BusyPollingTests.second)
        #expect(!pays)
    }

    @Test func requestsThatComeFastAreLookedForAndOneLongWaitChangesNothing() {
        var polling = BusyPollingTests.busy()
        var pays = polling.pays(at: BusyPollingTests.second)
        #expect(pays)
        polling.waited(for: 5_000_000)
        pays = polling.pays(at: 2 * BusyPollingTests.second)
        #expect(pays)
    }

    @Test func looksInVainTakeAtMostAFifthOfTheTime() {
        var polling = BusyPollingTests.busy()
        let begin = BusyPollingTests.second
        var now = begin
        var inVain: Int64 = 0
        while now < begin + BusyPollingTests.second {
            guard polling.pays(at: now) else {
                now += 1_000
                continue
            }
            let start = now
            repeat { now += 1_000 } while polling.goesOn(from: start, offer: now - 1_000, to: now)
            #expect(now - start == BusyPollingTests.window)
            inVain += now - start
        }
        #expect(inVain <= BusyPollingTests.second / 5 + 41 * BusyPollingTests.window)
        #expect(inVain >= BusyPollingTests.second / 5 - BusyPollingTests.window)
    }

    @Test func looksThatFindSomethingAreNotCounted() {
        var polling = BusyPollingTests.busy()
        var now = BusyPollingTests.second
        for _ in 0..<100_000 {
            let pays = polling.pays(at: now)
            let goesOn = polling.goesOn(from: now, offer: now + 39_000, to: now + 40_000)
            guard pays, goesOn else {
                Issue.record("a look ended at \(now)")
                return
            }
            now += 40_000
            polling.waited(for: 40_000)
        }
    }

    @Test func theProcessorIsLeftToThoseThatCompute() {
        var polling = BusyPollingTests.busy()
        let begin = BusyPollingTests.second
        func looks(_ milliseconds: Int64) -> Bool { polling.pays(at: begin + milliseconds * 1_000_000) }
        func longTurn(_ milliseconds: Int64) {
            let now = begin + milliseconds * 1_000_000
            _ = polling.goesOn(from: now, offer: now, to: now + 3_000_000)
        }
        // One by itself is an accident, and so is another one long after it.
        longTurn(0)
        longTurn(500)
        #expect(looks(510))
        longTurn(520)
        #expect(!looks(530))
        #expect(!looks(820))
        #expect(looks(830))
    }
}
