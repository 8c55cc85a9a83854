import TupleCore

/// Decides whether a loop that has nothing to do looks for events again and again for a while before it sleeps.
///
/// To be woken up takes an interrupt and a switch of threads, longer than a peer that is at work takes to answer. But a
/// look in vain is a processor's time for nothing, so it is bounded: nobody looks where little happens, and looks in vain
/// take no more than a fifth of the time. Where others have work for the processor, it is left to them: a process that
/// sleeps gets one sooner, when there is something to do, than one that always runs. (To offer the processor has no effect
/// on processes of other control groups or sessions, which the kernel schedules apart; there a fifth of the time is what it
/// may cost.)
struct BusyPolling: Sendable {
    /// How long one look lasts at most, in nanoseconds; 0 where the loop sleeps at once.
    let window: Int64
    /// Of the last waits, in nanoseconds; the latest ones count most.
    private var meanWait = BusyPolling.longestWait
    /// What looks in vain may still take, in nanoseconds, and up to when it was counted.
    private var credit: Int64 = 0
    private var creditedAt: Int64 = 0
    private var longTurnAt: Int64?
    private var restsUntil: Int64 = .min

    /// A wait counts for no more, so that a service that was idle is soon taken for busy.
    private static let longestWait: Int64 = 10_000_000
    private static let busyWait: Int64 = 1_000_000
    private static let weight: Int64 = 8
    /// Looks in vain take at most this part of the time.
    private static let share: Int64 = 5
    /// So many windows are saved up at most.
    private static let savings: Int64 = 40
    /// Whoever keeps the processor for as long computes, and does not just answer a message.
    private static let longTurn: Int64 = 2_000_000
    /// Two long turns as close as this are no accident.
    private static let accident: Int64 = 100_000_000
    private static let rest: Int64 = 300_000_000

    init(window: Duration) { self.window = window.wholeNanoseconds }

    /// Whether it is worth a look now, by the monotonic clock in nanoseconds.
    mutating func pays(at now: Int64) -> Bool {
        guard window > 0, meanWait < BusyPolling.busyWait, now >= restsUntil else { return false }
        credit = min(credit + (now - creditedAt) / BusyPolling.share, BusyPolling.savings * window)
        creditedAt = now
        return credit >= window
    }

    /// Takes in that the processor was offered to others, from `offer` to `now`, in a look that began at `begin`.
    ///
    /// - Returns: whether to go on with the look.
    mutating func goesOn(from begin: Int64, offer: Int64, to now: Int64) -> Bool {
        if now - offer >= BusyPolling.longTurn {
            if let last = longTurnAt, offer - last < BusyPolling.accident { restsUntil = now + BusyPolling.rest }
            longTurnAt = now
        }
        guard now - begin >= window else { return true }
        credit -= now - begin
        return false
    }

    /// Takes in how long there was nothing to do, until something came.
    mutating func waited(for nanoseconds: Int64) {
        meanWait += (min(nanoseconds, BusyPolling.longestWait) - meanWait) / BusyPolling.weight
    }
}
