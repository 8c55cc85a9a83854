import TupleCore
import TupleStore
import WireProtocol

/// What only an active server has.
struct Active: Sendable {
    let epoch: Epoch
    var followers: [NodeID: Follower] = [:]
    /// Connections that have not said yet who they are, and since when.
    var strangers: [PeerID: Instant] = [:]
    /// The last entries, for followers.
    var tail: LogTail
    /// Every server that must hold an entry holds all up to here.
    var commit: LogIndex
    /// Where the log ended when the epoch began. What was acknowledged in earlier epochs lies before it, whatever is known
    /// in this one of who holds it.
    let begin: LogIndex
    /// The last entry of this very epoch that everybody holds who must; nil before its first one. What is committed before
    /// that is of an earlier epoch, and says nothing of where the members' logs end in this one.
    var commitOfEpoch: LogIndex? { commit > begin ? commit : nil }
    /// Answers that are ready, each waiting for the entry that it depends on: clients get them in the order in which the
    /// requests took effect.
    var outbox = FrameQueue()
    /// Requests about one key each that came together; empty between two steps.
    var gathered = KeyedRequests()
    /// States of which snapshots were on their way when the connection broke: they go on where they stopped.
    var paused: [NodeID: PausedSnapshot] = [:]
    /// Members of the in-sync set that are not connected, and since when.
    var absentSince: [NodeID: Instant] = [:]
    var searches = Searches()
    /// What searches may still cost before the next flush, in units of about ten nanoseconds: requests that came together
    /// must not hold up heartbeats together.
    var workOnTheSpot = Bounds.workPerFlush
    /// Where sessions were opened from.
    var sources = SessionSources()
    /// How full the space is, as it was told last.
    var fullness = Replica.SpaceFullness.roomy
    /// Set while it is not certain that this server was not deposed during a stop.
    var doubt: Replica.Doubt?
    /// When the server has to be gone, once it is shutting down.
    var stopping: Instant?
}

extension Replica {
    /// The switch has granted this server an epoch.
    ///
    /// - Parameter isPlanned: an operator wanted it so; nobody has failed.
    mutating func becomeActive(_ granted: SwitchRecord, isPlanned: Bool = false) {
        let before = record
        // The record may have come by a view, where the word of the founding itself was lost.
        let isFounding = isBlank
        record = granted
        newcomersInDoubt = []
        isBlank = false
        actions.append(.remember(granted))
        let lost = passive?.target
        abandonLink()
        passive = nil
        active = Active(
            epoch: granted.epoch, tail: LogTail(base: state.position), commit: .zero, begin: state.position.index)
        if isFounding {
            log(.info, "active", [.init("server", name), .init("epoch", granted.epoch.number)])
        } else {
            var fields: [LogLine.Field] = [.init("server", name), .init("epoch", granted.epoch.number)]
            if let before, before.active != name { fields.append(.init("from", before.active)) }
            if isPlanned {
                log(.info, "active", fields + [.init("reason", "switchover")])
            } else {
                log(.alert, "takeover", fields)
            }
        }
        if let before, before.active != name, !isPlanned {
            actions.append(
                .fence(before.active, address: lost?.address ?? "", epoch: granted.epoch))
        }
        appendEntry(firstOfEpoch)
        if isFounding { importPairs() }
        if granted.inSync == [name] {
            log(.alert, "not-redundant", [.init("server", name), .init("epoch", granted.epoch.number)])
            actions.append(.passiveMissing)
        }
        noteAbsentMembers()
        advanceCommit()
    }

    /// Nothing but the fact that the epoch has begun; where it is not known how far back release 0.1 has forgotten, also
    /// that everything up to here may have been.
    private var firstOfEpoch: LogEntry.Body {
        guard state.sessions.horizon == .unknown else { return .epochBegun }
        let horizon = state.position == .zero ? ForgettingHorizon.nothingForgotten : .upTo(state.time)
        return .sessionsForgotten(.init(sessions: [], horizon: horizon))
    }

    private mutating func importPairs() {
        var rest = settings.imported[...]
        while !rest.isEmpty {
            var effects: [Effect] = []
            var bytes = 0
            while let pair = rest.first, effects.isEmpty || bytes + pair.byteCount <= Bounds.importBytesPerEntry {
                effects.append(.added(pair))
                bytes += pair.byteCount
                rest.removeFirst()
            }
            appendEntry(
                .update(
                    .init(
                        session: .none, sequence: RequestSequence(0), lowWater: RequestSequence(0), effects: effects,
                        outcome: [])))
        }
        if !settings.imported.isEmpty { log(.info, "imported", [.init("pairs", settings.imported.count)]) }
    }

    /// Puts an entry at the log's end, here and on its way to all followers.
    mutating func appendEntry(_ body: LogEntry.Body) {
        guard let epoch = active?.epoch else { preconditionFailure("only the active server makes entries") }
        let entry = LogEntry(
            position: LogPosition(epoch: epoch, index: state.position.index.next),
            time: loggedNow, body: body)
        let before = (state.position, state.time)
        let bytes = entry.encoded[...]
        do throws(ReplicatedState.ApplyError) {
            try state.apply(entry)
        } catch {
            preconditionFailure("an effect decided on this very state does not fit it: \(error)")
        }
        noteTime(since: before)
        let logged = JournalEntry(position: entry.position, bytes: bytes)
        unjournaled.append(logged)
        active?.tail.append(logged)
        if case .update(let update) = body, active?.searches.removalsUnderWay.isEmpty == false {
            active?.searches.note(update.effects)
        }
    }

    // MARK: Commit

    /// Everybody who must hold an entry before it is answered: the recorded in-sync set, and, while a change of it is on
    /// its way to the switch, also the wanted one, since nobody knows when it begins to count.
    var required: [NodeID] {
        var required = record?.inSync ?? []
        #if PLANTED_BUGS
            if PlantedBug.acknowledgeEarly.isOn { return [name] }
            if PlantedBug.newcomerNotRequired.isOn { return required }
            if PlantedBug.goOnAloneEarly.isOn, case .changeInSync(let wanted) = pendingSwitch?.kind {
                return required.filter { wanted.contains($0) }
            }
        #endif
        if case .changeInSync(let wanted) = pendingSwitch?.kind {
            required += wanted.filter { !required.contains($0) }
        }
        return required
    }

    mutating func advanceCommit() {
        guard let commit = active?.commit else { return }
        var least = durable
        #if PLANTED_BUGS
            if PlantedBug.acknowledgeBeforeSync.isOn { least = state.position.index }
        #endif
        for member in required where member != name {
            least = min(least, active?.followers[member]?.durable ?? .zero)
        }
        if least > commit { active?.commit = least }
    }

    mutating func flushAsActive() {
        sendEntries()
        advanceCommit()
        guard let commit = active?.commit else { return }
        if proxy == .registered {
            if let run = active?.outbox.release(committed: commit) { actions.append(.sendToProxy(run)) }
        }
        trimTail()
        finishShutdownIfDone()
    }

    // MARK: Shutdown

    mutating func beginShutdown() {
        guard active != nil else {
            finish(.shutdown)
            return
        }
        guard active?.stopping == nil else { return }
        log(.info, "shutdown", [.init("server", name)])
        active?.stopping = moment.instant.advanced(by: Timing.shutdownPatience)
        let outcomes = active?.searches.outcomes ?? []
        for frame in abandonSearches() { serve(frame) }
        // What was carried out is told to the end, as far as there is time.
        for job in outcomes {
            let begun = job.anew
            active?.searches.enqueue(begun.frame, begun.kind, window: begun.window, after: begun.index)
        }
        startSearches()
    }

    /// The proxy connection is gone: the answers on their way were for nobody, and the requests will come again.
    mutating func requestsLost() {
        abandonSearches()
        active?.outbox = FrameQueue()
    }

    private mutating func finishShutdownIfDone() {
        guard let active, let deadline = active.stopping else { return }
        let isDone = active.outbox.isEmpty && active.searches.isEmpty
        guard isDone || moment.instant >= deadline else { return }
        for follower in active.followers.values.sorted(by: { $0.name < $1.name }) {
            if let peer = follower.heartbeats ?? follower.log {
                actions.append(.sendToPeer(peer, Frame(Header(.stop, epoch: active.epoch))))
            }
        }
        actions.append(.sendToProxy(Frame(Header(.shutdown, epoch: active.epoch))))
        finish(.shutdown)
    }
}
