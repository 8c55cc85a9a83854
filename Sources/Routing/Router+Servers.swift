import TupleCore
import WireProtocol

/// A connection of a server.
struct Server: Sendable {
    var since: Instant
    /// Nil until it has registered.
    var name: NodeID?
    var address = ""
    var rule = ElementRule.alphanumeric
    /// The record it brought; nil where its data directory was new.
    var record: SwitchRecord?
    /// The epoch in which it said that it is active; zero where it is not.
    var activeEpoch = Epoch.zero
    /// Where its log ended when it registered.
    var position = LogPosition.zero
    /// Which start of which directory it is; nil of release 0.1, which must not be sent what it cannot read.
    var lineage: Lineage?
    var heartbeats: HeartbeatSettings?
    /// Whether it holds the space: it was not new when it registered, or it has said on this very connection that it does
    /// by now.
    var holdsCopy = false
    /// It is a member of the in-sync set, and brought less than it was known to hold.
    var isStale = false
    /// Whether it may be promoted, or taken into the in-sync set.
    var isEligible: Bool { holdsCopy && !isStale }
    /// When something came from it last.
    var lastHeard: Instant
    /// The silence that makes it suspect, at the least; nil until it has sent a heartbeat.
    var heartbeatTimeout: Duration?
    /// The last tick found it silent for too long.
    var isSuspected = false
    /// Where another connection claims the same name: until when this one has time to answer.
    var challengedUntil: Instant?

    init(since: Instant) {
        self.since = since
        lastHeard = since
    }
}

extension Router {
    mutating func receive(_ run: FrameRun, from link: ServerLink) {
        run.forEachInPlace { frame in
            // Nearly all that comes are the active server's responses, many at the same moment.
            if frame.header.type == .response, link == route, now == routeHeardAt {
                response(frame, of: run, from: link)
            } else {
                receive(frame, of: run, from: link)
            }
            return true
        }
    }

    private mutating func receive(_ inPlace: FrameInPlace, of run: FrameRun, from link: ServerLink) {
        guard let server = servers[link] else { return }
        let frame = run.frame(at: inPlace.offset)
        guard server.name != nil else {
            register(frame, link)
            return
        }
        servers[link]?.challengedUntil = nil
        heard(link)
        if link == route { routeHeardAt = now }
        switch frame.type {
        case .response: response(inPlace, of: run, from: link)
        case .proxyHeartbeat: heartbeat(frame, from: link)
        case .takeOver, .changeInSync: switchRequest(frame, from: link)
        case .probeReply: probeReply(frame, from: link)
        case .statusReply: statusReply(frame, from: link)
        case .holding: servers[link]?.holdsCopy = true
        case .shutdown: activeIsGoing(link)
        default:
            drop(link, "it sent a frame of type \(frame.type)")
        }
    }

    // MARK: Silence

    private mutating func heard(_ link: ServerLink) {
        pace.arrived(after: silence(of: link))
        servers[link]?.lastHeard = now
        servers[link]?.isSuspected = false
        // It lives: should somebody want to take over nevertheless, it is asked anew.
        if let probe, probe.link == link, probe.deadline == nil { self.probe = nil }
    }

    /// How long nothing has come from a server while this process was awake.
    func silence(of link: ServerLink) -> Duration {
        guard let last = servers[link]?.lastHeard else { return .zero }
        return now.duration(since: max(last, awakeSince))
    }

    private mutating func heartbeat(_ frame: Frame, from link: ServerLink) {
        guard let beat = try? ProxyHeartbeat(frame.payload) else {
            drop(link, "it sent a malformed heartbeat")
            return
        }
        servers[link]?.heartbeatTimeout = beat.timeout
        if link == route, let commit = beat.commit { noteAcknowledged(commit, in: frame.header.epoch) }
        let reply = Header(.proxyHeartbeatReply, sequence: frame.header.sequence, epoch: record?.epoch ?? .zero)
        act(.sendToServer(link, Frame(reply)))
    }

    /// Ends a connection of which nothing has come for so long that it is dead, though nobody has closed it. Only the
    /// second tick in a row acts: between the two everything that had arrived was read.
    private mutating func dropIfSilent(_ link: ServerLink, _ server: Server) {
        guard let lower = server.heartbeatTimeout else { return }
        let silence = silence(of: link)
        guard silence > pace.timeout(atLeast: lower) * RouterSettings.silentTimeouts else {
            servers[link]?.isSuspected = false
            return
        }
        if server.isSuspected {
            drop(link, "silent for \(silence.wholeMilliseconds) ms")
        } else {
            servers[link]?.isSuspected = true
        }
    }

    private mutating func response(_ frame: FrameInPlace, of run: FrameRun, from link: ServerLink) {
        guard link == route, frame.header.epoch == record?.epoch else {
            discarded += 1
            return
        }
        if unconfirmedFounder != nil { unconfirmedFounder = nil }
        // About its share, where several clients are answered at once.
        relay(frame, min(run.byteCount, 4_096))
    }

    // MARK: Registration

    private mutating func register(_ frame: Frame, _ link: ServerLink) {
        guard frame.type == .register else {
            drop(link, "its first frame was no registration")
            return
        }
        let register: Register
        do throws(DecodingError) { register = try Register(frame.payload) } catch {
            let words = "its registration cannot be read (\(error)): a later release wrote it, or it is damaged"
            refuse(link, "?", RegisterRefused(isFinal: true, message: words))
            return
        }
        if let refusal = refusal(of: register, link) {
            refuse(link, register.name.name, refusal)
            return
        }
        servers[link]?.name = register.name
        servers[link]?.address = register.address
        servers[link]?.rule = register.rule
        servers[link]?.record = register.record
        servers[link]?.activeEpoch = register.activeEpoch
        if register.record != nil, register.name == unconfirmedFounder { unconfirmedFounder = nil }
        servers[link]?.holdsCopy = register.holdsCopy || register.name == unconfirmedFounder
        servers[link]?.position = register.position
        servers[link]?.lineage = register.lineage
        servers[link]?.heartbeats = register.heartbeats
        log(
            .info, "server-registered",
            [
                .init("server", register.name), .init("address", register.address),
                .init("index", register.position.index.number),
            ])
        #if PLANTED_BUGS
            if PlantedBug.promoteEmptyCopies.isOn { servers[link]?.holdsCopy = true }
        #endif
        reconcile(register, link)
        let returned = route == nil ? linkOfPresentActive : nil
        // It was active all the time; only the connection, this proxy, or its record was away.
        if let returned { routeEstablished(returned) }
        broadcast()
        if returned != nil { replay() }
    }

    private mutating func refuse(_ link: ServerLink, _ name: String, _ refusal: RegisterRefused) {
        log(.warn, "register-refused", [.init("server", name), .init("reason", refusal.message)])
        act(.sendToServer(link, refusal.frame))
        act(.closeServer(link))
        servers[link] = nil
    }

    /// The server that the record names, where it registered as active in that very epoch. It may have done so before the
    /// record was rebuilt.
    private var linkOfPresentActive: ServerLink? {
        guard let record else { return nil }
        let isPresent = { (server: Server) in
            server.name == record.active && server.activeEpoch == record.epoch && !server.isStale
        }
        return servers.first { isPresent($0.value) }?.key
    }

    private mutating func refusal(of register: Register, _ link: ServerLink) -> RegisterRefused? {
        guard shutdown == nil else { return RegisterRefused(isFinal: false, message: "the service is shutting down") }
        if let other = servers.first(where: { $0.key != link && $0.value.name == register.name })?.key {
            if servers[other]?.challengedUntil == nil {
                servers[other]?.challengedUntil = now.advanced(by: RouterSettings.probeTime)
                act(.sendToServer(other, Frame(Header(.probe, sequence: nextSequence()))))
            }
            return RegisterRefused(
                isFinal: false, message: "a server named \(register.name) is connected already; names must differ")
        }
        if let complaint = RegisteredAddress.complaint(of: register.address) {
            return RegisterRefused(isFinal: true, message: complaint)
        }
        if let theirs = register.record, let ours = clusterOfRecord, theirs.cluster != ours {
            return RegisterRefused(
                isFinal: true,
                message:
                    "its data belong to cluster \(theirs.cluster.number), this proxy to \(ours.number): give it an empty --data directory, or the right --proxy"
            )
        }
        guard let record else { return nil }
        if register.rule != record.rule {
            return RegisterRefused(
                isFinal: true,
                message:
                    "the space was created with --elements \(record.rule.name), the server was started with --elements \(register.rule.name): the setting belongs to the space and cannot be changed"
            )
        }
        return nil
    }

    /// Everybody is told the record and who is here.
    mutating func broadcast() {
        let members = servers.values.compactMap { server in
            server.name.map { View.Member(name: $0, address: server.address, heartbeats: server.heartbeats) }
        }
        var view = View(record: record, members: members.sorted { $0.name < $1.name })
        let frame = view.frame
        view.record = record?.withoutIncarnations
        for number in view.members.indices { view.members[number].heartbeats = nil }
        let plain = view.frame
        for (link, server) in servers.sorted(by: { $0.key < $1.key }) where server.name != nil {
            act(.sendToServer(link, server.lineage == nil ? plain : frame))
        }
    }

    /// The record as a server can read it.
    func record(for link: ServerLink) -> SwitchRecord? {
        servers[link]?.lineage == nil ? record?.withoutIncarnations : record
    }

    // MARK: The route

    mutating func routeEstablished(_ link: ServerLink) {
        route = link
        guard noActiveAlerted else { return }
        noActiveAlerted = false
        log(
            .alert, "active-restored",
            [
                .init("server", servers[link]?.name?.name ?? ""), .init("epoch", record?.epoch.number ?? 0),
            ])
    }

    /// - Parameter isLoss: whether it is gone or does not answer, rather than an operator's wish.
    mutating func routeLost(isLoss: Bool) {
        if route != nil {
            losses.ended(isLoss: isLoss)
            settleSuspect(isLoss: isLoss)
        }
        route = nil
        if probe?.deadline == nil { probe = nil }
        routeHeardAt = nil
        routeLostAt = now
    }

    mutating func closed(_ link: ServerLink) {
        guard let server = servers.removeValue(forKey: link) else { return }
        if let name = server.name { log(.warn, "server-lost", [.init("server", name)]) }
        if link == route { routeLost(isLoss: true) }
        if probe?.link == link { settleProbe() }
        shutdownProgress()
        if server.name != nil { broadcast() }
    }

    mutating func drop(_ link: ServerLink, _ reason: String) {
        log(.warn, "server-dropped", [.init("server", servers[link]?.name?.name ?? "?"), .init("reason", reason)])
        act(.closeServer(link))
        closed(link)
    }

    mutating func tickServers() {
        for (link, server) in servers.sorted(by: { $0.key < $1.key }) {
            if server.name == nil, now.duration(since: server.since) > RouterSettings.greetingTime {
                drop(link, "it did not register")
            } else if let until = server.challengedUntil, now > until {
                drop(link, "it does not answer, and another connection claims its name")
            } else {
                dropIfSilent(link, server)
            }
        }
        if let deadline = probe?.deadline {
            if now >= deadline { settleProbe() }
        } else {
            askAhead()
        }
    }
}
