public import TupleCore
import TupleStore
import WireProtocol

/// A passive server as the active one sees it.
struct Follower: Sendable {
    let name: NodeID
    var heartbeats: PeerID?
    var log: PeerID?
    var hearing: Replica.Hearing
    /// The start that said hello on the log connection, as ``Incarnation/life``; nil where it was not told.
    var life: UInt64?
    /// When it had confirmed all that it was sent, or some more of it.
    var progressAt: Instant
    var phase = Phase.greeting
    /// What it has of an earlier snapshot.
    var resume: SnapshotMark?
    /// The state that it was sent, or is being sent, until it has confirmed it.
    var base: ReplicatedState?
    /// The last entry that was sent.
    var sent = LogPosition.zero
    /// It holds the log durably up to here.
    var durable = LogIndex.zero
    /// Bytes of entries sent and not yet acknowledged, with the index each frame ends at.
    var unacknowledged: [(last: LogIndex, bytes: Int)] = []
    var unacknowledgedBytes = 0

    enum Phase: Sendable {
        /// Its log connection has not said hello.
        case greeting
        case snapshot(SnapshotEncoder)
        /// It is told to go back to what its log shares with this one; it dials again when it has.
        case rewinding
        /// What it lacks is read from the journal.
        case reading(Reading)
        /// It is sent what is made, from memory.
        case streaming
    }

    enum Reading: Sendable {
        /// It is not known yet whether the journal has what the follower lacks.
        case locating
        case underWay
        case idle
        /// What is next is not written yet; a tick asks again.
        case paused
    }

    mutating func acknowledge(_ index: LogIndex, at now: Instant) {
        if index > durable { progressAt = now }
        durable = max(durable, index)
        if let base, durable >= base.position.index { self.base = nil }
        while let first = unacknowledged.first, first.last <= index {
            unacknowledgedBytes -= first.bytes
            unacknowledged.removeFirst()
        }
    }

    /// Whether it was sent entries that it has not confirmed.
    var owesConfirmation: Bool {
        switch phase {
        case .greeting, .snapshot, .rewinding, .reading(.locating): false
        case .reading(.underWay), .reading(.idle), .reading(.paused), .streaming: durable < sent.index
        }
    }

    func owns(_ peer: PeerID) -> Bool { heartbeats == peer || log == peer }
}

/// A snapshot that broke off.
struct PausedSnapshot: Sendable {
    var state: ReplicatedState
    /// When it is given up.
    var deadline: Instant
}

/// The active server's dealings with those that follow it.
extension Replica {
    mutating func receiveAsActive(_ frame: Frame, from peer: PeerID) {
        do throws(DecodingError) {
            if active?.strangers[peer] != nil {
                guard frame.type == .peerHello else {
                    refuse(peer, "the first frame must be a hello")
                    return
                }
                try welcome(peer, PeerHello(frame.payload), epoch: frame.header.epoch)
                return
            }
            guard let epoch = active?.epoch, let follower = follower(of: peer) else {
                actions.append(.closePeer(peer))
                return
            }
            guard frame.header.epoch == epoch else {
                refuse(peer, "epoch \(frame.header.epoch.number) is not \(epoch.number)")
                return
            }
            if let gap = active?.followers[follower]?.hearing.heard(at: moment.instant) { pace.arrived(after: gap) }
            switch frame.type {
            case .heartbeat: receive(try Heartbeat(frame.payload), frame, from: peer, follower)
            case .appendReply: receive(try AppendReply(frame.payload), from: follower)
            default:
                log(.warn, "unexpected-frame", [.init("from", follower), .init("type", "\(frame.type)")])
                drop(follower, "a frame of type \(frame.type) has no business here")
            }
        } catch {
            log(.error, "malformed-frame", [.init("type", "\(frame.type)")])
            actions.append(.closePeer(peer))
            followerConnectionLost(peer)
        }
    }

    private func follower(of peer: PeerID) -> NodeID? { active?.followers.values.first { $0.owns(peer) }?.name }

    private mutating func welcome(_ peer: PeerID, _ hello: PeerHello, epoch: Epoch) {
        guard let own = active?.epoch, let record else { return }
        active?.strangers[peer] = nil
        guard epoch == own, hello.cluster == record.cluster, hello.name != name else {
            refuse(peer, "this is \(name), active at epoch \(own.number) of cluster \(record.cluster.number)")
            return
        }
        var follower =
            active?.followers.removeValue(forKey: hello.name)
            ?? Follower(name: hello.name, hearing: Hearing(at: moment.instant), progressAt: moment.instant)
        follower.hearing.restart(at: moment.instant)
        actions.append(.sendToPeer(peer, Frame(Header(.peerWelcome, epoch: own))))
        switch hello.channel {
        case .heartbeats:
            if let old = follower.heartbeats { actions.append(.closePeer(old)) }
            follower.heartbeats = peer
        case .log:
            if let old = follower.log { actions.append(.closePeer(old)) }
            follower.log = peer
            follower.durable = .zero
            follower.unacknowledged = []
            follower.unacknowledgedBytes = 0
            follower.progressAt = moment.instant
            pauseSnapshot(of: &follower)
            follower.life = hello.life
            follower.resume = hello.resume
            startStream(&follower, from: hello.position)
        }
        active?.followers[hello.name] = follower
        active?.absentSince[hello.name] = nil
        sendMore(to: peer)
    }

    /// From the log in memory where it reaches back that far, else from the journal, else a snapshot of all.
    private mutating func startStream(_ follower: inout Follower, from position: LogPosition) {
        guard let peer = follower.log else { return }
        follower.sent = position
        if position == .zero {
            sendSnapshot(to: &follower)
        } else if active?.tail.contains(position) == true {
            follower.phase = .streaming
            greet(follower, from: position)
        } else {
            follower.phase = .reading(.locating)
            actions.append(.readJournal(peer, after: position, bytes: Bounds.appendBytes))
        }
    }

    /// Without entries: a follower that lacks nothing is asked for its word all the same.
    private mutating func greet(_ follower: Follower, from position: LogPosition) {
        guard let peer = follower.log, let active else { return }
        log(.info, "catch-up", [.init("server", follower.name), .init("from", position.index.number)])
        let greeting = Append(previous: position, commit: active.commit, entries: [])
        actions.append(.sendToPeer(peer, greeting.frame(epoch: active.epoch)))
    }

    private mutating func sendSnapshot(to follower: inout Follower) {
        let paused = active?.paused.removeValue(forKey: follower.name)?.state
        var fields: [LogLine.Field] = [.init("server", follower.name)]
        if let mark = follower.resume, let paused, paused.position == mark.position {
            // The same position is the same state: what came of it counts.
            follower.base = paused
            follower.phase = .snapshot(SnapshotEncoder(paused, after: mark.key))
            fields += [.init("index", paused.position.index.number), .init("pairs", paused.space.count)]
            log(.info, "resync-resumed", fields)
        } else {
            follower.base = state
            follower.phase = .snapshot(SnapshotEncoder(state))
            fields += [.init("index", state.position.index.number), .init("pairs", state.space.count)]
            log(.info, "resync", fields)
        }
        follower.sent = follower.base?.position ?? .zero
    }

    /// A snapshot that has not arrived as a whole may go on over another connection, for a while.
    private mutating func pauseSnapshot(of follower: inout Follower) {
        guard let base = follower.base else { return }
        follower.base = nil
        active?.paused[follower.name] = PausedSnapshot(
            state: base, deadline: moment.instant.advanced(by: settings.pausedSnapshotPatience))
    }

    /// What the journal holds of what a follower lacks.
    mutating func journalRead(_ run: JournalRun, for peer: PeerID) {
        guard let id = follower(of: peer), var follower = active?.followers[id], follower.log == peer,
            case .reading(let reading) = follower.phase
        else { return }
        switch (run, reading) {
        case (.entries(let entries), .locating), (.entries(let entries), .underWay):
            if case .locating = reading { greet(follower, from: follower.sent) }
            follower.phase = .reading(entries.isEmpty ? .paused : .idle)
            if !entries.isEmpty { send(entries[...], previous: follower.sent, to: &follower) }
            active?.followers[id] = follower
        case (.lacking(let common), .locating):
            if let common, common.index < follower.sent.index, let epoch = active?.epoch {
                // Its last entries are of a history that was left: it drops them and asks again.
                follower.phase = .rewinding
                log(.info, "rewind", [.init("server", id), .init("to", common.index.number)])
                let greeting = Append(previous: common, commit: active?.commit ?? .zero, entries: [])
                actions.append(.sendToPeer(peer, greeting.frame(epoch: epoch)))
                active?.followers[id] = follower
            } else {
                sendSnapshot(to: &follower)
                active?.followers[id] = follower
                sendMore(to: peer)
            }
        case (.lacking, .underWay): drop(id, "the log that it reads is not kept any more")
        case (_, .idle), (_, .paused): break
        }
    }

    private mutating func send(
        _ entries: ArraySlice<JournalEntry>, previous: LogPosition, to follower: inout Follower
    ) {
        guard let active, let peer = follower.log, let newest = entries.last?.position else { return }
        let append = Append(previous: previous, commit: active.commit, entries: entries.map(\.bytes))
        actions.append(.sendToPeer(peer, append.frame(epoch: active.epoch)))
        let bytes = entries.reduce(0) { $0 + $1.bytes.count }
        follower.sent = newest
        follower.unacknowledged.append((newest.index, bytes))
        follower.unacknowledgedBytes += bytes
    }

    /// Sends as much of a snapshot as may be on its way at once.
    mutating func sendMore(to peer: PeerID) {
        guard let active, let id = follower(of: peer), var follower = active.followers[id], follower.log == peer,
            case .snapshot(var encoder) = follower.phase
        else { return }
        self.active?.followers[id]?.phase = .greeting
        var sent = 0
        follower.phase = .streaming
        while let chunk = encoder.next() {
            sent += chunk.count
            actions.append(.sendToPeer(peer, Frame(Header(.snapshotChunk, epoch: active.epoch), payload: chunk)))
            if sent >= settings.snapshotBurstBytes {
                follower.phase = .snapshot(encoder)
                break
            }
        }
        // From here on it may be asked for what it was sent.
        follower.progressAt = moment.instant
        self.active?.followers[id] = follower
    }

    /// Relays what each follower has not been sent yet, as far as its window allows.
    mutating func sendEntries() {
        for id in active?.followers.keys.sorted() ?? [] {
            guard var follower = active?.followers[id], let peer = follower.log, let tail = active?.tail else {
                continue
            }
            if follower.durable == follower.sent.index { follower.progressAt = moment.instant }
            if case .reading(.idle) = follower.phase, tail.contains(follower.sent) { follower.phase = .streaming }
            while case .streaming = follower.phase, follower.sent.index < tail.last.index,
                follower.unacknowledgedBytes < settings.windowBytes
            {
                guard let run = tail.entries(after: follower.sent.index, bytes: Bounds.appendBytes),
                    run.previous == follower.sent
                else {
                    // Memory does not reach back so far any more.
                    follower.phase = .reading(.idle)
                    break
                }
                send(run.entries, previous: run.previous, to: &follower)
            }
            if case .reading(.idle) = follower.phase, follower.unacknowledgedBytes < settings.windowBytes {
                follower.phase = .reading(.underWay)
                actions.append(.readJournal(peer, after: follower.sent, bytes: Bounds.appendBytes))
            }
            active?.followers[id] = follower
        }
    }

    /// The journal is to be kept from the entry after this one on, because a follower is going to need it: after a
    /// snapshot that is on its way to it, or while it reads. Nil where memory will do.
    public var journalNeededAfter: LogIndex? {
        let paused = (active?.paused ?? [:]).values.map(\.state.position.index)
        let reading = (active?.followers ?? [:]).values.compactMap { follower -> LogIndex? in
            switch follower.phase {
            case .snapshot, .reading(.underWay), .reading(.idle), .reading(.paused): follower.sent.index
            case .greeting, .rewinding, .reading(.locating), .streaming: nil
            }
        }
        return (paused + reading).min()
    }

    /// Keeps what followers still need, within bounds, and a little more for those that return within moments.
    mutating func trimTail() {
        // No copy of the active state may be alive here: the tail would be copied with it.
        guard var needed = active?.tail.last.index, let followers = active?.followers.values else { return }
        for follower in followers {
            switch follower.phase {
            case .greeting, .rewinding: break
            case .snapshot, .reading, .streaming: needed = min(needed, follower.durable)
            }
        }
        active?.tail.trim(neededAfter: needed, rest: settings.restBytes, most: settings.tailBytes)
    }

    private mutating func receive(_ beat: Heartbeat, _ frame: Frame, from peer: PeerID, _ follower: NodeID) {
        guard let epoch = active?.epoch else { return }
        let own = Heartbeat(index: state.position.index, digest: state.space.digest.value)
        actions.append(
            .sendToPeer(peer, own.frame(.heartbeatReply, epoch: epoch, sequence: frame.header.sequence)))
    }

    private mutating func receive(_ reply: AppendReply, from follower: NodeID) {
        guard reply.durable <= state.position.index else {
            log(.error, "impossible-position", [.init("server", follower), .init("index", reply.durable.number)])
            drop(follower, "it claims entries that were never made")
            return
        }
        active?.followers[follower]?.acknowledge(reply.durable, at: moment.instant)
        advanceCommit()
        proposeInSync()
    }

    // MARK: Losing followers

    mutating func followerConnectionLost(_ peer: PeerID) {
        active?.strangers[peer] = nil
        if let id = follower(of: peer) { followerLost(id, "the connection was closed") }
    }

    /// Ends a link that stands. The follower is told why, so that it does not take this server for lost.
    private mutating func drop(_ id: NodeID, _ reason: String) {
        guard let follower = active?.followers[id] else { return }
        let refusal = PeerRefused(message: reason).frame(epoch: record?.epoch ?? .zero)
        for peer in [follower.heartbeats, follower.log] {
            if let peer { actions.append(.sendToPeer(peer, refusal)) }
        }
        followerLost(id, reason)
    }

    private mutating func followerLost(_ id: NodeID, _ reason: String) {
        guard var follower = active?.followers.removeValue(forKey: id) else { return }
        disconnect(follower)
        pauseSnapshot(of: &follower)
        if record?.inSync.contains(id) == true {
            alertAsActive("passive-lost", [.init("server", id), .init("reason", reason)])
            // It was connected: it is not waited for, the switch is asked at once.
            active?.absentSince[id] = Instant(nanoseconds: .min / 2)
        } else {
            log(.info, "follower-left", [.init("server", id), .init("reason", reason)])
        }
        if active?.stopping == nil { proposeInSync() }
    }

    mutating func disconnect(_ follower: Follower) {
        for peer in [follower.heartbeats, follower.log] {
            if let peer { actions.append(.closePeer(peer)) }
        }
    }

    mutating func tickAsActive() {
        tickStreams()
        guard let active else { return }
        for (id, follower) in active.followers.sorted(by: { $0.key < $1.key }) {
            let timeout = peerTimeout(id)
            let silence = self.active?.followers[id]?.hearing.silence(longerThan: timeout, at: moment.instant)
            if let silence {
                drop(id, "silent for \(silence.wholeMilliseconds) ms")
            } else if follower.owesConfirmation {
                var patience = Timing.confirmationPatience
                if !required.contains(id) {
                    patience = follower.durable == .zero ? Timing.installationPatience : Timing.catchUpPatience
                }
                if moment.instant.duration(since: follower.progressAt) > patience {
                    drop(id, "it confirms nothing of the log")
                }
            }
        }
        for (peer, since) in active.strangers.sorted(by: { $0.key.number < $1.key.number })
        where moment.instant.duration(since: since) > Timing.helloTimeout {
            self.active?.strangers[peer] = nil
            actions.append(.closePeer(peer))
        }
        for (id, follower) in active.followers {
            if case .reading(.paused) = follower.phase { self.active?.followers[id]?.phase = .reading(.idle) }
        }
        let now = moment.instant
        self.active?.paused = active.paused.filter { now < $0.value.deadline }
        forgetIdleSessions()
        noteFullness()
        if isStuck { stepAside() }
        noteAbsentMembers()
        proposeInSync()
    }

    // MARK: The in-sync set

    /// Remembers since when members of the in-sync set have been without a log connection.
    mutating func noteAbsentMembers() {
        guard let record, let active else { return }
        for member in record.inSync where member != name {
            if active.followers[member]?.log != nil {
                self.active?.absentSince[member] = nil
            } else if active.absentSince[member] == nil {
                self.active?.absentSince[member] = moment.instant
            }
        }
    }

    /// Asks the switch for the in-sync set that the followers' state calls for: without those that are gone, with those
    /// that hold every entry that was ever acknowledged.
    mutating func proposeInSync() {
        guard let active, let record, record.active == name, pendingSwitch == nil else { return }
        var wanted = Set(record.inSync)
        for member in record.inSync where member != name {
            // One that needs everything anew holds nothing yet: nobody waits for a snapshot's end.
            if case .snapshot = active.followers[member]?.phase { wanted.remove(member) }
            guard let since = active.absentSince[member] else { continue }
            let patience = members[member] == nil ? .zero : settings.heartbeatTimeout
            if moment.instant.duration(since: since) >= patience { wanted.remove(member) }
        }
        let acknowledged = max(active.commit, active.begin)
        for follower in active.followers.values {
            if case .streaming = follower.phase, follower.heartbeats != nil, follower.durable >= acknowledged,
                follower.durable > .zero, members[follower.name] != nil, isLatestLife(of: follower)
            {
                wanted.insert(follower.name)
            }
        }
        requestInSync(wanted.sorted())
    }

    /// Whether what is known of a follower is known of its present start. Its directory may have been exchanged since: the
    /// switch, which has seen the new start, must not be asked to count what the one before it held.
    private func isLatestLife(of follower: Follower) -> Bool {
        #if PLANTED_BUGS
            if PlantedBug.trustAnyIncarnation.isOn { return true }
        #endif
        guard let life = follower.life, let known = record?.incarnations[follower.name] else { return true }
        return life == known.life
    }

    /// The switch has recorded another set.
    mutating func inSyncChanged(from previous: SwitchRecord?) {
        guard let record, let active else { return }
        let before = Set(previous?.inSync ?? [])
        let now = Set(record.inSync)
        for gone in before.subtracting(now).sorted() {
            self.active?.absentSince[gone] = nil
            log(.info, "insync-shrunk", [.init("server", gone), .init("epoch", active.epoch.number)])
        }
        if before.count > 1, now.count == 1, active.stopping == nil {
            log(.alert, "not-redundant", [.init("server", name), .init("epoch", active.epoch.number)])
            actions.append(.passiveMissing)
        }
        for new in now.subtracting(before).sorted() {
            let event = before.count == 1 ? "redundancy-restored" : "insync-grown"
            log(
                before.count == 1 ? .alert : .info, event,
                [.init("server", new), .init("active", name), .init("epoch", active.epoch.number)])
        }
        advanceCommit()
        proposeInSync()
    }
}
