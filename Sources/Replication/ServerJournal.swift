package import Journal
package import TupleCore
package import TupleStore

/// What a server's journal needs of the process that it is part of: time, and other threads for what blocks.
package protocol JournalProcess: AnyObject {
    /// By the monotonic clock.
    var now: Instant { get }

    /// Calls `body` on the loop, once or again and again, for as long as the process lives.
    func after(_ duration: Duration, _ body: @escaping () -> Void)
    func every(_ duration: Duration, _ body: @escaping () -> Void)

    /// Runs `work` beside the loop, after what the same lane was given before, then `then` on the loop.
    func perform<T: Sendable>(
        _ lane: DiskLane, _ work: @escaping @Sendable () -> T, then: @escaping (T) -> Void)

    /// Does `work`, for which the loop has to wait; who can tell the operator that the disk does not answer does.
    ///
    /// - Parameter isKnown: the operator knows it already.
    func waiting<T, E: Error>(isKnown: Bool, _ work: () throws(E) -> T) throws(E) -> T
}

/// A line of disk work that is done in order; the lanes do not wait for each other.
package enum DiskLane: Hashable, Sendable, CaseIterable {
    /// Groups of entries, and what must not run beside them.
    case commits
    /// Segments made ahead.
    case spares
    /// Snapshots.
    case bulk
    /// What is read for followers.
    case reads
}

/// A server's durable copy: journal, snapshots and the last switch record it saw, in its data directory.
///
/// Entries are collected while the loop hands out events, written and synced once an iteration on a thread of their own;
/// how far the log is durable comes back by `onDurable`. Nothing here waits for the disk on the loop's thread but
/// ``remember(_:)``, which is rare: what has no place yet waits in memory, and how things stand is told by `onDisk`.
package final class ServerJournal {
    /// How much log is written before the state is put into a snapshot, at least: a large space waits for twice as much
    /// log as it has bytes itself, which is about as many pairs. A restart need not read more.
    package static let snapshotEveryBytes = 64 * 1_048_576
    /// How long after the disk was found full it is tried again.
    static let retryInterval = Duration.milliseconds(500)
    /// A write or sync that takes longer than this counts as one that hangs.
    package static let patience = Duration.seconds(3)
    /// A write that is not synced goes to the system's memory, which takes less time than telling another thread of it.
    /// Where one took longer than this all the same, …
    static let longestWrite = Duration.milliseconds(10)
    /// … the next ones are left to the thread for so long: the loop must not wait for a disk.
    static let slowness = Duration.seconds(1)
    static let maximumBytesOnTheSpot = 262_144
    /// How much log is kept for a follower that takes a snapshot or reads, beyond what is kept anyway.
    package static let maximumPinnedBytes = 8 << 30

    package var onDurable: ((LogIndex) -> Void)?
    package var onInstalled: ((LogPosition) -> Void)?
    package var onDisk: ((DiskCondition) -> Void)?
    package var onRead: ((PeerID, JournalRun) -> Void)?
    /// A file was found damaged, or is mended: its name and what was found.
    package var onDamage: ((String, String) -> Void)?
    package var onMended: ((String) -> Void)?
    /// Something went wrong that does no harm yet: the event's name, and what happened in words.
    package var onWarning: ((String, String) -> Void)?
    package var onRewound: ((ReplicatedState?) -> Void)?
    /// The disk cannot be trusted any more: what happened, in words. The server must end.
    package var onFailure: ((String) -> Void)?

    let process: any JournalProcess
    let storage: any Storage
    private let policy: SyncPolicy
    private let snapshotEveryBytes: Int
    private let pinnedBytes: Int
    let scrubInterval: Duration
    package private(set) var writer: JournalWriter
    var member: DurableRecord
    private var mark: DurableRecord

    /// Entries that the writer has not taken in, because the next segment is not there.
    private var queue: [JournalEntry] = []
    private var queueBegin = 0
    private var isGroupUnderWay = false
    private var groupBegan = Instant(nanoseconds: 0)
    private var writesElsewhereUntil = Instant(nanoseconds: .min / 2)
    private var isSyncDue = false
    private var isHanging = false
    /// What there is too little of, while there is.
    private var shortage: String?
    private var isFull: Bool { shortage != nil }
    private var isMakingSpare = false
    private var spareBegan = Instant(nanoseconds: 0)
    private var told = DiskCondition.well

    var bytesSinceSnapshot = 0
    var snapshot: LogPosition
    /// What goes on of the scrub, and what it found.
    var scrub = ScrubState()
    var isSnapshotting = false
    private var neededAfter: LogIndex?
    /// What takes the place of the log, once nothing else is under way.
    private var replacement: Replacement?
    private var isReplacing = false
    private var cursors: [PeerID: LogCursor] = [:]

    private enum Replacement {
        case install(ReplicatedState)
        case rewind(LogPosition)
    }

    /// - Parameters:
    ///   - copy: what the directory held.
    ///   - snapshotEveryBytes: how much log is written between two snapshots.
    ///   - pinnedBytes: how much log is kept for a follower that is going to need it, at most.
    ///   - scrubInterval: how long the files are left alone between two passes of the scrub.
    ///   - process: calls what it was given on the loop that this journal belongs to.
    package init(
        _ copy: DurableCopy, storage: any Storage, policy: SyncPolicy,
        snapshotEveryBytes: Int = ServerJournal.snapshotEveryBytes,
        pinnedBytes: Int = ServerJournal.maximumPinnedBytes, scrubInterval: Duration,
        on process: any JournalProcess
    ) {
        self.scrubInterval = scrubInterval
        self.process = process
        self.storage = storage
        self.policy = policy
        self.snapshotEveryBytes = snapshotEveryBytes
        self.pinnedBytes = pinnedBytes
        writer = copy.writer
        member = copy.member
        mark = copy.mark
        bytesSinceSnapshot = copy.logBytes
        snapshot = copy.snapshot
        if case .interval(let interval) = policy {
            process.every(interval) { [weak self] in
                self?.isSyncDue = true
                self?.pump()
            }
        }
        process.every(Self.retryInterval) { [weak self] in self?.look() }
        process.after(scrubInterval) { [weak self] in self?.scrubOn() }
    }

    /// Keeps the record durably; returns when that is done.
    package func remember(_ record: SwitchRecord) {
        attempt { () throws(JournalError) in
            try process.waiting(isKnown: told != .well) { () throws(JournalError) in
                try DurableCopy.write(record, to: &member)
            }
        }
    }

    /// Keeps durably whether the copy is known to be wrong; returns when that is done.
    package func markCopy(isSuspect: Bool) {
        attempt { () throws(JournalError) in
            try process.waiting(isKnown: told != .well) { () throws(JournalError) in
                try DurableCopy.write(isSuspect: isSuspect, to: &mark)
            }
        }
    }

    // MARK: Entries

    /// Takes entries in; they are written by the next ``flush(_:neededAfter:)``.
    package func append(_ entries: [JournalEntry]) {
        queue += entries
        for entry in entries { bytesSinceSnapshot += entry.bytes.count }
    }

    /// Writes what has come in since the last call, and lets it become durable.
    ///
    /// - Parameters:
    ///   - state: the state that all entries so far have made; kept for a snapshot when it is time for one.
    ///   - neededAfter: the log is kept from the entry after this one on.
    package func flush(_ state: ReplicatedState, neededAfter: LogIndex?) {
        self.neededAfter = neededAfter
        pump()
        // A large space is not written anew for a little log: that would be most of the writing.
        if bytesSinceSnapshot >= max(snapshotEveryBytes, 2 * state.space.map.byteCount) || mayMend {
            takeSnapshot(of: state)
        }
    }

    /// Lets go on what can.
    private func pump() {
        guard replacement == nil, !isReplacing else {
            replace()
            return
        }
        takeIn()
        keepSpare()
        beginGroup()
        tell()
    }

    private func takeIn() {
        attempt { () throws(JournalError) in
            while queueBegin < queue.count, writer.hasRoom(forPayloadBytes: queue[queueBegin].bytes.count) {
                let bytes = queue[queueBegin].bytes
                let payload = bytes.span
                try writer.append(queue[queueBegin].position, payload: payload.bytes)
                queue[queueBegin].bytes = []
                queueBegin += 1
            }
        }
        if queueBegin == queue.count {
            queue.removeAll(keepingCapacity: true)
            queueBegin = 0
        }
    }

    private func beginGroup() {
        guard !isGroupUnderWay else { return }
        let found = attempt { () throws(JournalError) -> SyncRequest? in
            switch policy {
            case .always: try writer.beginSync()
            case .interval: isSyncDue ? try writer.beginSync() : try writer.beginWrite()
            case .never: try writer.beginWrite()
            }
        }
        guard let request = found ?? nil else { return }
        isSyncDue = false
        isGroupUnderWay = true
        groupBegan = process.now
        if !request.isSyncing, request.byteCount <= Self.maximumBytesOnTheSpot, groupBegan >= writesElsewhereUntil {
            let result = request.perform()
            let now = process.now
            if now.duration(since: groupBegan) > Self.longestWrite {
                writesElsewhereUntil = now.advanced(by: Self.slowness)
            }
            groupEnded(result)
            return
        }
        process.perform(.commits, { request.perform() }) { [weak self] result in self?.groupEnded(result) }
    }

    private func groupEnded(_ result: SyncResult) {
        isGroupUnderWay = false
        isHanging = false
        guard let durable = attempt({ () throws(JournalError) in try writer.completeSync(result) }) else { return }
        onDurable?(policy == .always ? durable.index : writer.written.index)
        pump()
    }

    /// Has the next segment zeroed before it is needed, so that no entry waits for that.
    func keepSpare(isRetry: Bool = false) {
        guard !isMakingSpare, isRetry || !isFull else { return }
        let next = queueBegin < queue.count ? queue[queueBegin].bytes.count : 0
        let found = attempt { () throws(JournalError) in try writer.beginSpare(forPayloadBytes: next) }
        guard let request = found ?? nil else { return }
        isMakingSpare = true
        spareBegan = process.now
        process.perform(.spares, { request.perform() }) { [weak self] result in
            guard let self else { return }
            self.isMakingSpare = false
            do throws(JournalError) {
                try self.writer.completeSpare(result)
                self.shortage = nil
            } catch {
                guard let shortage = error.shortage else {
                    self.onFailure?("\(error)")
                    return
                }
                self.shortage = shortage
                self.release(retaining: 0)
            }
            self.pump()
        }
    }

    /// What time alone brings: a full disk may have room again, and a disk that does not answer has to be told of.
    private func look() {
        if isGroupUnderWay, process.now.duration(since: groupBegan) > Self.patience { isHanging = true }
        if isMakingSpare, queueBegin < queue.count, process.now.duration(since: spareBegan) > Self.patience {
            isHanging = true
        }
        if isFull { keepSpare(isRetry: true) }
        pump()
        finishMending()
    }

    private func tell() {
        var condition = DiskCondition.well
        if let shortage {
            condition = queueBegin < queue.count ? .stuck("it is full: \(shortage)") : .full(shortage)
        }
        if isHanging { condition = .stuck("a write or sync has not ended for \(Self.patience.wholeMilliseconds) ms") }
        guard condition != told else { return }
        told = condition
        onDisk?(condition)
    }

    // MARK: Snapshots

    /// - Returns: also what is left of the snapshots before it.
    private static func write(_ state: ReplicatedState, to storage: any Storage) -> Result<StorageError?, JournalError>
    {
        do throws(JournalError) { return .success(try DurableCopy.write(state, to: storage)) } catch {
            return .failure(error)
        }
    }

    private func takeSnapshot(of state: ReplicatedState) {
        guard !isSnapshotting, replacement == nil, !isReplacing else { return }
        isSnapshotting = true
        bytesSinceSnapshot = 0
        let storage = storage
        process.perform(.bulk, { Self.write(state, to: storage) }) { [weak self] result in
            guard let self else { return }
            self.isSnapshotting = false
            switch result {
            case .success(let leftover):
                if let leftover { self.tellUntidied(leftover) }
                self.snapshot = state.position
                self.release(retaining: nil)
                self.noteSnapshot()
            case .failure(let error) where error.shortage != nil:
                // The log goes on without it; the next one is taken when as much again has been written.
                self.onWarning?("not-snapshotted", "\(error)")
            case .failure(let error):
                self.onFailure?("\(error)")
                return
            }
            self.pump()
        }
    }

    /// Drops log that the snapshot covers, but for what is kept for followers.
    func release(retaining bytes: Int?) {
        var covered = snapshot.index
        if let neededAfter, !isFull, scrub.damaged.isEmpty, writer.bytes(after: neededAfter) <= pinnedBytes {
            covered = min(covered, neededAfter)
        }
        guard let removal = writer.releaseSegments(coveredBy: covered, retaining: bytes) else { return }
        remove(removal)
    }

    /// Files that stay behind cost room, no more: recovery takes them.
    private func remove(_ removal: RemovalRequest) { tidy { () throws(StorageError) in try removal.perform() } }

    /// Does what may fail, but not unsaid.
    func tidy(_ work: @escaping @Sendable () throws(StorageError) -> Void) {
        process.perform(
            .bulk,
            { () -> StorageError? in
                do throws(StorageError) { try work() } catch { return error }
                return nil
            }
        ) { [weak self] error in
            if let error { self?.tellUntidied(error) }
        }
    }

    private func tellUntidied(_ error: StorageError) { onWarning?("not-tidied", "\(error)") }

    // MARK: Another log in place of this one

    /// Makes `state`, which a peer has sent, the beginning of the journal.
    package func install(_ state: ReplicatedState) { begin(.install(state)) }

    /// Drops all entries after `position`.
    package func rewind(to position: LogPosition) { begin(.rewind(position)) }

    private func begin(_ replacement: Replacement) {
        self.replacement = replacement
        queue = []
        queueBegin = 0
        cursors = [:]
        pump()
    }

    private func replace() {
        guard let replacement, !isReplacing, !isSnapshotting, !isGroupUnderWay else { return }
        isReplacing = true
        self.replacement = nil
        switch replacement {
        case .install(let state): carryOutInstall(state)
        case .rewind(let position): carryOutRewind(position)
        }
    }

    private func carryOutInstall(_ state: ReplicatedState) {
        let storage = storage
        let found = attempt { () throws(JournalError) in try writer.beginReset(to: state.position) }
        guard let reset = found else { return }
        process.perform(
            .bulk,
            { () -> (Result<StorageError?, JournalError>, ResetResult?) in
                let written = Self.write(state, to: storage)
                guard case .success = written else { return (written, nil) }
                return (written, reset.perform())
            }
        ) { [weak self] written, result in
            guard let self else { return }
            self.isReplacing = false
            do throws(JournalError) {
                if let leftover = try written.get() { self.tellUntidied(leftover) }
                guard let result else { return }
                let removal = try self.writer.completeReset(result)
                self.remove(removal)
                self.bytesSinceSnapshot = 0
                self.snapshot = state.position
                self.noteReplacement()
                self.onInstalled?(state.position)
                self.pump()
            } catch {
                guard let shortage = error.shortage else {
                    self.onFailure?("\(error)")
                    return
                }
                self.shortage = shortage
                self.tell()
                // Another attempt with every look at the disk.
                self.process.after(Self.retryInterval) { [weak self] in self?.begin(.install(state)) }
            }
        }
    }

    /// Reads the state at `position` from the directory, then cuts the log there.
    private func carryOutRewind(_ position: LogPosition) {
        let found: Void? = attempt { () throws(JournalError) in
            // What was taken in and not written is among what is dropped, but files have to be as the writer says.
            guard let request = try writer.beginWrite() else { return }
            try writer.completeSync(request.perform())
        }
        guard found != nil else { return }
        let base = snapshot
        guard base.index <= position.index, var cursor = writer.cursor(after: base),
            let truncation = try? writer.beginTruncation(after: position)
        else {
            endRewind(nil)
            return
        }
        cursor.stop(at: position.index)
        let (storage, start) = (storage, cursor)
        let rule = ruleOfEmptyState
        let tail = writer.cursor(after: position)
        process.perform(
            .bulk,
            { () -> (ReplicatedState, ResetResult, CutTail.Outcome?)? in
                var cursor = start
                do throws(JournalError) {
                    var state = ReplicatedState(rule: rule)
                    if base != .zero {
                        var snapshot = try SnapshotReader(storage: storage, position: base)
                        state = try DurableCopy.read(&snapshot)
                    }
                    _ = try DurableCopy.apply(&cursor, to: &state)
                    guard state.position == position else { return nil }
                    let kept = tail.map { CutTail.keep($0, in: storage) }
                    return (state, truncation.perform(), kept)
                } catch { return nil }
            }
        ) { [weak self] result in
            guard let self else { return }
            guard let (state, truncated, kept) = result else {
                self.endRewind(nil)
                return
            }
            if let kept { self.onWarning?("tail-cut", "\(kept)") }
            do throws(JournalError) {
                let removal = try self.writer.completeTruncation(truncated)
                self.remove(removal)
                self.endRewind(state)
            } catch {
                if error.shortage != nil { self.endRewind(nil) } else { self.onFailure?("\(error)") }
            }
        }
    }

    /// The rule of a space of which there is no snapshot yet.
    package var ruleOfEmptyState = ElementRule.alphanumeric

    private func endRewind(_ state: ReplicatedState?) {
        isReplacing = false
        onRewound?(state)
        pump()
    }

    // MARK: Reading for followers

    /// Reads about so many bytes of what follows `position`.
    package func read(for peer: PeerID, after position: LogPosition, bytes: Int) {
        guard let start = cursor(for: peer, after: position) else {
            let common = writer.lastCommonPosition(with: position)
            process.after(.zero) { [weak self] in self?.onRead?(peer, .lacking(common: common)) }
            return
        }
        process.perform(
            .reads,
            { () -> (LogCursor, JournalRun, JournalError?) in
                var cursor = start
                var entries: [JournalEntry] = []
                var left = bytes
                do throws(JournalError) {
                    while left > 0, let record = try cursor.next() {
                        left -= record.payload.count + 64
                        entries.append(JournalEntry(position: record.position, bytes: record.payload[...]))
                    }
                } catch { return (cursor, .lacking(common: nil), error) }
                return (cursor, .entries(entries), nil)
            }
        ) { [weak self] cursor, run, failure in
            guard let self else { return }
            if case .corrupt(let finding)? = failure { self.found(damage: "\(finding)", in: finding.file) }
            self.cursors[peer] = cursor
            self.onRead?(peer, run)
        }
    }

    private func cursor(for peer: PeerID, after position: LogPosition) -> LogCursor? {
        if var known = cursors.removeValue(forKey: peer), known.position == position {
            do throws(JournalError) {
                try writer.refresh(&known)
                return known
            } catch {
                // Entries under it were truncated or removed: a new one is looked for.
            }
        }
        // Those of peers that have left.
        if cursors.count > 8 { cursors = [:] }
        return writer.cursor(after: position)
    }

    // MARK: The end

    /// Syncs what is written; for the end of the process.
    package func close() {
        guard !isGroupUnderWay, !isReplacing, replacement == nil, !isHanging else { return }
        takeIn()
        attempt { () throws(JournalError) in try writer.close() }
    }

    @discardableResult
    func attempt<T>(_ work: () throws(JournalError) -> T) -> T? {
        do throws(JournalError) { return try work() } catch {
            onFailure?("\(error)")
            return nil
        }
    }
}
