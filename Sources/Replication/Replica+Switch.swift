import TupleCore
import TupleStore
import WireProtocol

/// The server's side of the switch: registering, views, asking for a takeover or another in-sync set.
extension Replica {
    mutating func registerWithProxy() {
        proxy = .registering
        proxyHearing.restart(at: moment.instant)
        lastProxyBeat = moment.instant
        let register = Register(
            name: name, address: settings.address, rule: settings.rule, activeEpoch: active?.epoch ?? .zero,
            position: state.position, record: isBlank ? nil : recordThatMayStand, holdsCopy: !isBlank && !isSuspect,
            lineage: lineage, heartbeats: settings.heartbeats)
        actions.append(.sendToProxy(register.frame))
    }

    /// The record, with those who may be in its set: the switch may have taken them in, and may have promoted one of
    /// them, before this server hears of it. Should the switch's record be lost then, it must not be rebuilt from this
    /// server without them. They hold everything acknowledged: an active server waits for them as long as the doubt lasts.
    private var recordThatMayStand: SwitchRecord? {
        guard var known = record else { return nil }
        known.inSync = Set(known.inSync).union(newcomersInDoubt).sorted()
        return known
    }

    /// The switch has told what became of the newcomers. Where it has not taken them in, the disk must not count them any
    /// longer: nobody waits for them from here on.
    private mutating func endDoubtOfNewcomers() {
        guard pendingSwitch == nil, !newcomersInDoubt.isEmpty, let record else { return }
        newcomersInDoubt = []
        actions.append(.remember(record))
    }

    mutating func proxyLost(_ reason: String) {
        guard proxy != .down else { return }
        proxy = .down
        members = [:]
        log(.warn, "proxy-lost", [.init("reason", reason)])
        // Whether the switch has carried out what was asked is told by the next view. Until then an active server counts
        // everybody who was asked for as required; see `Active.required`.
        if case .takeOver = pendingSwitch?.kind { pendingSwitch = nil }
        pendingSwitch?.askedAt = Instant(nanoseconds: .max / 2)
        requestsLost()
    }

    mutating func receiveFromProxy(_ frame: Frame) {
        do throws(DecodingError) {
            switch frame.type {
            case .view: receive(try View(frame.payload))
            case .switchReply: receive(try SwitchReply(frame.payload), sequence: frame.header.sequence)
            case .refused:
                // As it answers who is no server: this is another of its ports, or what was sent was no frame to it.
                let words = try Refused(frame.payload).message
                log(.warn, "register-refused", [.init("reason", words)])
                proxyLost("it says: \(words)")
                actions.append(.reconnectToProxy)
            case .registerRefused: registerRefused(try RegisterRefused(frame.payload))
            case .request: serve(frame)
            case .cancel: clientLeft(frame)
            case .credit: receive(try Credit(frame.payload), for: frame.header)
            case .proxyHeartbeatReply: receiveProxyHeartbeat(frame.header)
            case .probe: actions.append(.sendToProxy(reply(.probeReply, to: frame)))
            case .statusQuery:
                var status = status
                if let passive { status.lag = passive.lag(behind: state.position.index) }
                actions.append(.sendToProxy(status.frame(sequence: frame.header.sequence)))
            case .shutdown: beginShutdown()
            case .stop: finish(.shutdown)
            case .resync: resyncOrdered()
            case .trust: trusted()
            // Whoever sends what only a server sends is no proxy: another server, or this one itself.
            default: strangerAtProxy("a frame of type \(frame.type) has no business there")
            }
        } catch {
            log(.error, "malformed-frame", [.init("from", "proxy"), .init("type", "\(frame.type)")])
            proxyLost("it sent a malformed frame")
            actions.append(.reconnectToProxy)
        }
    }

    /// What answers at the proxy's address is not the proxy, or does not speak as one: this connection says nothing.
    private mutating func strangerAtProxy(_ reason: String) {
        log(.warn, "unexpected-frame", [.init("from", "proxy"), .init("reason", reason)])
        proxyLost(reason)
        actions.append(.reconnectToProxy)
    }

    private func reply(_ type: FrameType, to frame: Frame) -> Frame {
        Frame(Header(type, sequence: frame.header.sequence, epoch: active?.epoch ?? .zero))
    }

    private mutating func registerRefused(_ refusal: RegisterRefused) {
        if refusal.isFinal {
            finish(.failed(refusal.message))
        } else {
            log(.warn, "register-refused", [.init("reason", refusal.message)])
            proxyLost("the registration was refused")
            actions.append(.reconnectToProxy)
        }
    }

    private mutating func receive(_ view: View) {
        let isFirst = proxy == .registering
        if isFirst { log(.info, "registered", [.init("role", role)]) }
        proxy = .registered
        members = [:]
        passive?.resetRedial()
        for member in view.members { members[member.name] = member.address }
        noteHeartbeats(of: view.members)
        // What was asked on an earlier connection has been carried out before the view, or never will be. A proxy that has
        // no record, or an older one, has lost what it did: it tells nothing.
        let tells = view.record.map { !isOutdated($0) } ?? false
        if tells, case .changeInSync = pendingSwitch?.kind, pendingSwitch?.askedAt == Instant(nanoseconds: .max / 2) {
            pendingSwitch = nil
        }
        adopt(view.record)
        if tells { endDoubtOfNewcomers() }
        // The proxy's first word on a connection is no older than the connection.
        if isFirst { endDoubt() }
        considerTakeOver()
    }

    private mutating func receive(_ reply: SwitchReply, sequence: RequestSequence) {
        if reply.granted, let record = reply.record, sequence == RequestSequence(0) {
            appointed(record)
            return
        }
        guard let pending = pendingSwitch, pending.sequence == sequence else { return }
        pendingSwitch = nil
        switch pending.kind {
        case .takeOver:
            if reply.granted, let record = reply.record, record.active == name, active == nil {
                guard isPossible(record) else { return }
                // What it asked for it may not be able to take any more: it asks again when it can.
                if isFit { becomeActive(record) } else { adopt(record) }
            } else {
                log(.info, "takeover-refused", [.init("reason", reply.message)])
                adopt(reply.record)
            }
        case .changeInSync:
            if !reply.granted { log(.warn, "insync-refused", [.init("reason", reply.message)]) }
            // A refusal that brings no news would be answered with the same request at once; the next tick asks again.
            if reply.granted || reply.record != record { adopt(reply.record) }
            endDoubtOfNewcomers()
        }
    }

    /// An operator has made this server the active one. The grant is for this connection, and so for this process: an
    /// earlier life's would not have come here.
    private mutating func appointed(_ granted: SwitchRecord) {
        guard granted.active == name, active == nil, isFit, !isBlank, let known = record,
            granted.cluster == known.cluster, granted.epoch > known.epoch, isPossible(granted)
        else {
            adopt(granted)
            return
        }
        pendingSwitch = nil
        becomeActive(granted, isPlanned: true)
    }

    /// Whether the switch can have granted this: entries of a later epoch, or a newer record, are there before no grant.
    private mutating func isPossible(_ granted: SwitchRecord) -> Bool {
        guard !isOutdated(granted), granted.epoch >= state.position.epoch else {
            strangerAtProxy(
                "it grants epoch \(granted.epoch.number), and this log ends in \(state.position.epoch.number)")
            return false
        }
        return true
    }

    private func isOutdated(_ other: SwitchRecord) -> Bool {
        guard let record else { return false }
        return other.cluster != record.cluster || other.version < record.version
    }

    /// Takes the record over where it is newer than the one that is known, and acts on it.
    private mutating func adopt(_ newer: SwitchRecord?) {
        guard let newer, !isOutdated(newer) else { return }
        let previous = record
        if newer != previous {
            record = newer
            newcomersInDoubt = []
            if !isBlank { actions.append(.remember(newer)) }
        }
        if let active {
            if newer.active == name, newer.epoch == active.epoch {
                inSyncChanged(from: previous)
            } else {
                stepDown(newer)
            }
        } else if newer.active == name {
            // Granted to an earlier life of this server: it asks anew, for an epoch of its own.
            abandonLink()
            passive = nil
        } else {
            follow(newer)
        }
    }

    /// Asks for the switch where the rules allow it: founding a cluster, coming back as the recorded active server, or in
    /// place of an active server that is out of reach.
    mutating func considerTakeOver() {
        guard proxy == .registered, pendingSwitch == nil, active == nil, isFit, !isFinished else { return }
        guard let reason = takeOverReason() else { return }
        if let last = lastTakeOverAsked, moment.instant.duration(since: last) < Timing.takeOverRetry { return }
        lastTakeOverAsked = moment.instant
        let sequence = nextSequence()
        pendingSwitch = PendingSwitch(sequence: sequence, kind: .takeOver, askedAt: moment.instant)
        let request = SwitchRequest.takeOver(epoch: record?.epoch ?? .zero, reason: reason)
        actions.append(.sendToProxy(request.frame(sequence: sequence)))
    }

    private func takeOverReason() -> String? {
        guard let record else { return "founding the cluster" }
        #if PLANTED_BUGS
            if PlantedBug.promoteOutsideTheSet.isOn, let reason = passive?.lostReason { return reason }
        #endif
        guard record.inSync.contains(name) else { return nil }
        if record.active == name { return "coming back as the active server" }
        guard let passive else { return nil }
        if let reason = passive.lostReason { return reason }
        guard members[record.active] == nil else { return nil }
        if !passive.isLinked { return "the active server is not registered" }
        // The peer hears it, the proxy does not: it gets a moment to reconnect.
        guard let since = passive.unregisteredSince,
            moment.instant.duration(since: since) > Timing.proxyLostActivePatience
        else { return nil }
        return "the active server has lost the proxy"
    }

    /// The active server wants the switch to record another in-sync set.
    mutating func requestInSync(_ inSync: [NodeID]) {
        guard proxy == .registered, pendingSwitch == nil, let record, record.inSync != inSync else { return }
        newcomersInDoubt = inSync.filter { !record.inSync.contains($0) }
        if !newcomersInDoubt.isEmpty, let recordThatMayStand { actions.append(.remember(recordThatMayStand)) }
        let sequence = nextSequence()
        pendingSwitch = PendingSwitch(sequence: sequence, kind: .changeInSync(inSync), askedAt: moment.instant)
        let request = SwitchRequest.changeInSync(epoch: record.epoch, version: record.version, inSync: inSync)
        actions.append(.sendToProxy(request.frame(sequence: sequence)))
    }

    private mutating func resyncOrdered() {
        mayFollow = true
        guard active == nil else { return }
        log(.info, "resync-ordered")
        if let record, record.active != name { follow(record) }
    }

    private mutating func stepDown(_ record: SwitchRecord) {
        log(
            .alert, "deposed",
            [
                .init("server", name), .init("epoch", active?.epoch.number ?? 0),
                .init("active", record.active), .init("newEpoch", record.epoch.number),
            ])
        leaveOffice()
        pendingSwitch = nil
        // Named again in another epoch: it asks for one of its own.
        guard record.active != name else { return }
        mayFollow = settings.resync == .auto
        follow(record)
    }

    /// Ceases to act as the active server.
    mutating func leaveOffice() {
        for follower in active?.followers.values.sorted(by: { $0.name < $1.name }) ?? [] { disconnect(follower) }
        for stranger in active?.strangers.keys.sorted(by: { $0.number < $1.number }) ?? [] {
            actions.append(.closePeer(stranger))
        }
        abandonSearches()
        active = nil
    }
}
