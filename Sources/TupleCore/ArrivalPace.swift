/// How long a peer may be silent before it counts as lost: adapted to the longest gaps between arrivals that were seen
/// lately, within bounds.
///
/// One for a process: what delays arrivals is mostly its own machine. The longest gap is forgotten slowly, so that a
/// machine which was busy a moment ago is not taken for a quiet one.
public struct ArrivalPace: Hashable, Sendable {
    /// The longest gap of late, in microseconds.
    private var longest: Int64 = 0

    /// Silence may last so many times as long as the longest gap.
    static let gapFactor = 3
    /// The timeout is never more than so many times its lower bound.
    static let boundFactor = 4
    /// In about this time the longest gap shrinks to a third.
    static let memory = Duration.seconds(30)

    public init() {}

    /// Something came from a peer, `gap` after what it had sent before. Gaps in which this process itself was stopped
    /// are not for here.
    public mutating func arrived(after gap: Duration) {
        let gap = min(max(0, gap.wholeNanoseconds / 1_000), ArrivalPace.memory.wholeNanoseconds / 1_000)
        longest -= longest * gap / (ArrivalPace.memory.wholeNanoseconds / 1_000)
        longest = max(longest, gap)
    }

    /// Silence for longer than this is a lost peer.
    ///
    /// - Parameter lower: the least timeout; the greatest is ``boundFactor`` times as long.
    public func timeout(atLeast lower: Duration) -> Duration {
        min(max(lower, .microseconds(longest) * ArrivalPace.gapFactor), lower * ArrivalPace.boundFactor)
    }
}
