import TupleCore
public import TupleStore
import WireProtocol

/// A step of work that runs elsewhere, numbered; a number is never used again.
public struct SearchID: Hashable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
}

/// A bounded step of a search or of an answer: all that another thread needs.
public struct SearchTask: Sendable {
    let work: Work
    let sizes: StreamSizes

    enum Work: Sendable {
        case get(GetSlice)
        case delete(DeleteSlice)
        /// A part of a stored outcome.
        case stored([UInt8], StoredAnswerCursor, window: Int)
        /// What is removed as effects, and the outcome.
        case prepare([Pair], explanation: String)
    }

    struct GetSlice: Sendable {
        var search: PacedSearch
        let space: Space
        /// Payload bytes that may be sent before there is more credit; nil where the answer may only be collected.
        let window: Int?
    }

    struct DeleteSlice: Sendable {
        var search: PacedSearch
        let space: Space
        /// The only keys that are looked at; nil for all.
        let keys: SearchedKeys?
    }

    /// Takes the step: at most about ``Search/Work/longestStep``, or as long as one expression takes to be compiled.
    ///
    /// - Parameter matcher: of the calling thread.
    /// - Parameter microseconds: tells at the step's end how long it has taken, for explanations.
    public func run(
        _ matcher: Matcher, cancellation: Cancellation? = nil, microseconds: () -> Int? = { nil }
    ) -> SearchOutcome {
        let step = SearchStep(matcher: matcher, sizes: sizes, cancellation: cancellation)
        switch work {
        case .get(let slice): return step.get(slice, microseconds)
        case .delete(let slice): return step.delete(slice, microseconds)
        case .stored(let bytes, let cursor, let window): return step.cut(bytes, from: cursor, window: window)
        case .prepare(let pairs, let explanation):
            var result = SearchResult(ending: .complete, pairs: pairs)
            result.explanation = explanation
            let decision = Decision(removing: result)
            var outcome = SearchOutcome(.complete, work: UInt64(pairs.count))
            outcome.prepared = PreparedRemoval(
                effects: decision.effects, effectBytes: decision.effectBytes, outcome: decision.answer.payloadBytes)
            return outcome
        }
    }
}

/// How large the steps and frames of streamed answers are.
struct StreamSizes: Hashable, Sendable {
    /// Units of work.
    var slice: UInt64
    /// Payload bytes of an answer in one frame.
    var direct: Int
    /// Payload bytes that a frame of a stream aims at.
    var chunk: Int

    /// Packed bytes, sixteen more for each pair, that an answer in one frame may have: on the wire they take a little more.
    var room: Int { direct - direct / 32 }
}

/// A GET or DELETE on its way.
struct PacedSearch: Sendable {
    enum Question: Sendable {
        /// The request's payload.
        case unread(ArraySlice<UInt8>)
        case compiling(SearchCompilation)
        case read(Search)
    }

    var question: Question
    let isExplained: Bool
    var cursor = SearchCursor(work: Search.Work.request)
    /// A GET's pairs that no frame has yet.
    var part = AnswerPart()
    /// What is found is only counted: an explanation goes first and tells totals.
    var isCounting: Bool
    /// What was counted takes more than one frame.
    var isLong = false
    /// Whether a frame of the answer has been made.
    var hasBegun = false
    var explanation = ""
    var microseconds = 0

    init(_ question: Question, isExplained: Bool, isRemoval: Bool) {
        self.question = question
        self.isExplained = isExplained
        isCounting = isExplained && !isRemoval
    }

    /// About what its expressions take in memory.
    var byteCount: Int {
        switch question {
        case .unread: 0
        case .compiling(let compilation): compilation.byteCount
        case .read(let search): search.byteCount
        }
    }
}

/// The only keys that a search looks at. Sorting them is part of the search.
enum SearchedKeys: Sendable {
    case unsorted(Set<Tuple>)
    case sorted([Tuple])

    var sorted: [Tuple] {
        switch self {
        case .unsorted(let keys): keys.sorted()
        case .sorted(let keys): keys
        }
    }
}

/// A removal as the log takes it.
struct PreparedRemoval: Sendable {
    let effects: [Effect]
    let effectBytes: Int
    /// The encoded answer.
    let outcome: [UInt8]
}

/// What came of a ``SearchTask``.
public struct SearchOutcome: Sendable {
    enum End: Sendable {
        /// The step is over, the search is not.
        case slice
        /// The answer takes more than one frame, and it may only be collected.
        case full
        /// The window is used up.
        case window
        case complete
        case cancelled
        /// The whole answer: it is an error, or there was nothing to search for.
        case answered(Answer)
    }

    var end: End
    /// What the step has cost, in units of about ten nanoseconds.
    var work: UInt64
    var search: PacedSearch?
    /// Payloads of response frames.
    var chunks: [[UInt8]] = []
    /// Whether the first of them is the answer's first.
    var beginsAnswer = false
    /// What a DELETE has found.
    var pairs: [Pair] = []
    /// The only keys that it looks at.
    var keys: SearchedKeys?
    var stored: StoredAnswerCursor?
    var prepared: PreparedRemoval?

    init(_ end: End, work: UInt64) {
        self.end = end
        self.work = work
    }
}
