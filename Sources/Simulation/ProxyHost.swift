package import Journal
import struct Replication.DurableCopy
package import Routing
package import TupleCore
import WireProtocol

/// The proxy's machine: the switch's record on its disk, and the process, which is driven as `ProxyProcess` of the runtime
/// drives the router.
package final class ProxyHost {
    unowned let world: World
    private let maximumClients: Int
    private var storage = FaultyStorage()

    /// The process, while there is one.
    package private(set) var router: Router?
    private var record: DurableRecord?
    private(set) var life = 0
    private var standstill = Standstill()
    /// What was made durable last.
    package private(set) var durable: SwitchRecord?

    /// The same, where it is certain that no newer one is on the disk.
    package var certain: SwitchRecord? { isUncertain ? nil : durable }
    private var isUncertain = false
    /// How often the directory with the record was lost.
    private(set) var losses = 0

    private var clients: [ConnectionIndicator: LinkEnd] = [:]
    private var servers: [ServerLink: LinkEnd] = [:]
    private var operators: [OperatorLink: LinkEnd] = [:]
    /// Clients that are not read from.
    private(set) var paused: Set<ConnectionIndicator> = []
    /// Operators that are not read from.
    private(set) var pausedOperators: Set<OperatorLink> = []

    private var waiting: [Routing.Event] = []
    private var pending: ArraySlice<Action> = []
    private var isStepping = false
    private var isEnding = false
    private var isListening = false

    /// Answers to ``Routing/Event/statusAsked(_:)``.
    package private(set) var statuses: [UInt64: Term] = [:]
    /// The cluster's identity, should this proxy found one.
    package var newCluster = ClusterID(77)
    package var flow = FlowLimits.standard

    init(_ world: World, maximumClients: Int) {
        self.world = world
        self.maximumClients = maximumClients
    }

    package var isUp: Bool { router != nil }
    package var isFrozen: Bool { standstill.isFrozen }
    package var runs: Bool { router != nil && !isFrozen }

    // MARK: Life

    package func start() {
        precondition(router == nil, "the proxy runs already")
        standstill = Standstill()
        isEnding = false
        life += 1
        do throws(JournalError) {
            do throws(StorageError) { try storage.lock() } catch { throw .storage(error) }
            let record = try DurableRecord(storage: storage, name: "switch")
            let known = try DurableCopy.switchRecord(in: record)
            self.record = record
            world.watch.switchRecovered(known, durable)
            world.watch.proxyStarted()
            durable = known
            isUncertain = false
            router = Router(
                settings: RouterSettings(maximumClients: maximumClients, newCluster: newCluster, flow: flow),
                record: known, at: world.now)
        } catch {
            world.violate("the proxy does not start: \(error)")
            return
        }
        isListening = true
        world.tell("proxy starts")
        world.schedule(.proxyTick(life: life), after: RouterSettings.tick.wholeNanoseconds)
    }

    package func crash(_ loss: InMemoryStorage.Loss = .nothing, silently: Bool = false) {
        world.tell("proxy crashes")
        let ends =
            servers.sorted { $0.key < $1.key }.map(\.value)
            + clients.sorted { $0.key.number < $1.key.number }.map(\.value)
            + operators.sorted { $0.key.number < $1.key.number }.map(\.value)
        for end in ends {
            if silently { world.vanish(end) } else { world.close(end) }
        }
        servers = [:]
        clients = [:]
        operators = [:]
        paused = []
        pausedOperators = []
        life += 1
        router = nil
        record = nil
        waiting = []
        pending = []
        isStepping = false
        standstill = Standstill()
        isListening = false
        storage.mend()
        storage.disk.crash(loss)
        world.kick()
    }

    /// As ``ServerHost/dissolve()``.
    func dissolve() {
        standstill = Standstill()
        clients = [:]
        servers = [:]
        operators = [:]
    }

    package func freeze() {
        guard standstill.freeze() else { return }
        world.tell("proxy freezes")
    }

    package func thaw() {
        guard let late = standstill.thaw() else { return }
        world.tell("proxy wakes up")
        for body in late { world.schedule(.call(body), after: 0) }
        drain()
        world.kick()
    }

    package func stop(afterActions count: Int, byFreezing: Bool) {
        standstill.stop(afterActions: count, byFreezing: byFreezing)
    }

    package func die(afterDiskCalls count: Int, lastCounts: Bool) {
        storage.dieAfter(calls: count, lastCounts: lastCounts)
    }

    /// Disk and process are as they should be.
    package func mend() {
        storage.mend()
        standstill.forgetStop()
    }

    /// The directory with the switch's record is lost.
    package func wipe() {
        precondition(router == nil, "the proxy runs")
        world.tell("proxy loses the switch's record")
        storage = FaultyStorage()
        losses += 1
        durable = nil
        isUncertain = false
    }

    // MARK: Events and actions

    package func happened(_ event: Routing.Event) {
        guard router != nil, !isEnding else { return }
        waiting.append(event)
        drain()
    }

    private func drain() {
        guard !isStepping else { return }
        isStepping = true
        let life = life
        while self.life == life, !isFrozen, router != nil {
            if !pending.isEmpty {
                let verdict = standstill.beforeAction()
                guard verdict == .goesOn else {
                    if verdict == .freezes { freeze() } else { crash() }
                    break
                }
                carryOut(pending.removeFirst())
            } else if !waiting.isEmpty {
                let event = waiting.removeFirst()
                pending = (router?.step(event, at: world.now) ?? [])[...]
                world.watch.check(router?.checkInvariants() ?? [], "proxy")
            } else {
                break
            }
        }
        if self.life == life { isStepping = false }
    }

    func tick(_ life: Int) {
        guard life == self.life, router != nil else { return }
        guard !isFrozen else {
            standstill.hold { [unowned self] in tick(life) }
            return
        }
        world.schedule(.proxyTick(life: life), after: RouterSettings.tick.wholeNanoseconds)
        happened(.tick)
    }

    private func carryOut(_ action: Action) {
        switch action {
        case .persist(let newer): persist(newer)
        case .sendToClient(let client, let run):
            for frame in run {
                if frame.type == .response, let router {
                    world.watch.answering(frame, router, world)
                    world.watch.settled(frame)
                }
                if let end = clients[client] { world.send(frame, end) }
            }
        case .closeClient(let client): if let end = clients.removeValue(forKey: client) { world.close(end) }
        case .cutClient(let client): if let end = clients.removeValue(forKey: client) { world.cut(end) }
        case .reportDrained(let client, let rest): if let end = clients[client] { world.report(end, downTo: rest) }
        case .pauseOperator(let link, let isPaused):
            if isPaused {
                pausedOperators.insert(link)
            } else {
                pausedOperators.remove(link)
                world.kick()
            }
        case .pauseClient(let client, let isPaused):
            if isPaused {
                paused.insert(client)
            } else {
                paused.remove(client)
                world.kick()
            }
        case .sendToServer(let link, let run):
            for frame in run {
                if frame.type == .request {
                    world.watch.forwarded(frame, to: link)
                    if world.deadly != nil, world.deadly?.request == nil {
                        world.deadly?.request = Watch.RequestKey(frame.header)
                    }
                }
                guard let end = servers[link] else { continue }
                if frame.type == .registerRefused, let host = end.link.parties[1 - end.side].server {
                    world.watch.registers(host, isTaken: false)
                }
                world.send(frame, end)
            }
        case .closeServer(let link): if let end = servers.removeValue(forKey: link) { world.close(end) }
        case .sendToOperator(let link, let frame): if let end = operators[link] { world.send(frame, end) }
        case .closeOperator(let link): if let end = operators.removeValue(forKey: link) { world.close(end) }
        case .status(let token, let term): statuses[token.number] = term
        case .log(let line):
            world.tell("proxy \(line.story)")
            if line.event == "copy-stale" { world.watch.calledStale("\(line.fields.first?.value ?? "")", world) }
        case .stopListening:
            isListening = false
            world.tell("proxy takes no more connections")
        case .finish:
            world.tell("proxy ends")
            isEnding = true
            crash()
        }
    }

    private func persist(_ newer: SwitchRecord) {
        do throws(JournalError) {
            guard var file = record else { return }
            defer { record = file }
            try DurableCopy.write(newer, to: &file)
            world.watch.switched(to: newer, from: durable, world)
            durable = newer
            world.tell("  the switch is \(newer.story)")
        } catch {
            // What was written may count or not; the process ends before it acts on it.
            isUncertain = true
            if !storage.hasDied { world.tell("proxy ALERT disk reason=\(error)") }
            crash(storage.hasDied && world.random.once(in: 2) ? .unsynced(seed: world.random.next()) : .nothing)
        }
    }

    // MARK: Connections

    var acceptance: World.Acceptance { router == nil || !isListening ? .refuses : .accepts }

    func accept(_ server: ServerHost) -> Link {
        let number = ServerLink(world.number())
        let link = world.open(.serverToProxy(server), .proxyToServer(number))
        servers[number] = LinkEnd(link: link, side: 1)
        return link
    }

    func accept(_ end: any ClientEnd, asOperator: Bool) -> Link {
        let number = world.number()
        let link: Link
        if asOperator {
            link = world.open(.client(end), .proxyToOperator(OperatorLink(number)))
            operators[OperatorLink(number)] = LinkEnd(link: link, side: 1)
        } else {
            link = world.open(.client(end), .proxyToClient(ConnectionIndicator(number)))
            clients[ConnectionIndicator(number)] = LinkEnd(link: link, side: 1)
        }
        return link
    }

    func lost(_ link: ServerLink) {
        whenAwake { [unowned self] in
            if servers.removeValue(forKey: link) != nil { happened(.serverClosed(link)) }
        }
    }

    func lost(_ client: ConnectionIndicator) {
        whenAwake { [unowned self] in
            guard clients.removeValue(forKey: client) != nil else { return }
            world.watch.left(client)
            happened(.clientClosed(client))
        }
    }

    func lost(_ link: OperatorLink) {
        whenAwake { [unowned self] in
            if operators.removeValue(forKey: link) != nil { happened(.operatorClosed(link)) }
        }
    }

    private func whenAwake(_ body: @escaping () -> Void) {
        guard isFrozen else { return body() }
        let life = life
        standstill.hold { [unowned self] in
            guard life == self.life else { return }
            whenAwake(body)
        }
    }
}

extension SwitchRecord {
    /// `epoch 2 b [b,c]`: what a story says of the switch.
    package var story: String { "epoch \(epoch.number) \(active) [\(inSync.map(\.name).joined(separator: ","))]" }
}
