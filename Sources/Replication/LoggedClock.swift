import TupleCore

/// Logged time between two entries of the log, by this process's monotonic clock.
///
/// An entry's time is that of the entry before it, and the whole milliseconds that have passed here since that one was
/// made or received. So logged time never runs faster than real time, whatever wall clocks say: what passes unseen, while a
/// server is down or an entry is on its way, is left out.
struct LoggedClock: Sendable {
    /// When the time of the state's last entry was reached.
    private var reachedAt: Instant

    init(at now: Instant) { reachedAt = now }

    /// Logged time now, in milliseconds.
    ///
    /// - Parameter time: of the last entry.
    func time(after time: Int64, at now: Instant) -> Int64 {
        let milliseconds = max(0, now.nanoseconds - reachedAt.nanoseconds) / 1_000_000
        let (sum, isTooLate) = time.addingReportingOverflow(milliseconds)
        return isTooLate ? time : sum
    }

    /// An entry of a later time was made here: fractions of a millisecond go on to count.
    mutating func advance(from time: Int64, to later: Int64) {
        reachedAt.nanoseconds += (later - time) * 1_000_000
    }

    /// The state's time is what it is, and was reached at this instant or before.
    mutating func restart(at now: Instant) { reachedAt = now }
}
