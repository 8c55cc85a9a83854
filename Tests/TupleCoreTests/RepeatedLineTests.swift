import Testing
import TupleCore

@Suite("What goes on is said once (specs/0006)")
struct RepeatedLineTests {
    /// For calls that change what they are made on.
    private func check<T: Equatable>(_ found: T, _ expected: T, location: SourceLocation = #_sourceLocation) {
        #expect(found == expected, sourceLocation: location)
    }

    private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: Int64(milliseconds) * 1_000_000) }

    @Test("The same reason twenty times a second for an hour: a line at once, then one a minute that counts")
    func same() {
        var line = RepeatedLine()
        var said: [Int] = []
        for attempt in 0..<72_000 {
            if let count = line.occurred("connection refused", at: at(1_000_000 + attempt * 50)) { said.append(count) }
        }
        #expect(said == [1] + [Int](repeating: 1_200, count: 59))
    }

    @Test("Another reason is said at once; one that changes all the time is said six times a minute")
    func changing() {
        var line = RepeatedLine()
        check(line.occurred("a", at: at(0)), 1)
        check(line.occurred("a", at: at(50)), nil)
        check(line.occurred("b", at: at(100)), 2)
        var count = 2
        for attempt in 0..<12_000 where line.occurred(attempt % 2 == 0 ? "a" : "b", at: at(150 + attempt * 50)) != nil {
            count += 1
        }
        #expect((40...66).contains(count), "ten minutes: \(count) lines")
    }

    @Test("What has not been for a minute is new again; what comes some times is said each time")
    func burst() {
        var line = RepeatedLine(burst: 3)
        for second in 0..<3 { check(line.occurred("a", at: at(second * 1_000)), 1) }
        check(line.occurred("a", at: at(3_000)), nil)
        check(line.occurred("a", at: at(100_000)), 2)
        check(line.occurred("a", at: at(100_001)), 1)
    }

    @Test("The log of an hour in which everything fails all the time has fewer than ten lines a minute for each event")
    func filter() {
        var filter = LogFilter()
        var lines: [String: Int] = [:]
        var counted = 0
        for attempt in 0..<36_000 {
            let now = at(attempt * 100)
            for line in [
                LogLine(.warn, "proxy-unreachable", [.init("reason", "connection refused")]),
                LogLine(.warn, "proxy-silent", [.init("for", "\(attempt)ms")]),
                LogLine(.info, "client-dismissed", [.init("client", attempt)]),
            ] {
                guard let admitted = filter.admit(line, at: now) else { continue }
                lines[line.event, default: 0] += 1
                guard line.event == "proxy-unreachable" else { continue }
                counted += admitted.fields.last.flatMap { $0.key == "count" ? Int($0.value) : nil } ?? 1
            }
        }
        #expect(lines["proxy-unreachable"] == 3 + 59)
        // What was not said at the end is still to come.
        #expect((35_000...36_000).contains(counted))
        for count in lines.values { #expect(count <= 60 * RepeatedLine.mostPerInterval) }
        for _ in 0..<100 { check(filter.admit(LogLine(.alert, "disk"), at: at(0)), LogLine(.alert, "disk")) }
    }

    @Test("Waits grow by half from the first to the longest, less up to a quarter, and begin anew after a success")
    func backoff() {
        var backoff = Backoff(first: .milliseconds(50), longest: .seconds(1))
        let waits = (0..<10).map { _ in backoff.wait(random: 0) }
        #expect(waits[0] == .milliseconds(50) && waits[1] == .milliseconds(75))
        #expect(waits == waits.sorted() && waits[9] == .seconds(1))
        for random: UInt64 in [0, 1, 128, 255, .max] {
            let wait = backoff.wait(random: random)
            #expect(wait <= .seconds(1) && wait > .milliseconds(750))
        }
        backoff.reset()
        check(backoff.wait(random: 0), .milliseconds(50))
    }
}
