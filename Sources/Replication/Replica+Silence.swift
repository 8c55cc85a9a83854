import TupleCore
import WireProtocol

/// How silence is noticed, and what a process does that was itself stopped: it blames nobody, and alerts of nothing
/// before it knows that it is still who it was.
extension Replica {
    /// A link, as its silence is judged.
    struct Hearing: Sendable {
        private(set) var last: Instant
        /// The last tick found it silent. Only the second one acts on it: between two ticks everything that had arrived
        /// already was read.
        private var isSuspected = false

        init(at now: Instant) { last = now }

        /// - Returns: how long nothing had come.
        mutating func heard(at now: Instant) -> Duration {
            defer { restart(at: now) }
            return now.duration(since: last)
        }

        /// Counts anew.
        mutating func restart(at now: Instant) {
            last = now
            isSuspected = false
        }

        /// At a tick.
        ///
        /// - Returns: how long it has been silent, where that is too long.
        mutating func silence(longerThan timeout: Duration, at now: Instant) -> Duration? {
            let silence = now.duration(since: last)
            guard silence > timeout else {
                isSuspected = false
                return nil
            }
            defer { isSuspected = true }
            return isSuspected ? silence : nil
        }
    }

    /// What an active server that was stopped for a moment does not say before the proxy has confirmed its epoch: another
    /// may have taken over meanwhile, and its followers have left it for that.
    struct Doubt: Sendable {
        /// The heartbeat whose reply ends the doubt.
        var sequence: RequestSequence
        var held: [LogLine] = []
    }

    /// How long another server may be silent. Where it looks out for silence differently, the longer time counts: it may
    /// send as seldom as its settings say.
    func peerTimeout(_ peer: NodeID) -> Duration {
        pace.timeout(atLeast: max(settings.heartbeatTimeout, heartbeats[peer]?.timeout ?? .zero))
    }

    /// The proxy is given longer: to lose it is a pause for everyone.
    var proxyTimeout: Duration { pace.timeout(atLeast: settings.heartbeatTimeout) * Timing.proxyTimeouts }

    /// Holds the others' settings against this server's own, and says once of each that they differ.
    mutating func noteHeartbeats(of members: [View.Member]) {
        // A link outlives both servers' connections to the proxy.
        heartbeats = heartbeats.filter { active?.followers[$0.key] != nil || passive?.target.name == $0.key }
        if differing.count > Limits.maximumMembers { differing = [] }
        for member in members where member.name != name {
            heartbeats[member.name] = member.heartbeats
            guard let theirs = member.heartbeats, theirs != settings.heartbeats else {
                differing.remove(member.name)
                continue
            }
            guard differing.insert(member.name).inserted else { continue }
            log(
                .warn, "settings-differ",
                [
                    .init("server", member.name), .init("theirs", "\(theirs)"), .init("ours", "\(settings.heartbeats)"),
                    .init("timeout", max(settings.heartbeatTimeout, theirs.timeout)),
                ])
        }
    }

    /// A process that was itself stopped or starved must not blame the others for the silence.
    mutating func noteStall() {
        guard let last = lastTick, moment.instant.duration(since: last) > settings.heartbeatInterval * 2 else { return }
        let now = moment.instant
        lastTick = now
        stalledAt = now
        proxyHearing.restart(at: now)
        passive?.hearing.restart(at: now)
        passive?.logHeard = now
        for id in active?.followers.keys.sorted() ?? [] {
            active?.followers[id]?.hearing.restart(at: now)
            active?.followers[id]?.progressAt = now
        }
        guard active != nil else { return }
        let sequence = nextSequence()
        let held = active?.doubt?.held ?? []
        active?.doubt = Doubt(sequence: sequence, held: held)
        if proxy == .registered { beatProxy(sequence) }
    }

    /// Whether this process was stopped just now, so that the ends of connections may be due to that.
    var wasStalled: Bool {
        stalledAt.map { moment.instant.duration(since: $0) <= settings.heartbeatInterval } ?? false
    }

    /// The proxy has confirmed the epoch, after whatever it was that stopped this process.
    mutating func endDoubt() {
        guard let doubt = active?.doubt else { return }
        active?.doubt = nil
        for line in doubt.held { actions.append(.log(line)) }
    }

    /// Says at once, or once the epoch is confirmed, what only the active server may say.
    mutating func alertAsActive(_ event: String, _ fields: [LogLine.Field]) {
        if active?.doubt != nil {
            active?.doubt?.held.append(LogLine(.alert, event, fields))
        } else {
            log(.alert, event, fields)
        }
    }

    // MARK: The proxy

    mutating func tickProxy() {
        guard proxy != .down else { return }
        if let silence = proxyHearing.silence(longerThan: proxyTimeout, at: moment.instant) {
            log(.warn, "proxy-silent", [.init("for", "\(silence.wholeMilliseconds)ms")])
            proxyLost("silent for \(silence.wholeMilliseconds) ms")
            actions.append(.reconnectToProxy)
            return
        }
        let isDue = lastProxyBeat.map { moment.instant.duration(since: $0) >= settings.heartbeatInterval } ?? true
        if isDue { beatProxy(nextSequence()) }
    }

    private mutating func beatProxy(_ sequence: RequestSequence) {
        lastProxyBeat = moment.instant
        let beat = ProxyHeartbeat(timeout: settings.heartbeatTimeout, commit: active?.commitOfEpoch)
        actions.append(.sendToProxy(beat.frame(epoch: active?.epoch ?? .zero, sequence: sequence)))
    }

    mutating func heardProxy() {
        guard proxy != .down else { return }
        pace.arrived(after: proxyHearing.heard(at: moment.instant))
    }

    mutating func receiveProxyHeartbeat(_ header: Header) {
        guard let active, header.epoch == active.epoch, header.sequence == active.doubt?.sequence else { return }
        endDoubt()
    }
}
