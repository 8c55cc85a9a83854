import TupleCore
import TupleStore
import WireProtocol

/// What only a server that follows has: its link to the active one, of two connections.
struct Passive: Sendable {
    let target: Target
    var phase = Phase.waiting
    var heartbeats: PeerID?
    var log: PeerID?
    var heartbeatsWelcomed = false
    var hearing: Replica.Hearing
    /// When something came on the log connection last.
    var logHeard: Instant
    var lastBeat: Instant?
    var lastDial: Instant?
    /// How long after that it may be tried again.
    var redialWait = Timing.redial
    var redial = Backoff(first: Timing.redial, longest: Timing.longestRedial)
    /// Why the link was lost, once it was; nil while it stands or has never been tried.
    var lostReason: String?
    /// Since when the proxy has been without the active server.
    var unregisteredSince: Instant?
    /// The active server's last entry, as its heartbeat said.
    var heardIndex = LogIndex.zero

    struct Target: Hashable, Sendable {
        var name: NodeID
        var address: String
        var epoch: Epoch
    }

    enum Phase: Sendable {
        case waiting
        case dialing
        /// Connected, the hello sent.
        case joining
        case receiving(SnapshotDecoder)
        case following
    }

    var isLinked: Bool {
        switch phase {
        case .waiting, .dialing: false
        case .joining, .receiving, .following: heartbeatsWelcomed
        }
    }

    /// Whether the active server owes it something on the log connection: the beginning, or the rest of a snapshot.
    var awaitsLog: Bool {
        switch phase {
        case .joining, .receiving: true
        case .waiting, .dialing, .following: false
        }
    }

    /// Servers that have lost the same one do not all dial at the same moment.
    mutating func waitBeforeRedial(_ peer: PeerID) {
        redialWait = redial.wait(random: (peer.number &* 0x9E37_79B9_7F4A_7C15) >> 32)
    }

    mutating func resetRedial() {
        redial.reset()
        redialWait = Timing.redial
    }

    func owns(_ peer: PeerID) -> Bool { heartbeats == peer || log == peer }

    func lag(behind index: LogIndex) -> UInt64 { heardIndex > index ? heardIndex.number - index.number : 0 }
}

extension Replica {
    /// Follows the active server of `record`; a link to that very one is kept.
    mutating func follow(_ record: SwitchRecord) {
        let address = members[record.active]
        if let passive, passive.target.name == record.active, passive.target.epoch == record.epoch,
            address == nil || passive.target.address == address
        {
            notePresence(of: record.active)
            return
        }
        abandonLink()
        passive = Passive(
            target: .init(name: record.active, address: address ?? "", epoch: record.epoch),
            hearing: Hearing(at: moment.instant), logHeard: moment.instant)
        notePresence(of: record.active)
        dialIfPossible()
    }

    private mutating func notePresence(of active: NodeID) {
        if members[active] != nil || proxy != .registered {
            passive?.unregisteredSince = nil
        } else if passive?.unregisteredSince == nil {
            passive?.unregisteredSince = moment.instant
        }
    }

    private mutating func dialIfPossible() {
        guard mayFollow, let passive, case .waiting = passive.phase, !passive.target.address.isEmpty,
            !isInstalling, !isRewinding, !isStuck
        else { return }
        if let last = passive.lastDial, moment.instant.duration(since: last) < passive.redialWait { return }
        let beats = nextPeer()
        let log = nextPeer()
        self.passive?.phase = .dialing
        self.passive?.lastDial = moment.instant
        self.passive?.waitBeforeRedial(beats)
        self.passive?.hearing.restart(at: moment.instant)
        self.passive?.logHeard = moment.instant
        self.passive?.heartbeats = beats
        self.passive?.log = log
        self.passive?.heartbeatsWelcomed = false
        actions.append(.dial(beats, address: passive.target.address, channel: .heartbeats))
        actions.append(.dial(log, address: passive.target.address, channel: .log))
    }

    /// A dialled connection stands: say who is there.
    mutating func greet(_ peer: PeerID) {
        guard let passive, passive.owns(peer), let record else {
            actions.append(.closePeer(peer))
            return
        }
        let isLog = passive.log == peer
        let hello = PeerHello(
            channel: isLog ? .log : .heartbeats, name: name, cluster: record.cluster,
            position: isSuspect || isBlank || wantsSnapshot ? .zero : state.position,
            resume: isLog ? partialSnapshot?.mark : nil,
            // A server of release 0.1 would not read further.
            life: heartbeats[passive.target.name] == nil ? nil : lineage?.incarnation.life)
        actions.append(.sendToPeer(peer, hello.frame(epoch: passive.target.epoch)))
        if isLog { self.passive?.phase = .joining }
    }

    mutating func receiveAsPassive(_ frame: Frame, from peer: PeerID) {
        guard let passive, passive.owns(peer) else {
            refuse(peer, "\(name) is passive")
            return
        }
        if frame.type == .peerRefused {
            let message = (try? PeerRefused(frame.payload).message) ?? ""
            log(.warn, "peer-refused", [.init("server", passive.target.name), .init("reason", message)])
            linkLost("it refused: \(message)", isRefused: true)
            return
        }
        guard frame.header.epoch == passive.target.epoch else {
            linkLost("a frame of epoch \(frame.header.epoch.number) came")
            return
        }
        heardActive(on: peer)
        do throws(DecodingError) {
            switch frame.type {
            case .peerWelcome: welcomed(peer)
            case .heartbeatReply: receive(try Heartbeat(frame.payload))
            // Its entries are kept for a while; the bytes that the frame came in are not to be.
            case .append: receive(try Append([UInt8](frame.payload)[...]))
            case .snapshotChunk: receive(snapshotChunk: [UInt8](frame.payload))
            case .stop: finish(.shutdown)
            default:
                log(.warn, "unexpected-frame", [.init("from", passive.target.name), .init("type", "\(frame.type)")])
                linkLost("a frame of type \(frame.type) has no business here")
            }
        } catch {
            log(.error, "malformed-frame", [.init("type", "\(frame.type)")])
            linkLost("it sent a malformed frame")
        }
    }

    private mutating func heardActive(on peer: PeerID) {
        if passive?.log == peer { passive?.logHeard = moment.instant }
        if let gap = passive?.hearing.heard(at: moment.instant), passive?.isLinked == true { pace.arrived(after: gap) }
    }

    private mutating func welcomed(_ peer: PeerID) {
        if passive?.heartbeats == peer {
            passive?.heartbeatsWelcomed = true
            beat()
        }
        if passive?.log == peer {
            // Another server may have become suspect of us in between; what is behind us does not count any more.
            passive?.lostReason = nil
            passive?.resetRedial()
        }
    }

    private mutating func beat() {
        guard let passive, let peer = passive.heartbeats, passive.heartbeatsWelcomed else { return }
        self.passive?.lastBeat = moment.instant
        let beat = Heartbeat(index: state.position.index, digest: state.space.digest.value)
        actions.append(
            .sendToPeer(peer, beat.frame(.heartbeat, epoch: passive.target.epoch, sequence: nextSequence())))
    }

    private mutating func receive(_ beat: Heartbeat) {
        passive?.heardIndex = beat.index
        guard case .following = passive?.phase, beat.index == state.position.index,
            beat.digest != state.space.digest.value
        else { return }
        diverged("at entry \(beat.index.number) the digests differ")
    }

    private mutating func diverged(_ what: String) {
        log(.alert, "divergence", [.init("server", name), .init("what", what)])
        isSuspect = true
        actions.append(.markCopy(isSuspect: true))
        linkLost("this copy has to be made anew")
        // The proxy counts this server as one that holds the space until it hears otherwise.
        proxyLost("this copy has to be made anew")
        actions.append(.reconnectToProxy)
    }

    // MARK: The relayed log

    private mutating func receive(_ append: Append) {
        if case .joining = passive?.phase {
            if append.entries.isEmpty, append.previous.index < state.position.index, durable == state.position.index {
                rewind(to: append.previous)
                return
            }
            passive?.phase = .following
            log(.info, "following", [.init("active", passive?.target.name.name ?? "")])
        }
        guard case .following = passive?.phase, append.previous == state.position else {
            linkLost("its log does not continue this one")
            return
        }
        partialSnapshot = nil
        if append.entries.isEmpty { acknowledge() }
        for bytes in append.entries {
            do throws(EntryError) { try state.apply(encoded: bytes) } catch {
                diverged("\(error)")
                return
            }
            guard state.position.epoch <= passive?.target.epoch ?? .zero else {
                diverged("entry \(state.position.index.number) is of an epoch that has not begun")
                return
            }
            #if PLANTED_BUGS
                if let entry = try? LogEntry(decoding: bytes) { removeMore(entry) }
            #endif
            unjournaled.append(JournalEntry(position: state.position, bytes: bytes))
        }
        if !append.entries.isEmpty { clock.restart(at: moment.instant) }
        #if PLANTED_BUGS
            forgetOnPassive()
        #endif
        let heard = passive?.heardIndex ?? .zero
        passive?.heardIndex = max(heard, state.position.index)
    }

    private mutating func receive(snapshotChunk chunk: [UInt8]) {
        if case .joining = passive?.phase, !SnapshotDecoder.isFirst(chunk), let partial = partialSnapshot {
            passive?.phase = .receiving(partial)
        }
        partialSnapshot = nil
        guard var decoder = passive?.takeDecoder() else {
            linkLost("a snapshot came out of turn")
            return
        }
        do throws(SnapshotError) {
            guard let received = try decoder.append(chunk) else {
                passive?.phase = .receiving(decoder)
                return
            }
            guard received.position.epoch <= passive?.target.epoch ?? .zero else {
                linkLost("its snapshot is of an epoch that has not begun")
                return
            }
            guard received.space.rule == settings.rule else {
                finish(
                    .failed(
                        "the space's elements are '\(received.space.rule.name)', but --elements is '\(settings.rule.name)'"
                    ))
                return
            }
            state = received
            clock.restart(at: moment.instant)
            unjournaled = []
            isInstalling = true
            durable = .zero
            passive?.phase = .following
            actions.append(.installSnapshot(received))
            #if PLANTED_BUGS
                if PlantedBug.confirmSnapshotEarly.isOn, let peer = passive?.log, let epoch = passive?.target.epoch {
                    let reply = AppendReply(durable: received.position.index)
                    actions.append(.sendToPeer(peer, reply.frame(epoch: epoch)))
                }
            #endif
            log(
                .info, "resynced",
                [.init("index", received.position.index.number), .init("pairs", received.space.count)])
        } catch {
            linkLost("its snapshot cannot be used: \(error)")
        }
    }

    /// Tells the active server how far this copy is durable.
    mutating func acknowledge() {
        guard let passive, let peer = passive.log, case .following = passive.phase, !isInstalling else { return }
        actions.append(.sendToPeer(peer, AppendReply(durable: durable).frame(epoch: passive.target.epoch)))
    }

    // MARK: Losing the active server

    /// - Parameter isRefused: the active server said so itself, so it is not lost.
    mutating func linkLost(_ reason: String, isRefused: Bool = false) {
        guard let passive else { return }
        if passive.isLinked, !isRefused {
            // Where this process was stopped, it is the one that was lost.
            log(
                wasStalled ? .warn : .alert, wasStalled ? "link-lost" : "active-lost",
                [
                    .init("server", passive.target.name), .init("epoch", passive.target.epoch.number),
                    .init("reason", reason),
                ])
        }
        abandonLink()
        self.passive?.lostReason = reason
        considerTakeOver()
    }

    /// Closes the link without a word.
    mutating func abandonLink() {
        guard let passive else { return }
        if case .receiving(let decoder) = passive.phase, decoder.mark != nil { partialSnapshot = decoder }
        for peer in [passive.heartbeats, passive.log] {
            if let peer { actions.append(.closePeer(peer)) }
        }
        self.passive?.heartbeats = nil
        self.passive?.log = nil
        self.passive?.heartbeatsWelcomed = false
        self.passive?.phase = .waiting
    }

    mutating func tickAsPassive() {
        guard let passive else { return }
        notePresence(of: passive.target.name)
        if case .waiting = passive.phase {
            dialIfPossible()
            return
        }
        let timeout = peerTimeout(passive.target.name)
        if let silence = self.passive?.hearing.silence(longerThan: timeout, at: moment.instant) {
            linkLost("silent for \(silence.wholeMilliseconds) ms")
            return
        }
        if passive.awaitsLog, moment.instant.duration(since: passive.logHeard) > Timing.logPatience {
            log(.warn, "log-silent", [.init("server", passive.target.name)])
            abandonLink()
            return
        }
        if passive.lastBeat.map({ moment.instant.duration(since: $0) >= settings.heartbeatInterval }) ?? true { beat() }
    }
}

extension Passive {
    /// The decoder, taken out so that it is changed in place; nil where no snapshot is expected.
    fileprivate mutating func takeDecoder() -> SnapshotDecoder? {
        switch phase {
        case .joining: return SnapshotDecoder()
        case .receiving(let decoder):
            phase = .joining
            return decoder
        case .waiting, .dialing, .following: return nil
        }
    }
}

#if PLANTED_BUGS
    extension Replica {
        /// As if the passive server carried out the DELETE itself, with a pattern that matches more here.
        fileprivate mutating func removeMore(_ entry: LogEntry) {
            guard PlantedBug.patternOnPassive.isOn, case .update(let update) = entry.body,
                case .removed? = update.effects.first
            else { return }
            var space = state.space
            var first: Tuple?
            space.forEachPair { pair in
                first = pair.key
                return false
            }
            guard let first, space.apply(.removed(first)) else { return }
            state = ReplicatedState(space: space, sessions: state.sessions, position: state.position, time: state.time)
        }
    }
#endif
