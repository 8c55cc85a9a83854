import TupleCore
import TupleStore
import WireProtocol

/// GET and DELETE: done on the spot where that is cheap and the answer small, else in slices on another thread and a
/// snapshot.
///
/// A GET answers what was true when its search began. A DELETE decides on a snapshot, then looks again at those keys that
/// updates have touched since, and so on with fewer and fewer keys, until what is left can be looked at on the spot: it
/// takes effect as one entry on the very state on which it holds.
extension Replica {
    /// - Parameter payload: nil where it is too long to be read on the spot.
    mutating func search(_ frame: Frame, _ payload: Term?, isRemoval: Bool) {
        var question: PacedSearch.Question?
        if let payload, mayCompile(frame) {
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
            if search.byteCount <= Bounds.expressionBytesKept { question = .read(search) }
        }
        pace(frame, question, isRemoval: isRemoval)
    }

    private mutating func pace(_ frame: Frame, _ question: PacedSearch.Question?, isRemoval: Bool) {
        if let why = active?.searches.refusal(of: frame, isOutcome: false) {
            answer(frame, Answer(status: .unavailable, message: "\(why); nothing was done: try again later"))
            return
        }
        let frame = frame.detached
        let search = PacedSearch(
            question ?? .unread(frame.payload), isExplained: frame.header.flags.contains(.explain),
            isRemoval: isRemoval)
        active?.searches.enqueue(
            frame, isRemoval ? .delete(search) : .get(search), window: settings.answerWindowBytes,
            after: state.position.index)
        startSearches()
    }

    /// Whether there is time to compile the request's expressions on the spot.
    private mutating func mayCompile(_ frame: Frame) -> Bool {
        let work = Matcher.compileWork(payloadBytes: frame.payload.count)
        guard work <= Bounds.compileWorkOnTheSpot, let left = active?.workOnTheSpot, work <= left else { return false }
        active?.workOnTheSpot = left - work
        return true
    }

    /// - Returns: nil where that costs more than there is time for, or finds more than one frame takes.
    private mutating func searchOnTheSpot(_ search: Search) -> SearchResult? {
        let work = min(settings.workOnTheSpot, active?.workOnTheSpot ?? 0)
        let result = matcher.run(search, in: state.space, work: work, room: settings.streamSizes.room)
        active?.workOnTheSpot -= min(result.work, work)
        return switch result.ending {
        case .complete: result
        case .tooCostly, .tooLarge, .cancelled: nil
        }
    }

    // MARK: Steps

    mutating func startSearches() {
        while let job = active?.searches.next(at: state.position.index, moment.instant) { start(job) }
    }

    private mutating func start(_ job: SearchJob) {
        guard let work = nextStep(of: job) else {
            answer(job.frame, Answer(status: .unknown, message: "the outcome of this request is not kept any more"))
            finish(job.number)
            return
        }
        lastSearch += 1
        let id = SearchID(lastSearch)
        active?.searches.begin(job.number, as: id, in: state.space, at: state.position.index)
        actions.append(.search(id, SearchTask(work: work, sizes: settings.streamSizes)))
    }

    /// - Returns: nil where the outcome that was being sent is forgotten.
    private func nextStep(of job: SearchJob) -> SearchTask.Work? {
        var space = job.space ?? state.space
        #if PLANTED_BUGS
            if PlantedBug.streamOfTheLiveSpace.isOn, !job.isRemoval { space = state.space }
        #endif
        switch job.kind {
        case .get(let search):
            return .get(.init(search: search, space: space, window: job.isAdmitted ? job.window : nil))
        case .delete(let search):
            if job.isPreparing { return .prepare(job.found, explanation: search.explanation) }
            return .delete(.init(search: search, space: space, keys: job.keysToLookAt))
        case .outcome(let session, let sequence, let cursor):
            guard case .done(let bytes) = state.sessions.standing(of: sequence, in: session) else { return nil }
            return .stored(bytes, cursor, window: job.window)
        }
    }

    mutating func searched(_ id: SearchID, _ outcome: SearchOutcome) {
        active?.searches.take(outcome.pairs, from: id)
        // A search of an earlier time as the active server, or of requests that were lost with the proxy.
        guard var job = active?.searches.end(id, work: outcome.work) else { return }
        defer { startSearches() }
        guard job.isRemoval || !job.isOrphan else {
            finish(job.number)
            return
        }
        job.take(outcome)
        if let prepared = outcome.prepared {
            commit(job, prepared)
            return
        }
        send(outcome, to: job)
        switch outcome.end {
        case .cancelled: finish(job.number)
        case .answered(let answer):
            self.answer(job.frame, answer)
            finish(job.number)
        case .complete:
            if job.isRemoval { lookAgain(job) } else { finish(job.number) }
        case .slice, .window: goOn(job)
        case .full: goOn(job, needsRoom: true)
        }
    }

    private mutating func send(_ outcome: SearchOutcome, to job: SearchJob) {
        let isWhole = if case .complete = outcome.end { true } else { false }
        for (place, chunk) in outcome.chunks.enumerated() {
            var flags: Header.Flags = []
            if place == 0, outcome.beginsAnswer { flags.insert(.first) }
            if place < outcome.chunks.count - 1 || !isWhole { flags.insert(.more) }
            var index = job.index
            #if PLANTED_BUGS
                if PlantedBug.readEarly.isOn, job.holdsSnapshot { index = .zero }
            #endif
            respond(job.frame.header, chunk[...], flags: flags, after: index)
        }
    }

    /// A search that is not over is admitted, if it can be, and has its next turn.
    ///
    /// - Parameter needsRoom: it cannot go on without being admitted.
    private mutating func goOn(_ searched: SearchJob, needsRoom: Bool = false) {
        let number = searched.number
        active?.searches.update(searched)
        let isLarge = searched.search.map { $0.byteCount > Searches.smallExpressionBytes } ?? false
        if !searched.isAdmitted {
            guard active?.searches.mayAdmit(searched, at: searched.index) == true else {
                if !needsRoom, !isLarge, searched.mayStayOnTrial {
                    active?.searches.goOn(searched)
                } else {
                    active?.searches.beginAnew(searched, mustBeLarge: isLarge)
                }
                return
            }
            active?.searches.admit(searched, at: searched.index, moment.instant)
        }
        if isLarge, !searched.isLarge {
            guard active?.searches.mayBeLarge == true else {
                if let job = active?.searches.jobs[number] { active?.searches.beginAnew(job, mustBeLarge: true) }
                return
            }
            active?.searches.makeLarge(searched)
        }
        guard let job = active?.searches.jobs[number] else { return }
        if job.isWindowUsedUp {
            active?.searches.park(job, at: moment.instant)
        } else {
            active?.searches.goOn(job)
        }
        // From here on nothing changes any more what a GET shows.
        if job.holdsSnapshot, job.expressions != nil { release(number) }
    }

    // MARK: DELETE

    /// All keys have been looked at, or all that had changed.
    private mutating func lookAgain(_ searched: SearchJob) {
        var job = searched
        if job.hasLostTrack {
            job.keys = nil
            job.rounds += Searches.roundsOfRestart
        } else {
            job.forgetWhatCannotMatch()
            job.merge(job.foundNow)
            job.keys = job.changed
            job.rounds += 1
            if let rest = changedMatches(job) {
                job.merge(rest)
                settle(job)
                return
            }
        }
        lookAtChanges(job)
    }

    private mutating func lookAtChanges(_ searched: SearchJob) {
        var job = searched
        guard job.rounds <= Searches.maximumRounds else {
            answer(
                job.frame,
                Answer(
                    status: .tooCostly,
                    message: "updates outrun the search; nothing was removed: select fewer keys by a literal prefix"))
            finish(job.number)
            return
        }
        job.beginRound()
        goOn(job)
    }

    /// What matches now of the keys that have changed; nil where it takes too long to look.
    private mutating func changedMatches(_ job: SearchJob) -> [Pair]? {
        guard job.changed.count <= Searches.maximumKeysOnTheSpot, let search = job.expressions else { return nil }
        let changed = search.restricted(to: job.changed.sorted())
        let result = matcher.run(changed, in: state.space, work: settings.workOnTheSpot)
        guard case .complete = result.ending else { return nil }
        return result.pairs
    }

    /// What is to be removed is known. Where it is much, it is made ready for the log elsewhere.
    private mutating func settle(_ settled: SearchJob) {
        var job = settled
        guard job.found.count > Bounds.pairsRemovedOnTheSpot else {
            removeFound(job)
            return
        }
        job.isPreparing = true
        job.changed = []
        job.changedBytes = 0
        job.foundNow = []
        goOn(job)
    }

    private mutating func commit(_ searched: SearchJob, _ prepared: PreparedRemoval) {
        var job = searched
        job.isPreparing = false
        if job.hasLostTrack {
            job.keys = nil
            job.rounds += Searches.roundsOfRestart
            lookAtChanges(job)
            return
        }
        job.forgetWhatCannotMatch()
        guard !job.changed.isEmpty else {
            commit(
                job.frame, prepared.effects, effectBytes: prepared.effectBytes, outcome: prepared.outcome,
                isOrphan: job.isOrphan)
            finish(job.number)
            return
        }
        job.keys = job.changed
        job.rounds += 1
        guard let rest = changedMatches(job) else {
            lookAtChanges(job)
            return
        }
        job.merge(rest)
        removeFound(job)
    }

    private mutating func removeFound(_ job: SearchJob) {
        if job.foundBytes > Limits.maximumEntryBytes {
            answer(job.frame, SearchResult(ending: .tooLarge).failure ?? Answer())
        } else {
            var result = SearchResult(ending: .complete, pairs: job.found)
            result.explanation = job.search?.explanation ?? ""
            commit(job.frame, Decision(removing: result), isOrphan: job.isOrphan)
        }
        finish(job.number)
    }

    // MARK: Ends

    /// The search is over; its session goes on with what came after it.
    mutating func finish(_ number: UInt64) {
        guard let session = active?.searches.jobs[number]?.frame.header.session,
            let requests = active?.searches.unblock(number)
        else { return }
        active?.searches.remove(number)
        serve(requests, of: session)
    }

    /// The session goes on with what came after a search that is under way.
    private mutating func release(_ number: UInt64) {
        guard let session = active?.searches.jobs[number]?.frame.header.session,
            let requests = active?.searches.unblock(number)
        else { return }
        serve(requests, of: session)
    }

    private mutating func serve(_ waiting: BlockedRequests, of session: SessionID) {
        var requests = waiting
        while let frame = requests.next() {
            serve(frame)
            if active?.searches.isBusy(session) == true {
                active?.searches.block(session, again: requests)
                return
            }
        }
    }

    /// The proxy says that a client has left: its GETs and the answers on their way to it are for nobody. Its updates go on,
    /// as those of any client do that has asked for them.
    mutating func clientLeft(_ frame: Frame) {
        guard let active, frame.header.epoch == active.epoch else { return }
        for number in active.searches.jobs(of: SearchClient(frame.header)) {
            guard var job = self.active?.searches.jobs[number] else { continue }
            let id = self.active?.searches.runningID(of: number)
            guard job.isRemoval || id != nil else {
                finish(number)
                continue
            }
            job.isOrphan = true
            self.active?.searches.update(job)
            if !job.isRemoval, let id { actions.append(.cancelSearch(id)) }
        }
        startSearches()
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
