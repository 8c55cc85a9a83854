import TupleCore
import TupleStore
import WireProtocol

/// Whose turn it is among searches: those of one client share their turns.
struct SearchClient: Hashable, Sendable {
    let connection: ConnectionIndicator
    init(_ request: Header) { connection = request.connection }
}

/// Searches that cost too much for a place between two other requests, and answers too large for one: they go on elsewhere
/// in slices, on snapshots, a few at a time.
///
/// The least served client is next, so that a short search comes before the long ones of others. A search begins *on trial*.
/// What is not over then has to be *admitted*, which is bounded for each client and in all, as soon as there is room; after
/// a few slices without it begins anew when there is. So only what is on trial or admitted holds memory, and a short search
/// needs no room among long ones.
struct Searches: Sendable {
    /// How many may run at once.
    static let maximumRunning = 2
    /// How many may wait, and how many of one client.
    static let maximumWaiting = 4_096
    static let maximumWaitingPerClient = 64
    /// Bytes of requests that may wait, be it for their turn or for a search of their session.
    static let maximumWaitingBytes = 32 * 1_048_576
    /// Stored outcomes that may wait, and how many of one client.
    static let maximumOutcomesWaiting = 16_384
    static let maximumOutcomesPerClient = 1_024
    /// How many may be on trial, and for how many slices.
    static let maximumTrials = 16
    static let slicesOnTrial = 8
    /// What a DELETE may have found on trial, in packed bytes and sixteen for each pair.
    static let maximumFoundOnTrial = 65_536
    /// How many may be admitted, and how many of one client.
    static let maximumAdmitted = 256
    static let maximumAdmittedPerClient = 4
    /// Of those, how many may be DELETEs, which hold what they have found.
    static let maximumRemovals = 2
    /// States of the space that may be held for admitted GETs.
    static let maximumSnapshots = 16
    /// What expressions may take without counting as large, and how many searches with larger ones may be admitted.
    static let smallExpressionBytes = 65_536
    static let maximumLarge = 2
    /// Every so many turns the client that has waited longest is next, however much it was served.
    static let turnsOfTheLongestWait: UInt64 = 4
    /// So many keys that changed behind a search's back are looked at on the spot.
    static let maximumKeysOnTheSpot = 256
    /// So many bytes of keys that changed are remembered; beyond, all is searched anew.
    static let maximumChangedBytes = 4 * 1_048_576
    /// So often a DELETE is searched for again before it is given up. Each time there is less to look at, unless updates
    /// come faster than their keys can be looked at.
    static let maximumRounds = 16
    /// What it counts to search through all anew.
    static let roundsOfRestart = 4

    private(set) var jobs: [UInt64: SearchJob] = [:]
    private var clients: [SearchClient: Client] = [:]
    private(set) var running: [SearchID: UInt64] = [:]
    /// Waiting for credit, and since when.
    private(set) var parked: [UInt64: Instant] = [:]
    /// By what credit names.
    private var streams: [Stream: UInt64] = [:]
    /// Requests of sessions that have a search here which is not fixed yet, in their order.
    private var blocked: [SessionID: BlockedRequests] = [:]
    /// How many admitted searches hold each state, by its log index.
    private var snapshots: [LogIndex: Int] = [:]
    private var lastNumber: UInt64 = 0
    private var turn: UInt64 = 0
    private(set) var admitted = 0
    private var trials = 0
    private(set) var removals = 0
    private var large = 0
    private var searchesWaiting = 0
    private var outcomesWaiting = 0
    private var waitingBytes = 0
    /// DELETEs that are under way: they have to be told of changes.
    private(set) var removalsUnderWay: Set<UInt64> = []
    /// Whether something could not be admitted at the last choice for want of room in all.
    private(set) var isCrowded = false

    struct Stream: Hashable {
        let connection: ConnectionIndicator
        let session: SessionID
        let sequence: RequestSequence
        init(_ header: Header) {
            connection = header.connection
            session = header.session
            sequence = header.sequence
        }
    }

    /// What waits for its turn.
    private struct Ready {
        let number: UInt64
        let slices: UInt64
    }

    private struct Client {
        var members: [UInt64] = []
        var ready: [Ready] = []
        /// What its searches that are here have cost.
        var attained: UInt64 = 0
        var lastServed: UInt64
        var admitted = 0
        var searchesWaiting = 0
        var outcomesWaiting = 0
    }

    var isEmpty: Bool { jobs.isEmpty && blocked.isEmpty }
    /// The identifiers of those that run, in their order.
    var runningIDs: [SearchID] { running.keys.sorted { $0.number < $1.number } }
    var snapshotCount: Int { snapshots.count }

    // MARK: Sessions

    func isBusy(_ session: SessionID) -> Bool { !blocked.isEmpty && blocked[session] != nil }

    /// - Returns: false where too much waits already.
    mutating func block(_ frame: Frame) -> Bool {
        guard waitingBytes + frame.payload.count <= Searches.maximumWaitingBytes else { return false }
        waitingBytes += frame.payload.count
        blocked[frame.header.session]?.append(frame.detached)
        return true
    }

    /// The session's search no longer holds up what came after it.
    ///
    /// - Returns: what has waited.
    mutating func unblock(_ number: UInt64) -> BlockedRequests {
        guard let job = jobs[number], job.blocksSession,
            let requests = blocked.removeValue(forKey: job.frame.header.session)
        else { return BlockedRequests() }
        jobs[number]?.blocksSession = false
        waitingBytes -= requests.byteCount
        return requests
    }

    /// The session is blocked again; these requests go on waiting.
    mutating func block(_ session: SessionID, again requests: BlockedRequests) {
        waitingBytes += requests.byteCount
        blocked[session] = requests
    }

    // MARK: Coming

    /// - Returns: why there is no room for another one of the client; nil where there is.
    func refusal(of frame: Frame, isOutcome: Bool) -> String? {
        let client = clients[SearchClient(frame.header)]
        if isOutcome {
            let ofClient = client?.outcomesWaiting ?? 0
            let isFull =
                outcomesWaiting >= Searches.maximumOutcomesWaiting || ofClient >= Searches.maximumOutcomesPerClient
            return isFull ? "too many answers are waiting" : nil
        }
        if client?.searchesWaiting ?? 0 >= Searches.maximumWaitingPerClient {
            return "\(Searches.maximumWaitingPerClient) long searches of this client are waiting"
        }
        if searchesWaiting >= Searches.maximumWaiting { return "\(Searches.maximumWaiting) long searches are waiting" }
        return waitingBytes + frame.payload.count > Searches.maximumWaitingBytes
            ? "\(waitingBytes) bytes of requests are waiting" : nil
    }

    mutating func enqueue(_ frame: Frame, _ kind: SearchJob.Kind, window: Int, after index: LogIndex) {
        lastNumber += 1
        let job = SearchJob(number: lastNumber, frame: frame, kind: kind, window: window, index: index)
        if job.blocksSession { blocked[frame.header.session] = BlockedRequests() }
        streams[Stream(frame.header)] = job.number
        let client = SearchClient(frame.header)
        clients[client, default: Client(lastServed: turn)].members.append(job.number)
        countWaiting(job, 1)
        waitingBytes += frame.payload.count
        jobs[job.number] = job
        makeReady(job)
    }

    private mutating func countWaiting(_ job: SearchJob, _ difference: Int) {
        if job.isOutcome {
            outcomesWaiting += difference
            clients[job.client]?.outcomesWaiting += difference
        } else {
            searchesWaiting += difference
            clients[job.client]?.searchesWaiting += difference
        }
    }

    private mutating func makeReady(_ job: SearchJob) {
        clients[job.client]?.ready.append(Ready(number: job.number, slices: job.slices))
    }

    // MARK: Turns

    /// The next that may run now, admitted where it has to be.
    ///
    /// - Parameter index: of the state that a snapshot would have.
    /// - Complexity: O(clients that have something here).
    mutating func next(at index: LogIndex, _ now: Instant) -> SearchJob? {
        guard running.count < Searches.maximumRunning else { return nil }
        isCrowded = false
        turn += 1
        let isOfTheLongestWait = turn.isMultiple(of: Searches.turnsOfTheLongestWait)
        var best: (rank: UInt64, number: UInt64, client: SearchClient)?
        for (key, client) in clients {
            let rank = isOfTheLongestWait ? client.lastServed : client.attained
            if let best, rank > best.rank { continue }
            guard let number = choose(of: client, at: index) else { continue }
            if let best, rank == best.rank, number > best.number { continue }
            best = (rank, number, key)
        }
        guard let best else { return nil }
        clients[best.client]?.lastServed = turn
        clients[best.client]?.ready.removeAll { $0.number == best.number }
        if let job = jobs[best.number], job.mustBeAdmitted, !job.isAdmitted { admit(job, at: index, now) }
        if let job = jobs[best.number], job.mustBeLarge, !job.isLarge { makeLarge(job) }
        return jobs[best.number]
    }

    /// The client's least served search that may run.
    private mutating func choose(of client: Client, at index: LogIndex) -> UInt64? {
        var best: Ready?
        for ready in client.ready {
            if let best, best.slices <= ready.slices { continue }
            guard let job = jobs[ready.number] else { continue }
            if job.mustBeAdmitted, !job.isAdmitted, !mayAdmit(job, at: index) { continue }
            if !job.mustBeAdmitted, !job.isOnTrial, trials >= Searches.maximumTrials { continue }
            if job.mustBeLarge, !job.isLarge, large >= Searches.maximumLarge { continue }
            best = ready
        }
        return best?.number
    }

    mutating func begin(_ number: UInt64, as id: SearchID, in space: Space, at index: LogIndex) {
        running[id] = number
        guard var job = jobs[number] else { preconditionFailure("a search that is not here cannot begin") }
        if job.space == nil, !job.isOutcome {
            job.space = space
            job.index = index
        }
        if !job.isAdmitted, !job.isOnTrial {
            job.isOnTrial = true
            trials += 1
        }
        job.slices += 1
        job.slicesOfThisLife += 1
        if job.isRemoval { removalsUnderWay.insert(number) }
        jobs[number] = job
    }

    /// Takes in what a step of a DELETE has found.
    mutating func take(_ pairs: [Pair], from id: SearchID) {
        guard !pairs.isEmpty, let number = running[id] else { return }
        jobs[number]?.foundNow.append(contentsOf: pairs)
    }

    /// The step of a search is over.
    mutating func end(_ id: SearchID, work: UInt64) -> SearchJob? {
        guard let number = running.removeValue(forKey: id), let job = jobs[number] else { return nil }
        clients[job.client]?.attained += work
        return job
    }

    /// The search goes on in its turn.
    mutating func goOn(_ job: SearchJob) {
        jobs[job.number] = job
        makeReady(job)
    }

    /// It waits until there is credit.
    mutating func park(_ job: SearchJob, at now: Instant) {
        jobs[job.number] = job
        parked[job.number] = now
    }

    /// More of an answer may be sent.
    mutating func give(_ bytes: Int, to answer: Header) {
        guard let number = streams[Stream(answer)], var job = jobs[number] else { return }
        job.window = min(job.window + bytes, Searches.widestWindow)
        jobs[number] = job
        guard job.window > 0, parked.removeValue(forKey: number) != nil else { return }
        makeReady(job)
    }

    private static let widestWindow = 1 << 40

    // MARK: Admission

    mutating func mayAdmit(_ job: SearchJob, at index: LogIndex) -> Bool {
        guard clients[job.client]?.admitted ?? 0 < Searches.maximumAdmittedPerClient else { return false }
        var hasRoom = admitted < Searches.maximumAdmitted
        if job.isRemoval, removals >= Searches.maximumRemovals { return false }
        if job.holdsSnapshot, snapshots[index] == nil, snapshots.count >= Searches.maximumSnapshots { hasRoom = false }
        if !hasRoom { isCrowded = true }
        return hasRoom
    }

    /// - Parameter index: of its snapshot's state.
    mutating func admit(_ job: SearchJob, at index: LogIndex, _ now: Instant) {
        if jobs[job.number]?.isOnTrial == true { trials -= 1 }
        jobs[job.number]?.isOnTrial = false
        jobs[job.number]?.isAdmitted = true
        jobs[job.number]?.admittedAt = now
        jobs[job.number]?.mustBeAdmitted = true
        admitted += 1
        clients[job.client]?.admitted += 1
        if job.isRemoval { removals += 1 }
        if job.holdsSnapshot {
            snapshots[index, default: 0] += 1
            jobs[job.number]?.heldIndex = index
        }
        countWaiting(job, -1)
    }

    var mayBeLarge: Bool { large < Searches.maximumLarge }

    mutating func makeLarge(_ job: SearchJob) {
        jobs[job.number]?.isLarge = true
        large += 1
    }

    /// Takes back what a search has.
    private mutating func dismiss(_ job: SearchJob) {
        if job.isOnTrial { trials -= 1 }
        if job.isLarge { large -= 1 }
        guard job.isAdmitted else { return countWaiting(job, -1) }
        admitted -= 1
        clients[job.client]?.admitted -= 1
        if job.isRemoval { removals -= 1 }
        if let index = job.heldIndex, let count = snapshots[index] { snapshots[index] = count > 1 ? count - 1 : nil }
    }

    /// It begins anew when there is room for it.
    mutating func beginAnew(_ job: SearchJob, mustBeLarge: Bool) {
        dismiss(job)
        var job = job.anew
        job.mustBeLarge = job.mustBeLarge || mustBeLarge
        removalsUnderWay.remove(job.number)
        countWaiting(job, 1)
        goOn(job)
    }

    // MARK: Going

    /// It is over. Whoever waits for it has been unblocked.
    mutating func remove(_ number: UInt64) {
        guard let job = jobs.removeValue(forKey: number) else { return }
        precondition(!job.blocksSession, "requests would wait for a search that is over")
        dismiss(job)
        waitingBytes -= job.frame.payload.count
        parked[number] = nil
        removalsUnderWay.remove(number)
        if streams[Stream(job.frame.header)] == number { streams[Stream(job.frame.header)] = nil }
        clients[job.client]?.members.removeAll { $0 == number }
        clients[job.client]?.ready.removeAll { $0.number == number }
        if clients[job.client]?.members.isEmpty == true { clients[job.client] = nil }
    }

    /// Those of a client, in their order.
    func jobs(of client: SearchClient) -> [UInt64] { clients[client]?.members ?? [] }

    /// Under which identifier it runs, if it does.
    func runningID(of number: UInt64) -> SearchID? { running.first { $0.value == number }?.key }

    /// Parked since before `limit`, in their order.
    func parked(before limit: Instant) -> [UInt64] { parked.filter { $0.value < limit }.keys.sorted() }

    /// Those that are parked and hold the state that has been held longest, if that began before `limit`.
    func oldestHeld(before limit: Instant) -> [UInt64] {
        let old = parked.keys.compactMap { jobs[$0] }.filter { $0.admittedAt < limit }
        guard let oldest = old.min(by: { ($0.admittedAt, $0.number) < ($1.admittedAt, $1.number) }) else { return [] }
        guard let index = oldest.heldIndex else { return [oldest.number] }
        return old.filter { $0.heldIndex == index }.map(\.number).sorted()
    }

    /// Tells every DELETE that is under way what changes behind its back.
    mutating func note(_ effects: [Effect]) {
        for number in removalsUnderWay { jobs[number]?.note(effects) }
    }

    /// Changes a job that stays where it is.
    mutating func update(_ job: SearchJob) { jobs[job.number] = job }

    /// Stored outcomes that are on their way.
    var outcomes: [SearchJob] { jobs.values.filter(\.isOutcome).sorted { $0.number < $1.number } }

    /// Every request that is searched for, and what waits for it, each session's in its order.
    var requests: [Frame] {
        jobs.values.filter { !$0.isOutcome }.sorted { $0.number < $1.number }.flatMap { job in
            [job.frame] + (job.blocksSession ? blocked[job.frame.header.session]?.all ?? [] : [])
        }
    }

    /// - Returns: what does not hold, in words.
    func checkInvariants() -> [String] {
        var broken: [String] = []
        func require(_ condition: Bool, _ what: String) { if !condition { broken.append(what) } }
        let all = jobs.values
        require(admitted == all.count { $0.isAdmitted }, "admitted searches are miscounted")
        require(admitted <= Searches.maximumAdmitted, "too many searches are admitted")
        require(trials == all.count { $0.isOnTrial }, "searches on trial are miscounted")
        require(trials <= Searches.maximumTrials, "too many searches are on trial")
        require(removals == all.count { $0.isAdmitted && $0.isRemoval }, "admitted DELETEs are miscounted")
        require(large == all.count { $0.isLarge }, "searches of large expressions are miscounted")
        require(
            snapshots.values.reduce(0, +) == all.count { $0.heldIndex != nil }, "held states are miscounted")
        require(snapshots.count <= Searches.maximumSnapshots, "too many states are held")
        let payloads = all.reduce(0) { $0 + $1.frame.payload.count }
        require(
            waitingBytes == payloads + blocked.values.reduce(0) { $0 + $1.byteCount }, "waiting bytes are miscounted")
        let ready = clients.values.reduce(0) { $0 + $1.ready.count }
        require(ready + parked.count + running.count >= all.count, "a search is nowhere")
        require(all.count { $0.blocksSession } == blocked.count, "sessions wait for nothing")
        return broken
    }
}

/// Requests of a session that wait for its search.
struct BlockedRequests: Sendable {
    private var frames: [Frame] = []
    private var begin = 0
    private(set) var byteCount = 0

    var all: ArraySlice<Frame> { frames[begin...] }

    mutating func append(_ frame: Frame) {
        frames.append(frame)
        byteCount += frame.payload.count
    }

    mutating func next() -> Frame? {
        guard begin < frames.count else { return nil }
        begin += 1
        byteCount -= frames[begin - 1].payload.count
        return frames[begin - 1]
    }
}
