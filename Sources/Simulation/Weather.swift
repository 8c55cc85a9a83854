/// How long things take, in nanoseconds. A single number needs no chance.
package struct Span: Hashable, Sendable {
    package var least: Int64
    package var most: Int64
    package init(_ least: Duration, _ most: Duration) {
        self.least = least.components.attoseconds / 1_000_000_000 + least.components.seconds * 1_000_000_000
        self.most = most.components.attoseconds / 1_000_000_000 + most.components.seconds * 1_000_000_000
    }
    package static let zero = Span(.zero, .zero)

    func draw(_ random: inout SeededRandom) -> Int64 {
        most == least ? least : least + Int64(random.next() % UInt64(most - least))
    }
}

/// What a world's network and disks are like while nothing fails.
package struct Weather: Hashable, Sendable {
    /// From one machine to another.
    package var latency: Span
    /// One message in so many takes `delay` longer; those behind it on the same connection wait. 0: none.
    package var delayedOneIn: Int
    package var delay: Span
    /// From the first event that a server's loop hands out to the turn's end.
    package var turn: Span
    /// What a disk takes for a sync.
    package var sync: Span
    /// What a search takes that is done beside the loop.
    package var search: Span
    /// What a process takes to start.
    package var start: Span
    /// Outgoing bytes above which a sender is told when they have left.
    package var lowWaterBytes: Int

    /// Nothing takes any time: for stories.
    package static let still = Weather(
        latency: .zero, delayedOneIn: 0, delay: .zero, turn: .zero, sync: .zero, search: .zero,
        start: .zero,
        lowWaterBytes: 4_096)

    /// A machine room.
    package static let fair = Weather(
        latency: Span(.microseconds(50), .microseconds(600)), delayedOneIn: 200,
        delay: Span(.milliseconds(1), .milliseconds(30)), turn: Span(.microseconds(1), .microseconds(100)),
        sync: Span(.microseconds(200), .milliseconds(3)),
        search: Span(.microseconds(100), .milliseconds(20)), start: Span(.milliseconds(5), .milliseconds(50)),
        lowWaterBytes: 2_048)
}
