/// When something that goes on is said in the log: at once where it is new, then once a minute with how often it was.
///
/// Something is new when its reason is another one than before, or when it has not been for a minute. What changes its
/// reason all the time is said six times a minute at most.
public struct RepeatedLine: Sendable {
    public static let interval = Duration.seconds(60)
    /// Lines in one interval at most.
    public static let mostPerInterval = 6

    /// How often the same is said before it counts as something that goes on: what happens three times in a minute may
    /// well be three things.
    private let burst: Int
    private var reason: String?
    private var saidOfReason = 0
    private var lastSaid = Instant(nanoseconds: 0)
    private var last = Instant(nanoseconds: 0)
    /// How often it was since it was said last.
    private var unsaid = 0
    private var intervalBegan = Instant(nanoseconds: 0)
    private var saidInInterval = 0

    /// - Parameter burst: from 1 to ``mostPerInterval``.
    public init(burst: Int = 1) {
        precondition((1...Self.mostPerInterval).contains(burst), "what is said once is said at least once")
        self.burst = burst
    }

    /// It has happened, or was tried and failed.
    ///
    /// - Returns: how often it has happened since it was said last, this time included, where it is to be said now.
    /// - Complexity: O(length of the reason).
    public mutating func occurred(_ reason: String, at now: Instant) -> Int? {
        unsaid += 1
        if reason != self.reason || now.duration(since: last) >= Self.interval {
            self.reason = reason
            saidOfReason = 0
        }
        last = now
        if saidInInterval == 0 || now.duration(since: intervalBegan) >= Self.interval {
            intervalBegan = now
            saidInInterval = 0
        }
        let isNew = saidOfReason < burst && saidInInterval < Self.mostPerInterval
        guard isNew || now.duration(since: lastSaid) >= Self.interval else { return nil }
        lastSaid = now
        saidOfReason += 1
        saidInInterval += 1
        defer { unsaid = 0 }
        return unsaid
    }
}

/// Keeps the operators' log readable while something goes on for long: of each event that warns, lines are let through as
/// ``RepeatedLine`` says, with a count of those that were not. Alerts always pass, and what is told for information,
/// except where anybody outside can cause it as often as he likes.
public struct LogFilter: Sendable {
    private static let burst = 3
    private static let causedFromOutside: Set<String> = ["client-dismissed"]
    /// By the event's name; there are as many as the programs know.
    private var lines: [String: RepeatedLine] = [:]

    public init() {}

    /// - Returns: the line, with `count` where it stands for several; nil where it is not to be written.
    public mutating func admit(_ line: LogLine, at now: Instant) -> LogLine? {
        switch line.level {
        case .warn, .error: break
        case .info where Self.causedFromOutside.contains(line.event): break
        case .info, .debug, .alert: return line
        }
        let reason = line.fields.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        guard let count = lines[line.event, default: RepeatedLine(burst: Self.burst)].occurred(reason, at: now) else {
            return nil
        }
        var line = line
        if count > 1 { line.fields.append(.init("count", count)) }
        return line
    }
}

/// How long to wait before the next attempt: longer each time, up to a bound, and never all at the same moment.
public struct Backoff: Sendable {
    public let first: Duration
    public let longest: Duration
    private var next: Duration

    /// - Precondition: `first` is positive, and not longer than `longest`.
    public init(first: Duration, longest: Duration) {
        precondition(first > .zero && first <= longest, "the first wait is the shortest")
        self.first = first
        self.longest = longest
        next = first
    }

    /// The wait before the next attempt: half as long again as the one before it, less up to a quarter.
    ///
    /// - Parameter random: any number; attempts with different ones spread.
    public mutating func wait(random: UInt64) -> Duration {
        let wait = next
        next = min(longest, next * 3 / 2)
        return wait - wait * Int(random % 256) / 1_024
    }

    /// An attempt has succeeded.
    public mutating func reset() { next = first }
}
