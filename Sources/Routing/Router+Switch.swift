import TupleCore
import WireProtocol

/// The one direct question to a silent active server, and who waits for what becomes of it.
struct Probe: Sendable {
    var link: ServerLink
    var sequence: RequestSequence
    var askedAt: Instant
    /// Nil while nobody wants to take over: it was asked ahead of that.
    var deadline: Instant?
    /// The epoch that is in question; when another one has begun meanwhile, there is nothing to settle any more.
    var epoch: Epoch
    var askers: [(link: ServerLink, sequence: RequestSequence, reason: String)]
}

/// The switch: a record changed by compare-and-swap, durable before it counts.
extension Router {
    mutating func change(to changed: SwitchRecord) {
        // Who is not in the set is not held against it.
        for (link, server) in servers {
            guard server.isStale, let name = server.name, !changed.inSync.contains(name) else { continue }
            servers[link]?.isStale = false
        }
        let newer = withIncarnations(changed)
        knownCluster = newer.cluster
        #if PLANTED_BUGS
            if PlantedBug.forgetTheRecord.isOn, record != nil {
                record = newer
                return
            }
        #endif
        record = newer
        act(.persist(newer))
    }

    mutating func switchRequest(_ frame: Frame, from link: ServerLink) {
        guard let request = try? SwitchRequest(frame) else {
            drop(link, "it sent a malformed switch request")
            return
        }
        let sequence = frame.header.sequence
        switch request {
        case .takeOver(let epoch, let reason): takeOver(link, sequence, from: epoch, reason)
        case .changeInSync(let epoch, let version, let inSync):
            changeInSync(link, sequence, epoch: epoch, version: version, inSync)
        }
    }

    private mutating func reply(_ link: ServerLink, _ sequence: RequestSequence, refused message: String) {
        let reply = SwitchReply(granted: false, record: record(for: link), message: message)
        act(.sendToServer(link, reply.frame(sequence: sequence)))
    }

    // MARK: Takeover

    private mutating func takeOver(
        _ link: ServerLink, _ sequence: RequestSequence, from epoch: Epoch, _ reason: String
    ) {
        guard let server = servers[link], let name = server.name else { return }
        guard shutdown == nil else {
            reply(link, sequence, refused: "the service is shutting down")
            return
        }
        guard !isRebuilding else {
            reply(link, sequence, refused: noActiveReason)
            return
        }
        guard let record else {
            found(link, sequence, name)
            return
        }
        guard epoch == record.epoch else {
            reply(link, sequence, refused: "epoch \(epoch.number) is over; it is \(record.epoch.number)")
            return
        }
        guard isMember(name, of: record), server.isEligible else {
            reply(link, sequence, refused: "\(name) does not hold every acknowledged write")
            return
        }
        guard !record.isExhausted else {
            reply(link, sequence, refused: Router.exhausted)
            return
        }
        guard let route, route != link else {
            grant(link, sequence, name, reason)
            return
        }
        // The active server's connection stands: it is asked, once, and has a short time to answer.
        if probe?.link != route || probe?.epoch != epoch {
            for asker in probe?.askers ?? [] where servers[asker.link] != nil {
                reply(asker.link, asker.sequence, refused: "the active server is another one by now")
            }
            ask(route, epoch)
        }
        probe?.askers.append((link, sequence, reason))
        guard let asked = probe, asked.deadline == nil else { return }
        let deadline = deadline(of: asked)
        probe?.deadline = deadline
    }

    private static let exhausted = "the record's epochs or versions are used up"

    private mutating func ask(_ link: ServerLink, _ epoch: Epoch) {
        let question = nextSequence()
        probe = Probe(link: link, sequence: question, askedAt: now, deadline: nil, epoch: epoch, askers: [])
        act(.sendToServer(link, Frame(Header(.probe, sequence: question, epoch: epoch))))
    }

    /// Asks an active server of which nothing has come for a while, before anybody wants to take over: should it come to
    /// that, the time for the answer has passed already.
    mutating func askAhead() {
        guard let route, let record, probe == nil, shutdown == nil, let lower = servers[route]?.heartbeatTimeout,
            silence(of: route) > lower / RouterSettings.askedAheadDivisor
        else { return }
        ask(route, record.epoch)
    }

    /// Until when the active server has time for the question, now that somebody wants to take over. Where it has not
    /// been heard of here either, each heartbeat that did not come was a question too, and what is left of the time is
    /// shorter. It may be over; but what has arrived meanwhile is read before that counts.
    ///
    /// However short a silence makes another server ask, here it has to last half as long again: two processes that are
    /// kept from running for a moment at the same time are not the loss of one.
    private func deadline(of probe: Probe) -> Instant {
        guard let lower = servers[probe.link]?.heartbeatTimeout else {
            return probe.askedAt.advanced(by: RouterSettings.probeTime)
        }
        let silence = silence(of: probe.link)
        let rest = max(
            min(pace.timeout(atLeast: lower) - silence, RouterSettings.probeTime),
            lower * RouterSettings.leastSilence.numerator / RouterSettings.leastSilence.denominator - silence)
        return max(probe.askedAt.advanced(by: RouterSettings.leastProbeTime), now.advanced(by: rest))
    }

    /// Counts the time for the answer anew: this process was itself stopped, and may not have read it yet.
    mutating func restartProbe() {
        guard var restarted = probe else { return }
        restarted.askedAt = now
        if restarted.deadline != nil { restarted.deadline = deadline(of: restarted) }
        probe = restarted
    }

    /// The first server of all founds the cluster.
    private mutating func found(_ link: ServerLink, _ sequence: RequestSequence, _ name: NodeID) {
        guard servers[link]?.record == nil else {
            reply(link, sequence, refused: noActiveReason)
            return
        }
        let founded = SwitchRecord(
            cluster: settings.newCluster, epoch: Epoch(1), version: 1, active: name, inSync: [name],
            rule: servers[link]?.rule ?? .alphanumeric)
        log(.info, "founded", [.init("cluster", founded.cluster.number), .init("server", name)])
        unconfirmedFounder = name
        install(founded, link, sequence)
    }

    private func isMember(_ name: NodeID, of record: SwitchRecord) -> Bool {
        #if PLANTED_BUGS
            if PlantedBug.promoteOutsideTheSet.isOn { return true }
        #endif
        return record.inSync.contains(name)
    }

    private func epoch(after record: SwitchRecord) -> Epoch {
        #if PLANTED_BUGS
            if PlantedBug.reuseTheEpoch.isOn { return record.epoch }
        #endif
        return record.epoch.next
    }

    private mutating func grant(_ link: ServerLink, _ sequence: RequestSequence, _ name: NodeID, _ reason: String) {
        guard let record else { return }
        var inSync = record.inSync
        if record.active != name { inSync.removeAll { $0 == record.active } }
        #if PLANTED_BUGS
            if PlantedBug.promoteOutsideTheSet.isOn, !inSync.contains(name) { inSync.append(name) }
        #endif
        let granted = SwitchRecord(
            cluster: record.cluster, epoch: epoch(after: record), version: record.version + 1, active: name,
            inSync: inSync, rule: record.rule, incarnations: record.incarnations)
        let deposed = route
        log(
            .alert, "takeover",
            [
                .init("server", name), .init("epoch", granted.epoch.number), .init("from", record.active),
                .init("reason", reason),
            ])
        if let deposed, deposed != link {
            // It does not answer; the closed connection will tell it when it wakes up.
            routeLost(isLoss: true)
            act(.closeServer(deposed))
            servers[deposed] = nil
        }
        install(granted, link, sequence)
    }

    /// The sequence of a grant that nobody asked for: an operator did.
    private static let unasked = RequestSequence(0)

    private mutating func install(_ record: SwitchRecord, _ link: ServerLink, _ sequence: RequestSequence) {
        // Before the record is made: it names the incarnations of those who may be promoted.
        servers[link]?.holdsCopy = true
        servers[link]?.isStale = false
        change(to: record)
        let reply = SwitchReply(granted: true, record: self.record(for: link))
        act(.sendToServer(link, reply.frame(sequence: sequence)))
        routeEstablished(link)
        replay()
        broadcast()
    }

    mutating func probeReply(_ frame: Frame, from link: ServerLink) {
        guard let probe, probe.link == link, probe.sequence == frame.header.sequence else { return }
        guard frame.header.epoch == record?.epoch else {
            // It answers, but not as the active server.
            settleProbe()
            return
        }
        self.probe = nil
        for asker in probe.askers where servers[asker.link] != nil {
            reply(asker.link, asker.sequence, refused: "the active server \(record?.active.name ?? "") answers")
        }
    }

    /// The active server is gone or did not answer in time: the first that asked takes over.
    mutating func settleProbe() {
        guard let probe else { return }
        self.probe = nil
        guard probe.epoch == record?.epoch, shutdown == nil else {
            for asker in probe.askers where servers[asker.link] != nil {
                reply(asker.link, asker.sequence, refused: "epoch \(probe.epoch.number) is over")
            }
            return
        }
        var isGranted = false
        for asker in probe.askers {
            guard let server = servers[asker.link], let name = server.name else { continue }
            if isGranted {
                reply(asker.link, asker.sequence, refused: "another server has taken over")
            } else if record?.inSync.contains(name) == true, server.isEligible {
                isGranted = true
                grant(asker.link, asker.sequence, name, asker.reason)
            } else {
                reply(asker.link, asker.sequence, refused: "\(name) does not hold every acknowledged write any more")
            }
        }
    }

    // MARK: The in-sync set

    private mutating func changeInSync(
        _ link: ServerLink, _ sequence: RequestSequence, epoch: Epoch, version: UInt64, _ inSync: [NodeID]
    ) {
        guard var record, link == route, epoch == record.epoch else {
            reply(link, sequence, refused: "only the active server of the present epoch may change the in-sync set")
            return
        }
        guard !record.isExhausted, inSync.count <= Limits.maximumMembers else {
            reply(link, sequence, refused: record.isExhausted ? Router.exhausted : "the set has too many members")
            return
        }
        guard version == record.version else {
            reply(link, sequence, refused: "the record has changed since (version \(record.version))")
            return
        }
        guard inSync.contains(record.active), Set(inSync).count == inSync.count else {
            reply(link, sequence, refused: "an in-sync set names each server once, the active one among them")
            return
        }
        // What the active server knows of a follower may be of an earlier life of it, before its disk was lost. The
        // follower's own word, on its present connection, tells them apart.
        let holders = Set(servers.values.filter(\.isEligible).compactMap(\.name))
        let added = inSync.filter { !record.inSync.contains($0) }
        if let absent = added.first(where: { !holders.contains($0) }) {
            reply(link, sequence, refused: "\(absent) is not registered, or does not hold the space yet")
            return
        }
        unconfirmedFounder = nil
        record.inSync = inSync.sorted()
        record.version += 1
        change(to: record)
        log(
            .info, "insync",
            [.init("epoch", record.epoch.number), .init("servers", inSync.map(\.name).joined(separator: ","))])
        act(
            .sendToServer(
                link, SwitchReply(granted: true, record: self.record(for: link)).frame(sequence: sequence)))
        broadcast()
    }

    // MARK: An operator's switchover

    /// - Returns: nil where it was done, else why not.
    mutating func switchOver(to wanted: NodeID?, acceptDataLoss: Bool) -> String? {
        guard shutdown == nil else { return "the service is shutting down" }
        guard !isRebuilding else { return decideRebuilding(for: wanted, acceptDataLoss: acceptDataLoss) }
        guard let record else { return "there is no cluster yet" }
        guard !record.isExhausted else { return Router.exhausted }
        let candidates = servers.filter { _, server in
            guard let name = server.name, name != record.active || route == nil else { return false }
            return wanted.map { $0 == name } ?? record.inSync.contains(name)
        }
        guard let (link, server) = candidates.min(by: { $0.key < $1.key }), let target = server.name else {
            return wanted.map { "\($0) is not registered, or is active already" }
                ?? "no registered passive server holds every acknowledged write"
        }
        let isSafe = record.inSync.contains(target) && server.isEligible
        guard isSafe || acceptDataLoss else {
            return "\(target) may lack acknowledged writes; --accept-data-loss promotes it nevertheless"
        }
        guard isSafe || server.record != nil || server.holdsCopy else {
            return "\(target) has no data of this cluster"
        }
        // The old active server holds every acknowledged write too, if it is there: should the new one be lost at once, it
        // may come back.
        let inSync = isSafe ? record.inSync.filter { route != nil || $0 != record.active || $0 == target } : [target]
        let changed = SwitchRecord(
            cluster: record.cluster, epoch: record.epoch.next, version: record.version + 1, active: target,
            inSync: inSync, rule: record.rule, incarnations: record.incarnations)
        log(
            .alert, "switchover",
            [
                .init("server", target), .init("from", record.active), .init("epoch", changed.epoch.number),
                .init("dataLossAccepted", !isSafe),
            ])
        if !server.holdsCopy { act(.sendToServer(link, Frame(Header(.trust)))) }
        if !isSafe { acknowledged = nil }
        routeLost(isLoss: false)
        install(changed, link, Router.unasked)
        return nil
    }
}
