/// A point on some monotonic clock, in nanoseconds since that clock's own beginning. The cores are handed one with each
/// event and never read a clock themselves.
public struct Instant: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// - Precondition: `duration` is under 292 years.
    public func advanced(by duration: Duration) -> Instant {
        Instant(nanoseconds: nanoseconds + duration.wholeNanoseconds)
    }

    /// How long after `earlier` this is; negative where it is before.
    public func duration(since earlier: Instant) -> Duration { .nanoseconds(nanoseconds - earlier.nanoseconds) }
}

extension Duration {
    /// The duration in nanoseconds, fractions cut off. Range: ± 292 years.
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// The duration in milliseconds, fractions cut off.
    public var wholeMilliseconds: Int64 { wholeNanoseconds / 1_000_000 }
}
