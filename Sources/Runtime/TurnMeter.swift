package import TupleCore
package import WireProtocol

/// The longest turn of an event loop: the time between its being woken up and its going to sleep, in which it serves
/// nobody else.
package struct TurnMeter: Sendable {
    private static let halfAMinute = Duration.seconds(30)

    /// Since the loop began.
    package private(set) var longest = Duration.zero
    /// Of the running half minute, and of the one before it.
    private var present = Duration.zero
    private var previous = Duration.zero
    private var halfBegan = Instant(nanoseconds: 0)

    package init() {}

    /// The longest one of the last 30 to 60 seconds.
    package func longestOfLate(at now: Instant) -> Duration {
        let age = now.duration(since: halfBegan)
        if age >= Self.halfAMinute * 2 { return .zero }
        return age >= Self.halfAMinute ? present : max(present, previous)
    }

    /// - Complexity: O(1).
    package mutating func turned(from begin: Instant, to end: Instant) {
        let age = end.duration(since: halfBegan)
        if age >= Self.halfAMinute {
            previous = age >= Self.halfAMinute * 2 ? .zero : present
            present = .zero
            halfBegan = end
        }
        let turn = end.duration(since: begin)
        if turn > present {
            present = turn
            if turn > longest { longest = turn }
        }
    }
}

extension EventLoop {
    /// ``longestTurn`` as it is told to whoever asks for the status.
    package var turns: ServerStatus.Turns {
        let longest = longestTurn
        return ServerStatus.Turns(
            longestMilliseconds: UInt64(max(0, longest.ever.wholeMilliseconds)),
            recentMilliseconds: UInt64(max(0, longest.ofLate.wholeMilliseconds)))
    }
}
