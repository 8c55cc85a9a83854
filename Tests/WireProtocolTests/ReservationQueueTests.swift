import TestSupport
import Testing

@testable import WireProtocol

@Suite("Reservations for frames that have begun to come (specs/0001, G14)")
struct ReservationQueueTests {
    /// For calls that change what they are made on.
    private func check<T: Equatable>(_ found: T, _ expected: T, location: SourceLocation = #_sourceLocation) {
        #expect(found == expected, sourceLocation: location)
    }

    @Test("What there is no room for waits, and is served in turn by source")
    func turns() {
        var queue = ReservationQueue<String>(capacity: 100)
        check(queue.ask(1, bytes: 100, from: "a"), true)
        // Three of one source, then one of another.
        for id: UInt64 in 2...4 { check(queue.ask(id, bytes: 100, from: "a"), false) }
        check(queue.ask(5, bytes: 100, from: "b"), false)
        check(queue.end(1), [2])
        check(queue.end(2), [5])
        check(queue.end(5), [3])
        // Who has gone is passed over.
        check(queue.end(4), [])
        check(queue.end(3), [])
        #expect(queue.used == 0 && queue.waitingCount == 0)
        check(queue.end(99), [])
    }

    @Test("Nobody overtakes the one whose turn it is")
    func order() {
        var queue = ReservationQueue<String>(capacity: 100)
        check(queue.ask(1, bytes: 60, from: "a"), true)
        check(queue.ask(2, bytes: 90, from: "a"), false)
        check(queue.ask(3, bytes: 10, from: "b"), false)
        check(queue.end(1), [2, 3])
        // More than all counts as all.
        check(queue.ask(4, bytes: 1_000, from: "c"), false)
        check(queue.end(2), [])
        check(queue.end(3), [4])
        #expect(queue.used == 100)
    }

    @Test("Never more than the budget, everyone is served once, and what was given up is forgotten")
    func model() {
        var random = SeededRandom()
        let seed = random.seed
        var queue = ReservationQueue<Int>(capacity: 1_000)
        var bytes: [UInt64: Int] = [:]
        var given: Set<UInt64> = []
        var next: UInt64 = 0
        for _ in 0..<20_000 {
            if bytes.count < 50, random.below(2) == 0 {
                next += 1
                let wanted = 1 + random.below(1_000)
                bytes[next] = wanted
                if queue.ask(next, bytes: wanted, from: random.below(5)) { given.insert(next) }
            } else if let id = bytes.keys.sorted().randomElement(using: &random) {
                bytes[id] = nil
                given.remove(id)
                for new in queue.end(id) {
                    let isNew = given.insert(new).inserted
                    #expect(isNew, "seed \(seed)")
                }
            }
            #expect(queue.used == given.reduce(0) { $0 + (bytes[$1] ?? 0) }, "seed \(seed)")
            #expect(queue.used <= 1_000 && queue.waitingCount == bytes.count - given.count, "seed \(seed)")
        }
        for id in bytes.keys.sorted() { for new in queue.end(id) { given.insert(new) } }
        #expect(queue.used == 0 && queue.waitingCount == 0, "seed \(seed)")
    }
}
