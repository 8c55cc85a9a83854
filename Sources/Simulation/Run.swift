import Journal
import Replication
import Routing
import TupleCore
import TupleStore

/// What became of a run.
package struct RunReport: Sendable {
    package var seed: UInt64
    /// What went wrong; empty where nothing did.
    package var violations: [String]
    /// Faults that took place; one may have found nothing to do.
    package var faults: [FaultKind: Int]
    package var simulated: Duration
    /// How long it took after the last fault until all was well again.
    package var settling: Duration
    package var requests: Int
    package var unknown: Int
    package var notDone: Int
    /// Entries of the log that several requests made together.
    package var groups: Int
    /// Questions what became of a request, how often it was said not to have been carried out, and sessions that were
    /// forgotten.
    package var questions: Int
    package var saidNotDone: Int
    package var forgotten: Int
    package var events: Int
    package var epochs: UInt64
    package var isUndecided: Bool
    package var traceHash: UInt64
    package var story: [String]
}

/// One run: a suite comes up, clients work while things go wrong, then everything is mended and looked at.
package final class Run {
    let plan: RunPlan
    let world: World
    let workload: Workload
    let inquiries: Inquiries
    /// For what people do: restarting servers.
    private var random: SeededRandom
    /// When what is down is started again.
    private var restarts: [Int: Instant] = [:]
    private var proxyRestart: Instant?
    private var isOver = false
    /// The one server whose disk was replaced or damaged, until it is in sync again.
    var spoiled: ServerHost?
    var faults: [FaultKind: Int] = [:]
    /// Two servers that have each other's directory.
    var exchanged: (ServerHost, ServerHost)?
    private(set) var isMending = false

    /// After the last fault everybody must have an answer and all copies be the same within this.
    static let patience = Duration.seconds(25)
    /// How long the last answers may take: a client that has ceased to read holds room until it is ended.
    static let answerPatience = Duration.seconds(15)

    package init(_ plan: RunPlan, tellsStory: Bool = false) {
        self.plan = plan
        // A visitor that leaves without a word takes a place for a while.
        world = World(
            seed: plan.seed, weather: plan.weather, maximumClients: 64 + (plan.scale?.visitors ?? 0),
            keepsStory: tellsStory)
        world.tellsMessages = tellsStory
        world.keepsGoing = false
        workload = Workload(world, plan.workload, scale: plan.scale, seed: plan.seed)
        inquiries = Inquiries(world, workload, plan.sessions, seed: plan.seed)
        random = SeededRandom(seed: plan.seed, purpose: 4)
        for number in 0..<plan.servers {
            let machine = ["a", "b", "c", "d", "e"][number]
            guard let name = NodeID(machine) else { preconditionFailure("\(machine) is no server's name") }
            var settings = ReplicaSettings(
                name: name, address: "\(machine):1", rule: .alphanumeric,
                heartbeatInterval: .milliseconds(plan.heartbeatMilliseconds),
                heartbeatMisses: plan.heartbeatMisses, resync: .auto)
            if plan.searchesElsewhere { settings.workOnTheSpot = 16 }
            if let streams = plan.streams {
                settings.searchSliceWork = streams.slice
                settings.directAnswerBytes = streams.directBytes
                settings.answerWindowBytes = streams.windowBytes
                settings.answerChunkBytes = streams.chunkBytes
            }
            if let memory = plan.memory {
                settings.tailBytes = memory.tailBytes
                settings.restBytes = memory.restBytes
                settings.snapshotBurstBytes = memory.burstBytes
            }
            if let sessions = plan.sessions { settings.sessions = sessions.limits }
            let server = world.add(machine, settings, disk: plan.disk)
            server.wallOffsetMilliseconds = plan.clocks.skews[number]
            server.setDrift(plan.clocks.drifts[number])
        }
    }

    package func go() -> RunReport {
        let begin = world.now
        var settling = Duration.zero
        world.proxy.flow = plan.flow
        world.proxy.start()
        let first = plan.lastServerStarts == nil ? world.servers[...] : world.servers.dropLast()
        for server in first { world.after(.milliseconds(5 + random.below(40))) { server.start() } }
        if run(atMost: .seconds(8), until: { self.inSyncCount == first.count }) {
            workload.start(milliseconds: plan.milliseconds)
            inquiries.start()
            for step in plan.clocks.steps {
                world.after(.milliseconds(step.at)) { [unowned self] in
                    world.servers[step.server].wallOffsetMilliseconds += step.milliseconds
                }
            }
            if let late = plan.lastServerStarts { keepDown(world.servers[world.servers.count - 1], for: late) }
            supervise()
            for fault in plan.faults {
                world.after(.milliseconds(fault.at)) { [unowned self] in
                    if !isOver, apply(fault) { faults[fault.kind, default: 0] += 1 }
                }
            }
            world.run(until: world.now.advanced(by: .milliseconds(plan.milliseconds)))
            let end = world.now
            settle()
            settling = world.now.duration(since: end)
        } else if !world.watch.isViolated {
            world.violate("the servers do not come to be in sync: \(situation)")
        }
        return report(begin, settling)
    }

    private func report(_ begin: Instant, _ settling: Duration) -> RunReport {
        var isUndecided = false
        if world.watch.hasRepeats {
            isUndecided = true
        } else if !world.watch.isViolated {
            switch Linearizability.judge(workload.history) {
            case .linearizable: break
            case .undecided: isUndecided = true
            case .violated(let operations):
                world.violate(
                    "the history is not linearizable; it cannot go on after:\n"
                        + operations.map { "    \($0)" }.joined(separator: "\n"))
            }
        }
        let report = RunReport(
            seed: plan.seed, violations: world.watch.violations, faults: faults,
            simulated: world.now.duration(since: begin), settling: settling, requests: workload.history.count,
            unknown: workload.history.count { $0.ending == .unknown },
            notDone: workload.history.count { $0.ending == .notDone }, groups: world.watch.groups,
            questions: inquiries.questionCount, saidNotDone: inquiries.notDoneCount,
            forgotten: world.watch.forgotten, events: world.eventCount,
            epochs: world.proxy.durable?.epoch.number ?? 0, isUndecided: isUndecided, traceHash: world.traceHash,
            story: world.story)
        world.dissolve()
        return report
    }

    private func run(atMost limit: Duration, until condition: () -> Bool) -> Bool {
        let end = world.now.advanced(by: limit)
        while !condition() {
            guard world.now < end, !world.watch.isViolated else { return false }
            world.run(until: world.now.advanced(by: .milliseconds(20)))
        }
        return true
    }

    // MARK: The one who restarts things

    private func supervise() {
        guard !isOver else { return }
        for (number, server) in world.servers.enumerated() where !server.isUp {
            let due = restarts[number] ?? world.now.advanced(by: .milliseconds(20 + random.below(1_500)))
            restarts[number] = due
            if world.now >= due { restart(server) }
        }
        if !world.proxy.isUp {
            let due = proxyRestart ?? world.now.advanced(by: .milliseconds(20 + random.below(800)))
            proxyRestart = due
            if world.now >= due {
                proxyRestart = nil
                world.proxy.start()
            }
        }
        if let server = spoiled, isWhole(server) { spoiled = nil }
        world.after(.milliseconds(50)) { [weak self] in self?.supervise() }
    }

    func keepDown(_ server: ServerHost, for milliseconds: Int) {
        guard case .server(let number) = server.place else { return }
        restarts[number] = world.now.advanced(by: .milliseconds(milliseconds))
    }

    func keepProxyDown(for milliseconds: Int) { proxyRestart = world.now.advanced(by: .milliseconds(milliseconds)) }

    private func restart(_ server: ServerHost) {
        guard case .server(let number) = server.place else { return }
        restarts[number] = nil
        if server.hasLostTail {
            // Nobody can tell that it lacks something; whoever changed the bit has to: its copy is taken from another.
            guard mayLose(server) else { return }
            server.wipe()
            spoiled = server
        }
        server.start()
        if server.hasLostTail { server.crash() }
    }

    /// A disk may be lost where another server that is in sync keeps its own, and no word of the lost one is on its way
    /// that might change who is.
    func mayLose(_ server: ServerHost) -> Bool {
        guard let record = world.proxy.certain, spoiled == nil || spoiled === server, world.isSilent(server) else {
            return false
        }
        return record.inSync.contains { member in
            guard member != server.settings.name, let other = world.server(named: member) else { return false }
            return !other.isBlank && !other.isDamaged && !other.isStale
        }
    }

    private func isWhole(_ server: ServerHost) -> Bool {
        !server.isBlank && !server.isDamaged && !server.isStale
            && world.proxy.durable?.inSync.contains(server.settings.name) == true
    }

    // MARK: The end

    /// All faults are over: everybody gets an answer, and all copies become the same.
    private func settle() {
        guard !world.watch.isViolated else { return }
        world.tell("everything is mended")
        isMending = true
        exchangeBack()
        workload.stop()
        inquiries.stop()
        world.weather = .fair
        world.healAllCuts()
        world.deadly = nil
        world.proxy.mend()
        if world.proxy.isFrozen { world.proxy.thaw() }
        for server in world.servers {
            server.isDiskHeld = false
            server.mend()
            if server.isFrozen { server.thaw() }
        }
        guard run(atMost: Run.patience, until: { self.isQuiet }) else {
            if !world.watch.isViolated { world.violate("no peace within \(Run.patience): \(situation)") }
            return
        }
        workload.askForAll()
        for _ in 0..<3 { inquiries.ask() }
        guard run(atMost: Run.answerPatience, until: { self.open == 0 }) else {
            if !world.watch.isViolated { world.violate("the last question is not answered: \(situation)") }
            return
        }
        isOver = true
        compareCopies()
    }

    private func compareCopies() {
        guard let first = world.servers.first?.replica else { return }
        for server in world.servers.dropFirst() {
            guard let other = server.replica else { continue }
            if other.state.space.digest != first.state.space.digest {
                world.violate("the copies of \(world.servers[0].machine) and \(server.machine) differ at the end")
            }
            if other.state.sessions != first.state.sessions {
                world.violate("the sessions of \(world.servers[0].machine) and \(server.machine) differ at the end")
            }
        }
        world.watch.checkFinal(first.state.position)
    }

    private var inSyncCount: Int {
        guard let record = world.proxy.router?.record, world.proxy.router?.isServing == true else { return 0 }
        return record.inSync.count
    }

    private var allInSync: Bool { inSyncCount == world.servers.count }

    /// What was asked and has no answer yet.
    private var open: Int { workload.open + inquiries.open }

    private var isQuiet: Bool {
        guard allInSync, open == 0 else { return false }
        let positions = Set(world.servers.map { $0.replica?.state.position })
        return positions.count == 1
    }

    var situation: String {
        let roles = world.servers.map { "\($0.machine) \($0.role) \($0.state)" }.joined(separator: ", ")
        return "\(world.proxy.durable?.story ?? "no record"); \(roles); \(open) unanswered"
    }
}
