import TupleCore
import TupleStore
import WireProtocol

/// GET and DELETE: done on the spot where that is cheap, else on another thread and a snapshot.
///
/// A GET answers what was true when its search began. A DELETE decides on a snapshot, then looks again at those keys that
/// updates have touched since, and so on with fewer and fewer keys, until what is left can be looked at on the spot: it
/// takes effect as one entry on the very state on which it holds.
extension Replica {
    mutating func search(_ frame: Frame, _ payload: Term, isRemoval: Bool) {
        var question = SearchTask.Question.unread(payload)
        if mayCompile(frame) {
            var search: Search
            do throws(ExpressionError) {
                search = isRemoval ? try matcher.delete(payload) : try matcher.get(payload)
            } catch {
                answer(frame, Decision(malformed: error).answer)
                return
            }
            search.isExplained = frame.header.flags.contains(.explain)
            if let result = searchOnTheSpot(search) {
                if let failure = result.failure {
                    answer(frame, failure.explained(by: result))
                } else if isRemoval {
                    commit(frame, Decision(removing: result))
                } else {
                    answer(frame, Answer(pairs: result.pairs).explained(by: result))
                }
                return
            }
            question = .read(search)
        }
        guard active?.searches.isFull == false else {
            answer(
                frame,
                Answer(
                    status: .unavailable,
                    message: "\(Searches.maximumWaiting) long searches are waiting; nothing was done: try again later"))
            return
        }
        active?.searches.enqueue(Searches.Job(frame: frame.detached, question: question, isRemoval: isRemoval))
        startSearches()
    }

    /// Whether there is time to compile the request's expressions on the spot.
    private mutating func mayCompile(_ frame: Frame) -> Bool {
        let work = Matcher.compileWork(payloadBytes: frame.payload.count)
        guard work <= Bounds.compileWorkOnTheSpot, let left = active?.workOnTheSpot, work <= left else { return false }
        active?.workOnTheSpot = left - work
        return true
    }

    /// - Returns: nil where that costs more than there is time for.
    private mutating func searchOnTheSpot(_ search: Search) -> SearchResult? {
        let work = min(settings.workOnTheSpot, active?.workOnTheSpot ?? 0)
        let result = matcher.run(search, in: state.space, work: work)
        active?.workOnTheSpot -= min(result.work, work)
        if case .tooCostly = result.ending { return nil }
        return result
    }

    private mutating func startSearches() {
        while let job = active?.searches.next() { start(job) }
    }

    private mutating func start(_ job: Searches.Job) {
        lastSearch += 1
        let id = SearchID(lastSearch)
        active?.searches.begin(job, as: id)
        let task = SearchTask(
            question: job.question, keys: job.keys?.sorted(), space: state.space, isRemoval: job.isRemoval,
            isExplained: job.frame.header.flags.contains(.explain))
        actions.append(.search(id, task))
    }

    mutating func searched(_ id: SearchID, _ outcome: SearchOutcome) {
        // A search of an earlier time as the active server, or of requests that were lost with the proxy.
        guard var job = active?.searches.end(id) else { return }
        if let search = outcome.search { job.question = .read(search) }
        if let refusal = outcome.refusal {
            answer(job.frame, refusal)
            release(job)
        } else if case .cancelled = outcome.result.ending {
            release(job)
        } else if !job.isRemoval {
            respond(job.frame, chunks: outcome.chunks)
            release(job)
        } else if let failure = outcome.result.failure {
            answer(job.frame, failure.explained(by: outcome.result))
            release(job)
        } else {
            if job.explanation.isEmpty { job.explanation = outcome.result.explanation }
            remove(job, outcome.result.pairs)
        }
        startSearches()
    }

    private mutating func remove(_ searched: Searches.Job, _ pairs: [Pair]) {
        var job = searched
        if job.hasLostTrack {
            job.keys = nil
            job.rounds += Searches.roundsOfRestart
        } else {
            job.forgetWhatCannotMatch()
            job.merge(pairs)
            job.keys = job.changed
            job.rounds += 1
            if let rest = changedMatches(job) {
                job.merge(rest)
                finishRemoval(job)
                return
            }
        }
        guard job.rounds <= Searches.maximumRounds else {
            answer(
                job.frame,
                Answer(
                    status: .tooCostly,
                    message: "updates outrun the search; nothing was removed: select fewer keys by a literal prefix"))
            release(job)
            return
        }
        job.changed = []
        job.changedBytes = 0
        start(job)
    }

    /// What matches now of the keys that have changed; nil where it takes too long to look.
    private mutating func changedMatches(_ job: Searches.Job) -> [Pair]? {
        guard job.changed.count <= Searches.maximumKeysOnTheSpot, case .read(let search) = job.question else {
            return nil
        }
        let changed = search.restricted(to: job.changed.sorted())
        let result = matcher.run(changed, in: state.space, work: settings.workOnTheSpot)
        guard case .complete = result.ending else { return nil }
        return result.pairs
    }

    private mutating func finishRemoval(_ job: Searches.Job) {
        let bytes = job.found.reduce(0) { $0 + $1.byteCount }
        if bytes > Limits.maximumEntryBytes {
            answer(job.frame, SearchResult(ending: .tooLarge).failure ?? Answer())
        } else {
            commit(job.frame, Decision(removing: job.result))
        }
        release(job)
    }

    /// The session goes on with what came after its search.
    private mutating func release(_ job: Searches.Job) {
        let frames = active?.searches.release(job.frame.header.session) ?? []
        for frame in frames { serve(frame) }
    }

    /// The proxy says that a client has left.
    mutating func clientLeft(_ frame: Frame) {
        guard let active, frame.header.epoch == active.epoch,
            let vain = self.active?.searches.leave(frame.header.connection)
        else { return }
        for id in vain.running { actions.append(.cancelSearch(id)) }
        for session in vain.sessions {
            for frame in self.active?.searches.release(session) ?? [] { serve(frame) }
        }
    }

    /// All searches end without an answer.
    ///
    /// - Returns: the requests that were here.
    @discardableResult
    mutating func abandonSearches() -> [Frame] {
        guard let searches = active?.searches else { return [] }
        for id in searches.runningIDs { actions.append(.cancelSearch(id)) }
        active?.searches = Searches()
        return searches.requests
    }
}
