import PythonRegex
import TupleCore

/// How far a search has come that is made in slices: where it goes on, what it may still cost, and what it has counted.
public struct SearchCursor: Sendable {
    /// What the search may still cost, in units of about ten nanoseconds.
    public var work: UInt64
    /// Pairs that were looked at, pairs that the expressions were asked about, and pairs that match.
    public internal(set) var examined = 0
    var asked = 0
    public internal(set) var matched = 0
    /// The packed bytes of what matches, and sixteen for each pair.
    public internal(set) var foundBytes = 0

    /// The packed key that comes next in the plan's range; nil at its beginning.
    var next: [UInt8]?
    /// Whether the one key of an exact plan was looked up.
    var hasLookedUp = false
    /// Of the keys that the search is restricted to, how many were looked up.
    var keysDone = 0
    /// The next pair alone takes longer than a slice.
    var isLong = false
    /// See ``SearchRun``.
    var pagesWithoutText = 0
    var restAfterCrowd = 1

    /// - Parameter work: what all slices together may cost.
    public init(work: UInt64) { self.work = work }

    /// Back to the beginning, with another budget.
    public mutating func restart(work: UInt64) { self = SearchCursor(work: work) }
}

/// Why a search that is made in slices stands still.
public enum SearchPause: Sendable {
    case ended(SearchResult.Ending)
    /// The slice is over.
    case slice
    /// Who takes in what is found has no room for the next pair.
    case room
}

/// Takes in what a search finds, in key order.
public protocol PairSink: AnyObject {
    /// - Returns: false where there is no room for the pair now: it is found again when the search goes on.
    func take(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool
}

extension Matcher {
    /// Goes on with a search.
    ///
    /// - Parameters:
    ///   - search: the same each time.
    ///   - space: the same each time.
    ///   - slice: what this may cost, in units of about ten nanoseconds. Where the first pair alone takes longer, the next
    ///     slice may take up to ``Search/Work/longestStep`` for it.
    ///   - sink: takes in what is found.
    /// - Complexity: bounded by `slice`, or ``Search/Work/longestStep``.
    public func run(
        _ search: Search, in space: Space, from cursor: inout SearchCursor, slice: UInt64, into sink: any PairSink,
        cancellation: Cancellation? = nil
    ) -> SearchPause {
        #if PLANTED_BUGS
            if PlantedBug.cursorSkipsAPair.isOn, let next = cursor.next { cursor.next = next + [0] }
        #endif
        let allowance = min(cursor.isLong ? max(slice, Search.Work.longestStep) : slice, cursor.work)
        var run = SearchRun(
            search, from: cursor, allowance: allowance, isWhole: allowance == cursor.work, into: sink, cancellation,
            using: scratch)
        let isDone = run.look(for: search, in: space.map)
        cursor = run.cursor
        if case .complete = run.result.ending, !isDone { return run.pause }
        return .ended(run.result.ending)
    }

    /// What an explained search says of itself when it has ended.
    public func account(of search: Search, _ cursor: SearchCursor, in space: Space) -> String {
        search.plan.account(of: cursor, in: space)
    }
}
