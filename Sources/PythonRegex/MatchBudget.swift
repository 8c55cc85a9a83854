/// How much one match may cost.
public struct MatchLimits: Sendable, Equatable {
    /// Units of work, each about ten nanoseconds; a match that needs more is too costly. At least 1.
    public var maximumWork: UInt64
    /// Memory for going back, in KiB, where the subject is too long for the machine code's stack.
    public var maximumHeapKiB: UInt32

    /// A tenth of a second, and 64 MiB.
    public static let standard = MatchLimits(maximumWork: 10_000_000, maximumHeapKiB: 65_536)

    public init(maximumWork: UInt64, maximumHeapKiB: UInt32) {
        self.maximumWork = max(1, maximumWork)
        self.maximumHeapKiB = maximumHeapKiB
    }
}

/// What all matches of one request may cost together. Each match takes from it what it is thought to have cost.
public struct MatchBudget: Sendable, Equatable {
    /// Units of work that are left, each about ten nanoseconds.
    public private(set) var remaining: UInt64

    /// About two seconds.
    public static let standard = MatchBudget(work: 200_000_000)

    public init(work: UInt64) { remaining = work }

    public var isExhausted: Bool { remaining == 0 }

    /// Takes work from the budget, for matches and for whatever else the request does.
    /// - Returns: Whether that much was left; otherwise all that was left is taken.
    @discardableResult
    public mutating func charge(_ work: UInt64) -> Bool {
        guard work <= remaining else {
            remaining = 0
            return false
        }
        remaining -= work
        return true
    }
}

/// What came of one match.
public enum MatchResult: Equatable, Sendable {
    case match
    case noMatch
    /// Nobody knows: a limit, or what was left of the budget, was used up. `spent` is in units of work.
    case tooCostly(spent: UInt64)
}
