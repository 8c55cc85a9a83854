import Journal
import Replication
package import TupleCore
package import WireProtocol

/// How each fault is done.
extension Run {
    /// - Returns: whether it found something to do.
    func apply(_ fault: Fault) -> Bool {
        var random = SeededRandom(seed: fault.seed)
        let server = random.pick(world.servers)
        let done: Bool
        switch fault.kind {
        case .crash, .crashMidStep, .freeze, .freezeMidStep, .powerLoss, .tornWrite:
            done = strike(server, fault, &random)
        case .powerLossOfAll: done = cutPower(fault, &random)
        case .failedSync, .failedWrite, .diskFull, .slowDisk, .hangingDisk:
            done = spoilDisk(of: server, fault, &random)
        case .bitRot, .lostDisk: done = lose(server, fault, &random)
        case .oldDirectory: done = putOldDirectoryBack(server, fault, &random)
        case .exchangedDirectories: done = exchangeDirectories(server, fault, &random)
        case .cut, .oneWayCut, .isolation, .lostConnection, .halfLostConnection, .silentConnection,
            .slowNetwork:
            done = disturbNetwork(fault, &random)
        case .proxyCrash, .proxyCrashMidStep, .proxyFreeze, .proxyPowerLoss, .proxyTornWrite, .proxyRecordLost:
            done = strikeProxy(fault, &random)
        case .clockJump:
            server.wallOffsetMilliseconds += Int64(random.within(-4_000_000...4_000_000))
            done = true
        case .clockDrift:
            server.setDrift(Int64(random.within(-ClockPlan.mostDrift...ClockPlan.mostDrift)))
            done = true
        case .switchover: done = switchOver(&random)
        case .clientLeaves:
            workload.dismiss(random.below(16), silently: random.once(in: 2))
            done = true
        case .requestOfDeath: done = poison(fault)
        }
        if done { world.tell("FAULT \(fault)") }
        return done
    }

    /// The next request that is passed on ends each server that gets it.
    private func poison(_ fault: Fault) -> Bool {
        guard world.deadly == nil else { return false }
        world.deadly = World.Deadly { [unowned self] server in
            world.tell("\(server.machine) dies of a request")
            server.crash()
            keepDown(server, for: fault.lasts)
        }
        return true
    }

    // MARK: Servers

    private func strike(_ server: ServerHost, _ fault: Fault, _ random: inout SeededRandom) -> Bool {
        guard server.isUp else { return false }
        switch fault.kind {
        case .crash:
            server.crash()
            keepDown(server, for: fault.lasts)
        case .crashMidStep: server.stop(afterActions: random.below(40), byFreezing: false)
        case .freeze:
            guard !server.isFrozen else { return false }
            server.freeze()
            thaw(server, after: fault.lasts)
        case .freezeMidStep:
            guard !server.isFrozen else { return false }
            server.stop(afterActions: random.below(40), byFreezing: true)
            // It stops soon, and is woken up in any case.
            thaw(server, after: fault.lasts + 300)
        case .powerLoss:
            server.losePower(
                random.once(in: 3) ? .everythingUnsynced : .unsynced(seed: random.next()))
            keepDown(server, for: fault.lasts)
        default: server.die(afterDiskCalls: random.below(30), lastCounts: random.once(in: 2))
        }
        return true
    }

    private func thaw(_ server: ServerHost, after milliseconds: Int) {
        world.after(.milliseconds(milliseconds)) { if server.isFrozen { server.thaw() } }
    }

    private func cutPower(_ fault: Fault, _ random: inout SeededRandom) -> Bool {
        for server in world.servers {
            if server.isUp { server.losePower(.unsynced(seed: random.next())) }
            keepDown(server, for: fault.lasts + random.below(500))
        }
        if world.proxy.isUp { world.proxy.crash(.unsynced(seed: random.next()), silently: true) }
        keepProxyDown(for: fault.lasts + random.below(500))
        return true
    }

    // MARK: Disks

    private func spoilDisk(of server: ServerHost, _ fault: Fault, _ random: inout SeededRandom) -> Bool {
        guard server.isUp else { return false }
        switch fault.kind {
        case .failedSync: server.failDisk(syncsAfter: random.below(6))
        case .failedWrite: server.failDisk(writesAfter: random.below(6))
        case .diskFull: server.fillDisk()
        case .slowDisk:
            server.diskSlowness = Int64(random.pick([10, 50, 200]))
            world.after(.milliseconds(fault.lasts)) { server.diskSlowness = 1 }
        default:
            server.isDiskHeld = true
            world.after(.milliseconds(fault.lasts)) { server.isDiskHeld = false }
        }
        return true
    }

    private func lose(_ server: ServerHost, _ fault: Fault, _ random: inout SeededRandom) -> Bool {
        guard spoiled == nil else { return false }
        if server.isUp {
            // It goes down first; the damage is done when no word of it is on its way any more.
            server.crash()
            keepDown(server, for: 2_000)
            world.after(.milliseconds(1_000)) { [unowned self] in
                var again = SeededRandom(seed: fault.seed ^ 1)
                if !server.isUp { _ = loseNow(server, fault, &again) }
                if !server.isUp { keepDown(server, for: min(fault.lasts, 2_000)) }
            }
            return true
        }
        return loseNow(server, fault, &random)
    }

    private func loseNow(_ server: ServerHost, _ fault: Fault, _ random: inout SeededRandom) -> Bool {
        guard !server.isUp, spoiled == nil, exchanged == nil, mayLose(server) else { return false }
        if fault.kind == .lostDisk {
            server.wipe()
        } else {
            guard server.rot(&random) else { return false }
        }
        spoiled = server
        return true
    }

    /// A copy is made of a server's directory; it goes on for a while, and then the copy takes its place. Half of the time
    /// the others are away when it starts on that.
    private func putOldDirectoryBack(
        _ server: ServerHost, _ fault: Fault, _ random: inout SeededRandom
    ) -> Bool {
        guard server.isUp, canSpoil(server) else { return false }
        server.crash()
        let copy = server.copyDirectory()
        keepDown(server, for: random.below(200))
        let losses = world.proxy.losses
        let areOthersAway = random.once(in: 2)
        world.after(.milliseconds(max(600, fault.lasts))) { [unowned self] in
            guard !isMending, canSpoil(server) else { return }
            if server.isUp { server.crash() }
            keepDown(server, for: 2_000)
            if areOthersAway {
                for other in world.servers where other !== server {
                    if other.isUp { other.crash() }
                    keepDown(other, for: 2_500)
                }
            }
            world.after(.milliseconds(1_000)) { [unowned self] in
                // Who the switch has not seen since, or no switch that is there, has left no trace.
                guard !isMending, !server.isUp, canSpoil(server), mayLose(server), world.proxy.losses == losses,
                    let record = world.proxy.certain, server.isRecorded(since: copy, in: record)
                else { return }
                server.putBack(copy)
                spoiled = server
                keepDown(server, for: 10)
            }
        }
        return true
    }

    private func canSpoil(_ server: ServerHost) -> Bool {
        spoiled == nil && exchanged == nil && !server.isBlank && !server.isDamaged && !server.hasLostTail
            && !server.isStale
    }

    private func exchangeDirectories(
        _ server: ServerHost, _ fault: Fault, _ random: inout SeededRandom
    ) -> Bool {
        let other = random.pick(world.servers.filter { $0 !== server })
        guard canSpoil(server), canSpoil(other) else { return false }
        for host in [server, other] {
            if host.isUp { host.crash() }
            keepDown(host, for: random.below(200))
        }
        server.exchangeDirectory(with: other)
        exchanged = (server, other)
        world.after(.milliseconds(max(600, fault.lasts))) { [unowned self] in exchangeBack() }
        return true
    }

    /// The operator has read what the servers say.
    func exchangeBack() {
        guard let (first, second) = exchanged, !first.isUp, !second.isUp else { return }
        first.exchangeDirectory(with: second)
        exchanged = nil
    }

    // MARK: The network

    private func disturbNetwork(_ fault: Fault, _ random: inout SeededRandom) -> Bool {
        let places: [Place] = world.servers.map(\.place) + [.proxy]
        switch fault.kind {
        case .cut, .oneWayCut:
            let first = random.pick(places)
            let second = random.pick(places + (fault.kind == .cut ? [.clients] : []))
            guard first != second else { return false }
            block(first, second, for: fault.lasts)
            if fault.kind == .cut { block(second, first, for: fault.lasts) }
        case .isolation:
            let alone = random.pick(places)
            for other in places + [.clients] where other != alone {
                block(alone, other, for: fault.lasts)
                block(other, alone, for: fault.lasts)
            }
        case .lostConnection:
            guard !world.links.isEmpty else { return false }
            world.sever(random.pick(world.links), keeping: random.below(4))
        case .halfLostConnection:
            guard !world.links.isEmpty else { return false }
            let link = random.pick(world.links)
            let side = random.below(2)
            world.loseSilently(link, side: side)
            // The other side may have nothing to send; its kernel finds out in the end.
            world.after(.milliseconds(500 + random.below(3_500))) { [unowned world] in
                world.giveUp(link, side: 1 - side)
            }
        case .silentConnection:
            guard !world.links.isEmpty else { return false }
            let link = random.pick(world.links)
            let sides = random.pick([[0], [1], [0, 1]])
            for side in sides { world.silence(link, side: side, true) }
            world.after(.milliseconds(fault.lasts)) { [unowned world] in
                for side in sides { world.silence(link, side: side, false) }
            }
        default:
            world.weather.delayedOneIn = 3
            world.weather.delay = Span(.milliseconds(1), .milliseconds(120))
            let usual = plan.weather
            world.after(.milliseconds(fault.lasts)) { [unowned world] in world.weather = usual }
        }
        return true
    }

    private func block(_ from: Place, _ to: Place, for milliseconds: Int) {
        world.setCut(from: from, to: to)
        world.after(.milliseconds(milliseconds)) { [unowned world] in world.setCut(from: from, to: to, false) }
    }

    // MARK: The proxy

    private func strikeProxy(_ fault: Fault, _ random: inout SeededRandom) -> Bool {
        let proxy = world.proxy!
        guard proxy.isUp else { return false }
        switch fault.kind {
        case .proxyCrash:
            proxy.crash()
            keepProxyDown(for: fault.lasts)
        case .proxyCrashMidStep: proxy.stop(afterActions: random.below(40), byFreezing: false)
        case .proxyFreeze:
            guard !proxy.isFrozen else { return false }
            proxy.freeze()
            world.after(.milliseconds(fault.lasts)) { if proxy.isFrozen { proxy.thaw() } }
        case .proxyPowerLoss:
            proxy.crash(.unsynced(seed: random.next()), silently: true)
            keepProxyDown(for: fault.lasts)
        case .proxyTornWrite: proxy.die(afterDiskCalls: random.below(8), lastCounts: random.once(in: 2))
        default:
            // What the servers know has to suffice: none of them may have an empty or a damaged disk.
            guard spoiled == nil, exchanged == nil,
                world.servers.allSatisfy({ !$0.isBlank && !$0.isDamaged && !$0.isStale })
            else { return false }
            proxy.crash()
            proxy.wipe()
            keepProxyDown(for: fault.lasts)
        }
        return true
    }

    // MARK: People

    private func switchOver(_ random: inout SeededRandom) -> Bool {
        guard world.proxy.isUp else { return false }
        let target = random.once(in: 2) ? nil : random.pick(world.servers).settings.name
        let console = Console(world)
        console.command(
            "switchover", target.map { .object([.init(name: [UInt8]("to".utf8), value: .string($0.name))]) })
        return true
    }
}

/// An operator who gives one command.
package final class Console: ClientEnd {
    private unowned let world: World
    private var request: OperatorRequest?
    private var connection: ClientConnection?
    package private(set) var replies: [OperatorReply] = []
    private var own: Console?

    package init(_ world: World) { self.world = world }

    package func command(_ name: String, _ argument: Term? = nil) {
        request = OperatorRequest(command: name, argument: argument ?? .null)
        own = self
        world.callProxy(self, asOperator: true) { [self] made in
            connection = made
            if made == nil { own = nil }
        }
    }

    package func opened() {
        connection?.send(Hello(agent: "simulated").frame)
        if let request { connection?.send(request.frame(sequence: RequestSequence(1))) }
    }

    package func received(_ frame: Frame) {
        guard frame.type == .operatorReply, let reply = try? OperatorReply(frame.payload) else { return }
        replies.append(reply)
        world.tell("operator is told \(reply.status.name) \(reply.message)")
        connection?.close()
        own = nil
    }

    package func closed() { own = nil }
}
