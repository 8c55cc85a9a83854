import TupleCore
import TupleStore
import WireProtocol

/// A search or a streamed answer, from its coming to its end.
struct SearchJob: Sendable {
    enum Kind: Sendable {
        case get(PacedSearch)
        case delete(PacedSearch)
        /// The outcome that is kept of a request. It is looked up for each step, so that a slow reader keeps none of it.
        case outcome(SessionID, RequestSequence, StoredAnswerCursor)
    }

    let number: UInt64
    let frame: Frame
    var kind: Kind
    /// As it was when it came.
    private let begin: Kind
    /// The state that is looked through.
    var space: Space?
    /// What the answer depends on.
    var index: LogIndex
    /// Payload bytes of the answer that may be sent.
    var window: Int
    /// Steps that were taken.
    var slices: UInt64 = 0
    /// The same since it began, or began anew.
    var slicesOfThisLife = 0
    var isOnTrial = false
    /// Its session's later requests wait.
    var blocksSession: Bool
    var mustBeAdmitted: Bool
    var isAdmitted = false
    var admittedAt = Instant(nanoseconds: 0)
    /// The log index of the state that it counts as holding.
    var heldIndex: LogIndex?
    var mustBeLarge = false
    var isLarge = false
    /// The client has left.
    var isOrphan = false

    // Of a DELETE.

    /// How often it was searched for.
    var rounds = 0
    /// Its matches so far, in key order.
    var found: [Pair] = []
    /// What the present round has found.
    var foundNow: [Pair] = []
    /// Keys that updates have touched since the snapshot that is being looked through.
    var changed: Set<Tuple> = []
    var changedBytes = 0
    /// The keys that are being looked at; nil where it is all of them.
    var keys: Set<Tuple>?
    /// The same for the thread that looks.
    var keysToLookAt: SearchedKeys?
    /// All is found, and is made ready for the log.
    var isPreparing = false

    init(number: UInt64, frame: Frame, kind: Kind, window: Int, index: LogIndex) {
        self.number = number
        self.frame = frame
        self.kind = kind
        begin = kind
        self.window = window
        self.index = index
        if case .outcome = kind {
            blocksSession = false
            mustBeAdmitted = true
        } else {
            blocksSession = true
            mustBeAdmitted = false
        }
    }

    var client: SearchClient { SearchClient(frame.header) }
    var isRemoval: Bool { if case .delete = kind { true } else { false } }
    var isOutcome: Bool { if case .outcome = kind { true } else { false } }
    /// Whether it looks through one state for as long as its client reads.
    var holdsSnapshot: Bool { if case .get = kind { true } else { false } }
    /// Whether it may go on without being admitted.
    var mayStayOnTrial: Bool {
        isOnTrial && slicesOfThisLife < Searches.slicesOnTrial && !isPreparing
            && (!isRemoval || search?.cursor.foundBytes ?? 0 <= Searches.maximumFoundOnTrial)
    }
    var isWindowUsedUp: Bool { !isRemoval && window <= 0 }

    /// The search that is made; nil where there is none.
    var search: PacedSearch? {
        switch kind {
        case .get(let search), .delete(let search): search
        case .outcome: nil
        }
    }

    var expressions: Search? {
        if case .read(let search) = search?.question { search } else { nil }
    }

    /// The same as it came. What was sent of its answer is void: the next frame begins the answer.
    var anew: SearchJob {
        var job = SearchJob(number: number, frame: frame, kind: begin, window: window, index: index)
        job.slices = slices
        job.blocksSession = blocksSession
        job.mustBeAdmitted = true
        job.mustBeLarge = mustBeLarge
        job.isOrphan = isOrphan
        return job
    }

    // MARK: What changes behind a DELETE's back

    var hasLostTrack: Bool { changedBytes > Searches.maximumChangedBytes }

    mutating func note(_ effects: [Effect]) {
        guard !hasLostTrack else { return }
        let search = expressions
        for effect in effects where search?.mayMatch(effect.key) != false {
            if changed.insert(effect.key).inserted { changedBytes += effect.key.packed.count }
        }
        if hasLostTrack { changed = [] }
    }

    /// Keys that changed while the expressions were not compiled yet, and cannot match, need no look.
    mutating func forgetWhatCannotMatch() {
        guard let search = expressions else { return }
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

    /// Looks again, at the keys that have changed or at all.
    mutating func beginRound() {
        changed = []
        changedBytes = 0
        foundNow = []
        space = nil
        keysToLookAt = keys.map { .unsorted($0) }
        guard case .delete(var search) = kind else { return }
        search.cursor.restart(work: Search.Work.request)
        kind = .delete(search)
    }

    /// Takes in what a step has come to.
    mutating func take(_ outcome: SearchOutcome) {
        switch kind {
        case .get(let search): kind = .get(outcome.search ?? search)
        case .delete(let search): kind = .delete(outcome.search ?? search)
        case .outcome(let session, let sequence, let cursor):
            kind = .outcome(session, sequence, outcome.stored ?? cursor)
        }
        if let keys = outcome.keys { keysToLookAt = keys }
        // What a frame has beyond the window is not owed: one item can be larger than all the credit that a proxy gives.
        window = max(0, window - outcome.chunks.reduce(0) { $0 + $1.count })
    }

    var foundBytes: Int { found.reduce(0) { $0 + $1.byteCount } }
}
