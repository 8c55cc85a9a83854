import Synchronization
public import TupleCore

/// A GET or DELETE that has been understood: what is looked for, where, and how much of it may be found.
public struct Search: Sendable {
    let expression: PairExpression
    let plan: SearchPlan
    /// The packed bytes that may be found.
    let maximumBytes: Int
    /// Whether the result is to say how it was found.
    public var isExplained = false
    /// The only keys that are looked at, in order; nil for all.
    var keys: [Tuple]?

    init(expression: PairExpression, isRemoval: Bool) {
        self.expression = expression
        plan = SearchPlan(expression)
        maximumBytes = isRemoval ? Limits.maximumEntryBytes : Limits.maximumAnswerBytes
    }

    /// About what its expressions take in memory.
    public var byteCount: Int { expression.key.byteCount + expression.value.byteCount }

    /// What a search may cost, in units of about ten nanoseconds.
    public enum Work {
        /// Done on the spot, between two other requests: a fifth of a millisecond.
        public static let inline: UInt64 = 20_000
        /// All in all: about two seconds.
        public static let request: UInt64 = 200_000_000
        /// Before it is another search's turn: three milliseconds.
        public static let slice: UInt64 = 300_000
        /// The longest step, which is one pair that takes longer than a slice; a pair that takes longer than this is too
        /// costly: twenty milliseconds.
        public static let longestStep: UInt64 = 2_000_000
    }
}

extension Search {
    /// The same search among these keys alone: what has changed since it was first made.
    ///
    /// - Parameter keys: in ascending order.
    public func restricted(to keys: [Tuple]) -> Search {
        var search = self
        search.keys = keys
        return search
    }

    /// Whether a pair with this key could match, by what the key must begin with alone.
    ///
    /// - Complexity: O(literal prefix of the key expression).
    public func mayMatch(_ key: Tuple) -> Bool {
        switch plan.keys {
        case .all: true
        case .exact(let bytes), .prefix(let bytes): key.packed.starts(with: bytes)
        }
    }
}

/// What a search has come to.
public struct SearchResult: Sendable {
    public var ending: Ending
    /// What matches, in key order; empty unless the search is complete.
    public var pairs: [Pair]
    /// The pairs that were looked at.
    public var examined: Int
    /// What it has cost, in units of about ten nanoseconds.
    public var work: UInt64
    /// The plan and how many pairs it led to, for people; empty where nobody asked.
    public var explanation = ""

    public enum Ending: Sendable {
        case complete
        case tooLarge
        case tooCostly
        case cancelled
    }

    public init(ending: Ending, pairs: [Pair] = [], examined: Int = 0, work: UInt64 = 0) {
        self.ending = ending
        self.pairs = pairs
        self.examined = examined
        self.work = work
    }

    /// What the client is told where the search is not complete.
    public var failure: Answer? {
        switch ending {
        case .complete: nil
        case .tooLarge:
            Answer(
                status: .tooLarge,
                message:
                    "more matches than one request may return or remove; nothing was returned or removed: select in parts"
            )
        case .tooCostly:
            Answer(
                status: .tooCostly,
                message:
                    "matching exceeded the work budget of a request; nothing was returned or removed: simplify the expression, or select fewer keys by a literal prefix"
            )
        case .cancelled:
            Answer(status: .unavailable, message: "the search was given up; nothing was returned or removed")
        }
    }
}

/// The way to end a search that runs on another thread.
public final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)
    public init() {}
    public func cancel() { flag.store(true, ordering: .relaxed) }
    public var isCancelled: Bool { flag.load(ordering: .relaxed) }
}
