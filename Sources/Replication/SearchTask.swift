import TupleCore
public import TupleStore
import WireProtocol

/// A search that runs elsewhere, numbered; a number is never used again.
public struct SearchID: Hashable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
}

/// A search with the snapshot that it looks through: all that another thread needs.
public struct SearchTask: Sendable {
    let question: Question
    /// The only keys that are looked at, ascending; nil for all.
    let keys: [Tuple]?
    let space: Space
    /// A DELETE's matches are needed as pairs, a GET's as the bytes of its answer.
    let isRemoval: Bool
    let isExplained: Bool

    /// What is searched for.
    enum Question: Sendable {
        case read(Search)
        /// A payload whose expressions take too long to compile for the event loop.
        case unread(Term)
    }

    /// Runs the search. Takes up to about two seconds.
    ///
    /// - Parameter matcher: of the calling thread.
    /// - Parameter microseconds: tells at the search's end how long it has taken, for its explanation.
    public func run(
        _ matcher: Matcher, cancellation: Cancellation? = nil, microseconds: () -> Int? = { nil }
    ) -> SearchOutcome {
        var search: Search
        switch question {
        case .read(let known): search = known
        case .unread(let payload):
            do throws(ExpressionError) {
                search = isRemoval ? try matcher.delete(payload) : try matcher.get(payload)
            } catch {
                let refusal = Decision(malformed: error).answer
                return SearchOutcome(result: SearchResult(ending: .complete), refusal: refusal)
            }
            search.isExplained = isExplained
        }
        let whole = search
        if let keys { search = search.restricted(to: keys) }
        var result = matcher.run(search, in: space, work: Search.Work.request, cancellation: cancellation)
        result.note(microseconds: microseconds)
        guard !isRemoval else { return SearchOutcome(result: result, search: whole) }
        let chunks = (result.failure ?? Answer(pairs: result.pairs)).explained(by: result).chunks
        result.pairs = []
        return SearchOutcome(result: result, chunks: chunks)
    }
}

/// What came of a ``SearchTask``.
public struct SearchOutcome: Sendable {
    var result: SearchResult
    /// A GET's answer.
    var chunks: [[UInt8]] = []
    /// A DELETE's expressions, compiled.
    var search: Search?
    /// The answer where there was nothing to search for: the expressions are malformed.
    var refusal: Answer?
}

/// Searches that cost too much for a place between two other requests: they run elsewhere, on snapshots, a few at a time.
///
/// The later requests of a session wait until its search is over, since a session's requests take effect in their order.
/// So a session has at most one search here, and sessions take turns.
struct Searches: Sendable {
    /// How many may run at once.
    static let maximumRunning = 2
    /// How many may wait.
    static let maximumWaiting = 4_096
    /// So many keys that changed behind a search's back are looked at on the spot.
    static let maximumKeysOnTheSpot = 256
    /// So many bytes of keys that changed are remembered; beyond, all is searched anew.
    static let maximumChangedBytes = 32 * 1_048_576
    /// So often a DELETE is searched for again before it is given up. Each time there is less to look at, unless updates
    /// come faster than their keys can be looked at.
    static let maximumRounds = 16
    /// What it counts to search through all anew.
    static let roundsOfRestart = 4

    struct Job: Sendable {
        var frame: Frame
        /// What was asked for.
        var question: SearchTask.Question
        var isRemoval: Bool
        var rounds = 0
        /// A DELETE's matches so far, in key order.
        var found: [Pair] = []
        /// Of its first search, where it is asked for.
        var explanation = ""
        /// Keys that updates have touched since the snapshot that is being looked through.
        var changed: Set<Tuple> = []
        var changedBytes = 0
        /// The keys that are being looked at; nil where it is all of them.
        var keys: Set<Tuple>?

        var result: SearchResult {
            var result = SearchResult(ending: .complete, pairs: found)
            result.explanation = explanation
            return result
        }

        var hasLostTrack: Bool { changedBytes > Searches.maximumChangedBytes }

        mutating func note(_ effects: [Effect]) {
            guard isRemoval, !hasLostTrack else { return }
            let search: Search? = if case .read(let search) = question { search } else { nil }
            for effect in effects where search?.mayMatch(effect.key) != false {
                if changed.insert(effect.key).inserted { changedBytes += effect.key.packed.count }
            }
            if hasLostTrack { changed = [] }
        }

        /// Keys that changed while the expressions were not compiled yet, and cannot match, need no look.
        mutating func forgetWhatCannotMatch() {
            guard case .read(let search) = question else { return }
            changed = changed.filter(search.mayMatch)
        }

        /// Takes in what the round has found in place of what was known of its keys.
        mutating func merge(_ pairs: [Pair]) {
            guard let keys else {
                found = pairs
                return
            }
            var merged: [Pair] = []
            merged.reserveCapacity(found.count + pairs.count)
            var next = pairs[...]
            for pair in found where !keys.contains(pair.key) {
                while let first = next.first, first.key < pair.key { merged.append(next.removeFirst()) }
                merged.append(pair)
            }
            found = merged + next
        }
    }

    private(set) var running: [SearchID: Job] = [:]
    private var waiting: [Job] = []
    /// Requests of sessions that have a search here, in their order.
    private var blocked: [SessionID: [Frame]] = [:]

    var isEmpty: Bool { blocked.isEmpty }
    var isFull: Bool { waiting.count >= Searches.maximumWaiting }
    /// The identifiers of those that run, in their order.
    var runningIDs: [SearchID] { running.keys.sorted { $0.number < $1.number } }

    func isBusy(_ session: SessionID) -> Bool { blocked[session] != nil }

    mutating func block(_ frame: Frame) { blocked[frame.header.session]?.append(frame.detached) }

    mutating func enqueue(_ job: Job) {
        blocked[job.frame.header.session] = []
        waiting.append(job)
    }

    /// The next that may run now.
    mutating func next() -> Job? {
        guard running.count < Searches.maximumRunning, !waiting.isEmpty else { return nil }
        return waiting.removeFirst()
    }

    mutating func begin(_ job: Job, as id: SearchID) { running[id] = job }

    mutating func end(_ id: SearchID) -> Job? { running.removeValue(forKey: id) }

    /// The session's search is over.
    ///
    /// - Returns: what has waited for it.
    mutating func release(_ session: SessionID) -> [Frame] { blocked.removeValue(forKey: session) ?? [] }

    /// Tells every running DELETE what changes behind its back.
    mutating func note(_ effects: [Effect]) {
        for id in running.keys { running[id]?.note(effects) }
    }

    /// The client has left: its GETs are for nobody. Its updates go on, as those of any client do that has asked for them.
    ///
    /// - Returns: searches that run in vain, and sessions whose search will not run.
    mutating func leave(_ client: ConnectionIndicator) -> (running: [SearchID], sessions: [SessionID]) {
        func isVain(_ job: Job) -> Bool { job.frame.header.connection == client && !job.isRemoval }
        let sessions = waiting.filter(isVain).map(\.frame.header.session)
        waiting.removeAll(where: isVain)
        return (runningIDs.filter { running[$0].map(isVain) ?? false }, sessions)
    }

    /// Every request that is here, each session's in its order.
    var requests: [Frame] {
        let jobs = runningIDs.compactMap { running[$0] } + waiting
        return jobs.flatMap { [$0.frame] + (blocked[$0.frame.header.session] ?? []) }
    }
}
