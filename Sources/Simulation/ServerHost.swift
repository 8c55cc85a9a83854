package import Journal
package import Replication
import TupleCore
import TupleStore
import WireProtocol

/// A server's machine: its disk, and the process, which is driven as `ServerProcess` of the runtime drives the replica.
package final class ServerHost {
    unowned let world: World
    /// The machine's name, which stories use; the server's own is in the settings.
    package let machine: String
    package let place: Place
    package let settings: ReplicaSettings
    let diskSettings: DiskSettings
    var storage = FaultyStorage()

    /// The process, while there is one.
    package private(set) var replica: Replica?
    private var journal: ServerJournal?
    /// Counts the processes, so that what was meant for an earlier one is known.
    private(set) var life = 0
    private var starts: UInt64 = 0
    var standstill = Standstill()
    /// Without power nobody answers, not even to refuse.
    package private(set) var isOff = false
    /// How the last process ended by itself.
    package private(set) var ended: Ending?

    /// While set, nothing becomes durable.
    package var isDiskHeld = false { didSet { if !isDiskHeld { releaseDisk() } } }
    /// While set, no search ends.
    package var areSearchesHeld = false {
        didSet {
            guard !areSearchesHeld else { return }
            let late = heldSearches
            heldSearches = []
            for body in late { world.schedule(.call(body), after: 0) }
        }
    }
    private var heldSearches: [() -> Void] = []
    private var searches: [SearchID: Cancellation] = [:]
    /// A disk this much slower than others.
    package var diskSlowness: Int64 = 1
    /// How much faster the monotonic clock runs, in millionths.
    private var driftMillionths: Int64 = 0
    private var clockOffset: Int64 = 0
    /// How far the wall clock is off.
    package var wallOffsetMilliseconds: Int64 = 0

    var proxyEnd: LinkEnd?
    var peers: [PeerID: LinkEnd] = [:]
    var dialing: Set<PeerID> = []

    private var waiting: [Replication.Event] = []
    private var pending: ArraySlice<Action> = []
    private var isStepping = false
    private var needsFlush = false
    private var isTurnScheduled = false
    private var isEnding = false
    private var held: [() -> Void] = []

    // What the watch must know of the disk.
    /// The log is durable up to here.
    private(set) var durable = LogPosition.zero
    /// Whether the disk holds what is known to be durable: not after it was replaced or damaged.
    package var isDamaged = false
    /// Whether a changed bit has cost it its last entries, which nobody can tell from a write that was cut short.
    package private(set) var hasLostTail = false
    /// Where the log will begin or end that is to take the place of the present one.
    private var replacing: LogPosition?
    /// The last entry that was handed to the journal.
    private var lastAppended = LogPosition.zero
    /// Up to where the disk held the log before it was replaced by an older copy; nil where it was not, or does again.
    private var lostUpTo: LogPosition?
    /// Whether it lacks what was known to be durable because its directory is an older copy.
    package var isStale: Bool { lostUpTo != nil }
    /// Whether its directory is another server's.
    private(set) var isOnForeignDirectory = false
    /// Whether nothing was ever made durable on it.
    package private(set) var isBlank = true
    /// The switch's record on it, as it was written last.
    private(set) var remembered: SwitchRecord?
    /// Whether it holds no copy that may serve.
    var isSpoiled: Bool { isBlank || isDamaged }

    static let reconnectDelay = Duration.milliseconds(50)
    static let connectTimeout = Duration.milliseconds(1_000)

    init(_ world: World, machine: String, number: Int, settings: ReplicaSettings, disk: DiskSettings) {
        self.world = world
        self.machine = machine
        place = .server(number)
        self.settings = settings
        diskSettings = disk
    }

    package var isFrozen: Bool { standstill.isFrozen }
    package var runs: Bool { replica != nil && !isFrozen }
    package var isUp: Bool { replica != nil }
    package var role: String { replica?.status.role ?? "down" }
    package var state: String { replica?.status.state ?? "down" }

    var moment: Moment {
        Moment(
            instant: localTime(world.now),
            wallMilliseconds: World.wallBegin + world.now.nanoseconds / 1_000_000 + wallOffsetMilliseconds)
    }

    private func localTime(_ time: Instant) -> Instant {
        Instant(nanoseconds: time.nanoseconds + time.nanoseconds / 1_000_000 * driftMillionths + clockOffset)
    }

    // MARK: Life

    /// Starts a process on what the disk holds.
    package func start() {
        precondition(replica == nil, "\(machine) runs already")
        isOff = false
        ended = nil
        standstill = Standstill()
        isEnding = false
        life += 1
        do throws(JournalError) {
            let copy = try DurableCopy.open(
                storage: storage, rule: settings.rule,
                settings: JournalSettings(
                    segmentBytes: diskSettings.segmentBytes, retainedLogBytes: diskSettings.retainedLogBytes,
                    syncPolicy: .always),
                start: DirectoryStart(name: settings.name, life: nextLife()))
            guard !storage.hasDied else { return died() }
            if isOnForeignDirectory { world.violate("\(machine) starts on another server's directory") }
            tell(copy)
            durable = copy.state.position
            remembered = copy.record
            lastAppended = durable
            replacing = nil
            let journal = ServerJournal(
                copy, storage: storage, policy: .always, snapshotEveryBytes: diskSettings.snapshotEveryBytes,
                pinnedBytes: diskSettings.pinnedBytes, scrubInterval: diskSettings.scrubInterval, on: HostProcess(self))
            journal.ruleOfEmptyState = copy.record?.rule ?? settings.rule
            connect(journal)
            self.journal = journal
            replica = Replica(
                settings: settings, state: copy.state, record: copy.record, isSuspect: copy.isSuspect,
                lineage: copy.lineage, at: moment)
        } catch {
            guard !storage.hasDied else { return died() }
            if case .notOurs = error, isOnForeignDirectory { return refuseDirectory("\(error)") }
            world.tell("\(machine) does not start: \(error)")
            if !isDamaged { world.violate("\(machine) refuses a disk that nothing has damaged: \(error)") }
            storage.disk.crash(.nothing)
            ended = .failed("\(error)")
            return
        }
        world.tell("\(machine) starts at \(replica?.state.position.index.number ?? 0)")
        scheduleTick()
        connectToProxy()
    }

    private func refuseDirectory(_ reason: String) {
        world.tell("\(machine) does not start: \(reason)")
        storage.disk.crash(.nothing)
        ended = .failed(reason)
    }

    /// Differs from those of all servers' starts.
    private func nextLife() -> UInt64 {
        starts += 1
        guard case .server(let number) = place else { preconditionFailure("a server has a server's place") }
        return UInt64(number + 1) << 32 | starts
    }

    /// Says what recovery met, and holds it against what is known of the disk.
    private func tell(_ copy: DurableCopy) {
        for damage in copy.damage { world.tell("\(machine) ALERT corruption \(damage)") }
        for mended in copy.mended { world.tell("\(machine) mended \(mended)") }
        for warning in copy.warnings { world.tell("\(machine) recovers: \(warning)") }
        if !copy.damage.isEmpty, !isDamaged {
            world.violate("\(machine) finds its disk damaged, which nothing has damaged: \(copy.damage)")
        }
        guard !copy.isSuspect else { return }
        let end = copy.state.position
        let isWhole =
            world.watch.holds(end, durable) || replacing.map { world.watch.holds(end, $0) } ?? false
        if isWhole {
            isDamaged = false
        } else if isDamaged {
            // A changed bit in the very last record looks like a write that was cut short.
            world.tell("\(machine) has lost its last entries to a changed bit")
            hasLostTail = true
        } else {
            world.violate("\(machine) had entry \(durable.story) on its disk, and recovered only \(end.story)")
        }
    }

    private func connect(_ journal: ServerJournal) {
        journal.onDurable = { [unowned self, unowned journal] in
            becameDurable(journal.writer.durable)
            happened(.durable($0))
        }
        journal.onInstalled = { [unowned self] in
            installed($0)
            happened(.snapshotInstalled($0))
        }
        journal.onDisk = { [unowned self] in happened(.disk($0)) }
        journal.onRead = { [unowned self] in happened(.journalRead($0, $1)) }
        journal.onRewound = { [unowned self, unowned journal] in
            if let position = $0?.position { becameDurable(position) }
            // It may have come to nothing: then the log is what it was.
            lastAppended = journal.writer.written
            replacing = nil
            happened(.rewound($0))
        }
        journal.onDamage = { [unowned self] file, what in
            world.tell("\(machine) ALERT corruption file=\(file) reason=\(what)")
        }
        journal.onMended = { [unowned self] in world.tell("\(machine) ALERT repaired file=\($0)") }
        journal.onWarning = { [unowned self] in world.tell("\(machine) WARN \($0) reason=\($1)") }
        journal.onFailure = { [unowned self] in journalFailed($0) }
    }

    /// kill -9: what was not handed to the operating system is gone, connections close.
    package func crash(_ loss: InMemoryStorage.Loss = .nothing) {
        world.tell("\(machine) crashes")
        leave(loss)
        isOff = false
    }

    /// The machine loses power: connections just fall silent, and what was not synced may be gone.
    package func losePower(_ loss: InMemoryStorage.Loss) {
        world.tell("\(machine) loses power")
        let ends = allEnds
        leave(loss, closing: false)
        isOff = true
        for end in ends { world.vanish(end) }
    }

    private var allEnds: [LinkEnd] {
        (proxyEnd.map { [$0] } ?? []) + peers.sorted { $0.key.number < $1.key.number }.map(\.value)
    }

    private func leave(_ loss: InMemoryStorage.Loss, closing: Bool = true) {
        if closing { for end in allEnds { world.close(end) } }
        proxyEnd = nil
        peers = [:]
        dialing = []
        life += 1
        replica = nil
        forget(journal)
        journal = nil
        waiting = []
        pending = []
        isStepping = false
        needsFlush = false
        isTurnScheduled = false
        standstill = Standstill()
        held = []
        heldSearches = []
        searches = [:]
        storage.mend()
        storage.disk.crash(loss)
        world.kick()
    }

    /// The world ends: what refers to this, and is referred to by it, is let go.
    func dissolve() {
        forget(journal)
        journal = nil
        replica = nil
        standstill = Standstill()
        held = []
        heldSearches = []
        proxyEnd = nil
        peers = [:]
    }

    /// What is still under way must not come back to the next process.
    private func forget(_ journal: ServerJournal?) {
        journal?.onDurable = nil
        journal?.onInstalled = nil
        journal?.onDisk = nil
        journal?.onRead = nil
        journal?.onRewound = nil
        journal?.onDamage = nil
        journal?.onMended = nil
        journal?.onWarning = nil
        journal?.onFailure = nil
    }

    /// The process died in the middle of a call to the disk.
    private func died() {
        world.tell("\(machine) dies in the middle of writing")
        leave(world.random.once(in: 2) ? .nothing : .unsynced(seed: world.random.next()))
    }

    /// SIGSTOP: connections stand; nothing is read, written or timed.
    package func freeze() {
        guard standstill.freeze() else { return }
        world.tell("\(machine) freezes")
    }

    package func thaw() {
        guard let late = standstill.thaw() else { return }
        world.tell("\(machine) wakes up")
        for body in late { world.schedule(.call(body), after: 0) }
        drain()
        world.kick()
    }

    /// The process stops after so many more actions: it dies, or freezes in the middle of a step.
    package func stop(afterActions count: Int, byFreezing: Bool) {
        standstill.stop(afterActions: count, byFreezing: byFreezing)
    }

    /// The process dies after so many more calls to the disk.
    package func die(afterDiskCalls count: Int, lastCounts: Bool) {
        storage.dieAfter(calls: count, lastCounts: lastCounts)
    }

    /// The data directory is moved away.
    package func wipe() {
        precondition(replica == nil, "\(machine) runs")
        world.tell("\(machine) gets a new disk")
        storage = FaultyStorage()
        durable = .zero
        lostUpTo = nil
        isDamaged = false
        hasLostTail = false
        isBlank = true
        remembered = nil
    }

    /// What a backup of the directory of a server that is down has.
    package struct DirectoryCopy {
        fileprivate var disk: InMemoryStorage
        fileprivate var durable: LogPosition
        /// How often the server had been started.
        package var starts: UInt64
    }

    package func copyDirectory() -> DirectoryCopy {
        precondition(replica == nil, "\(machine) runs")
        return DirectoryCopy(disk: storage.disk.copy(), durable: durable, starts: starts)
    }

    /// The directory is replaced by a copy of what it was earlier.
    package func putBack(_ copy: DirectoryCopy) {
        precondition(replica == nil, "\(machine) runs")
        world.tell("\(machine) gets an older copy of its directory, up to \(copy.durable.story)")
        lostUpTo = durable
        storage = FaultyStorage(disk: copy.disk)
        durable = copy.durable
    }

    /// Two machines have each other's directory.
    package func exchangeDirectory(with other: ServerHost) {
        precondition(replica == nil && other.replica == nil, "\(machine) or \(other.machine) runs")
        world.tell("\(machine) and \(other.machine) exchange their directories")
        swap(&storage, &other.storage)
        isOnForeignDirectory.toggle()
        other.isOnForeignDirectory.toggle()
    }

    /// Whether the start before the last one is on the switch's record: then an older copy can be told from the directory.
    func isRecorded(since copy: DirectoryCopy, in record: SwitchRecord) -> Bool {
        guard let known = record.incarnations[settings.name] else { return false }
        return known.life & 0xFFFF_FFFF > copy.starts
    }

    /// Changes how fast the clock runs; it does not jump.
    package func setDrift(_ millionths: Int64) {
        let before = localTime(world.now)
        driftMillionths = millionths
        clockOffset += before.nanoseconds - localTime(world.now).nanoseconds
    }

    // MARK: Events and actions

    func happened(_ event: Replication.Event) {
        guard replica != nil, !isEnding else { return }
        waiting.append(event)
        needsFlush = true
        drain()
        endTurnSoon()
    }

    private func drain() {
        guard !isStepping else { return }
        isStepping = true
        let life = life
        while self.life == life, !isFrozen, replica != nil {
            if !pending.isEmpty {
                let verdict = standstill.beforeAction()
                guard verdict == .goesOn else {
                    if verdict == .freezes { freeze() } else { crash() }
                    break
                }
                carryOut(pending.removeFirst())
                if storage.hasDied, self.life == life { died() }
            } else if !waiting.isEmpty {
                let event = waiting.removeFirst()
                pending = (replica?.step(event, at: moment) ?? [])[...]
                world.watch.check(replica?.checkInvariants() ?? [], machine)
            } else {
                break
            }
        }
        if self.life == life { isStepping = false }
    }

    private func endTurnSoon() {
        guard needsFlush, !isTurnScheduled, replica != nil else { return }
        isTurnScheduled = true
        world.schedule(.turnEnds(self, life: life), after: world.draw(world.weather.turn))
    }

    func turnEnds(_ life: Int) {
        guard life == self.life else { return }
        guard !isFrozen else {
            standstill.hold { [unowned self] in turnEnds(life) }
            return
        }
        isTurnScheduled = false
        guard needsFlush, !isEnding else { return }
        waiting.append(.flush(isEarly: false))
        drain()
        guard life == self.life, !isFrozen else { return }
        needsFlush = false
        if let state = replica?.state {
            journal?.flush(state, neededAfter: replica?.journalNeededAfter)
            world.watch.noteCopy(state, machine)
        }
        if storage.hasDied { died() }
    }

    private func scheduleTick() {
        let period = min(settings.heartbeatInterval / 4, .milliseconds(50)).wholeNanoseconds
        world.schedule(.serverTick(self, life: life), after: period - period / 1_000_000 * driftMillionths)
    }

    func tick(_ life: Int) {
        guard life == self.life, replica != nil else { return }
        guard !isFrozen else {
            standstill.hold { [unowned self] in tick(life) }
            return
        }
        scheduleTick()
        happened(.tick)
    }

    private func carryOut(_ action: Action) {
        guard !isEnding else { return }
        switch action {
        case .remember(let record):
            journal?.remember(record)
            isBlank = false
            if !isEnding, !storage.hasDied, let name = replica?.settings.name {
                remembered = record
                world.watch.remembered(record, by: name)
            }
        case .appendToJournal(_, let entries):
            if let first = entries.first {
                // What is not written yet comes before it; the entries themselves tell how they follow each other.
                world.watch.appended(entries, after: before(first.position), by: machine, at: world.now)
            }
            journal?.append(entries)
            lastAppended = entries.last?.position ?? lastAppended
        case .installSnapshot(let state):
            replacing = state.position
            lastAppended = state.position
            journal?.install(state)
        case .markCopy(let isSuspect): journal?.markCopy(isSuspect: isSuspect)
        case .readJournal(let peer, let position, let bytes): journal?.read(for: peer, after: position, bytes: bytes)
        case .rewind(let position):
            replacing = position
            lastAppended = position
            journal?.rewind(to: position)
        case .sendToProxy(let run):
            for frame in run {
                if frame.type == .changeInSync { world.watch.asking(frame, self) }
                if let proxyEnd { world.send(frame, proxyEnd) }
            }
        case .reconnectToProxy: closeProxy()
        case .sendToPeer(let peer, let frame):
            if frame.type == .appendReply { world.watch.confirming(frame, self) }
            if let end = peers[peer] { world.send(frame, end) }
        case .closePeer(let peer):
            dialing.remove(peer)
            if let end = peers.removeValue(forKey: peer) { world.close(end) }
        case .dial(let peer, let address, _): dial(peer, address)
        case .search(let id, let task): search(id, task)
        case .cancelSearch(let id): searches[id]?.cancel()
        case .log(let line): world.tell("\(machine) \(line.story)")
        case .fence(let server, _, let epoch): world.tell("\(machine) fences \(server) at epoch \(epoch.number)")
        case .passiveMissing: world.tell("\(machine) misses its passive")
        case .finish(let ending): end(ending)
        }
    }

    /// Another thread searches, and takes its time; a search that is cancelled ends as well.
    private func search(_ id: SearchID, _ task: SearchTask) {
        let cancellation = Cancellation()
        searches[id] = cancellation
        let life = life
        func finish() {
            guard life == self.life else { return }
            guard !areSearchesHeld else { return heldSearches.append(finish) }
            guard !isFrozen else { return standstill.hold(finish) }
            searches[id] = nil
            happened(.searched(id, task.run(world.matcher, cancellation: cancellation)))
        }
        world.schedule(.call(finish), after: world.draw(world.weather.search))
    }

    private func end(_ ending: Ending) {
        guard !isEnding else { return }
        isEnding = true
        if ending == .shutdown { journal?.close() }
        guard !storage.hasDied else { return }
        world.tell("\(machine) ends: \(ending.story)")
        // The last frames leave before the process does: closing comes after them on each link.
        leave(.nothing)
        ended = ending
    }

    func journalFailed(_ reason: String) {
        guard !isEnding, !storage.hasDied else { return }
        world.tell("\(machine) ALERT disk reason=\(reason)")
        end(.failed(reason))
    }

    // MARK: The disk

    /// Calls `body` when the disk is done with something.
    func afterDisk(_ duration: Duration, _ body: @escaping () -> Void) {
        let life = life
        func finish() {
            guard life == self.life else { return }
            guard !isDiskHeld else { return held.append(finish) }
            guard !isFrozen else { return standstill.hold(finish) }
            body()
        }
        world.after(duration, finish)
    }

    /// - Returns: whether the process has died in a call to the disk.
    func diesIfDiskCallWasLast() -> Bool {
        guard storage.hasDied else { return false }
        died()
        return true
    }

    private func releaseDisk() {
        let late = held
        held = []
        for body in late { world.schedule(.call(body), after: 0) }
    }

    private func becameDurable(_ position: LogPosition) {
        durable = position
        if let lost = lostUpTo, (position.epoch, position.index) >= (lost.epoch, lost.index) { lostUpTo = nil }
        if position != .zero { isBlank = false }
    }

    private func installed(_ position: LogPosition) {
        durable = position
        lostUpTo = nil
        replacing = nil
        isDamaged = false
        hasLostTail = false
        isBlank = false
    }

    /// What the entry at this position follows here.
    private func before(_ position: LogPosition) -> LogPosition {
        lastAppended.index.next == position.index
            ? lastAppended : LogPosition(epoch: .zero, index: LogIndex(position.index.number - 1))
    }
}
