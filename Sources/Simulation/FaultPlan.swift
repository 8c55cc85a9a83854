package import Routing

/// What can go wrong, and what operators and clients do meanwhile.
package enum FaultKind: String, CaseIterable, Sendable {
    // A server's process and machine.
    case crash
    /// It dies in the middle of what it is doing.
    case crashMidStep = "crash-mid-step"
    case freeze
    case freezeMidStep = "freeze-mid-step"
    case powerLoss = "power-loss"
    /// Everything loses power at once.
    case powerLossOfAll = "power-loss-of-all"
    // A server's disk.
    /// The process dies in the middle of writing; what it wrote last may be torn.
    case tornWrite = "torn-write"
    case failedSync = "failed-sync"
    case failedWrite = "failed-write"
    case diskFull = "disk-full"
    case slowDisk = "slow-disk"
    case hangingDisk = "hanging-disk"
    /// A bit of a file has changed when the server starts again.
    case bitRot = "bit-rot"
    case lostDisk = "lost-disk"
    /// A server's directory is replaced by a copy of what it was earlier.
    case oldDirectory = "old-directory"
    /// Two servers get each other's directory, until somebody reads why they do not start.
    case exchangedDirectories = "exchanged-directories"
    // The network.
    case cut
    case oneWayCut = "one-way-cut"
    case isolation
    case lostConnection = "lost-connection"
    /// One side alone finds a connection broken.
    case halfLostConnection = "half-lost-connection"
    /// Nothing arrives any more on one connection, though all others go on.
    case silentConnection = "silent-connection"
    case slowNetwork = "slow-network"
    // The proxy.
    case proxyCrash = "proxy-crash"
    case proxyCrashMidStep = "proxy-crash-mid-step"
    case proxyFreeze = "proxy-freeze"
    case proxyPowerLoss = "proxy-power-loss"
    case proxyTornWrite = "proxy-torn-write"
    case proxyRecordLost = "proxy-record-lost"
    // Clocks.
    case clockJump = "clock-jump"
    case clockDrift = "clock-drift"
    // People.
    case switchover
    case clientLeaves = "client-leaves"
    /// The next request that a server is sent ends each server that gets it.
    case requestOfDeath = "request-of-death"
}

/// One fault, as data: it can be left out, and the others stay as they are.
package struct Fault: Hashable, Sendable {
    package var kind: FaultKind
    /// When, in milliseconds after the service stands.
    package var at: Int
    /// For how long, in milliseconds, where that means something.
    package var lasts: Int
    /// What else has to be chosen is drawn from this.
    package var seed: UInt64
}

extension Fault: CustomStringConvertible {
    package var description: String { "\(kind.rawValue) at \(at) ms, for \(lasts) ms" }
}

/// How little of the log a server keeps in memory for its followers.
package struct MemoryPlan: Sendable {
    package var tailBytes: Int
    package var restBytes: Int
    /// Of a snapshot, at once.
    package var burstBytes: Int

    /// So little that a short run comes to its end, again and again.
    package init(seed: UInt64) {
        var random = SeededRandom(seed: seed, purpose: 6)
        tailBytes = random.pick([300, 1_000, 4_000])
        restBytes = random.pick([0, 200, 1_000])
        burstBytes = random.pick([2_200, 10_000])
    }
}

/// How little an answer may have before it is streamed, and a search before it is another one's turn.
package struct StreamPlan: Sendable {
    /// Units of work.
    package var slice: UInt64
    package var directBytes: Int
    package var windowBytes: Int
    package var chunkBytes: Int

    /// So little that a few pairs take several steps and frames.
    init(_ random: inout SeededRandom) {
        slice = UInt64(random.pick([6, 15, 40]))
        directBytes = random.pick([20, 60, 200])
        windowBytes = random.pick([1, 40, 120])
        chunkBytes = random.pick([20, 50])
    }
}

/// More of what most runs have little of.
package struct ScalePlan: Hashable, Sendable {
    /// Each value is filled up with so many bytes: the outcomes of a session take several parts of a snapshot.
    package var valueBytes: Int
    /// Clients that make one request, each with a session of its own, and leave.
    package var visitors: Int

    package init(seed: UInt64) {
        var random = SeededRandom(seed: seed, purpose: 12)
        valueBytes = random.pick([0, 9_000, 25_000])
        visitors = random.pick([20, 40, 80])
    }
}

/// All that a run is made from.
package struct RunPlan: Sendable {
    package var seed: UInt64
    package var servers: Int
    package var heartbeatMilliseconds: Int
    package var heartbeatMisses: Int
    /// Whether searches are done beside the loop, as costly ones are.
    package var searchesElsewhere: Bool
    /// Nil for as large as in production, where a run makes neither a second slice nor a stream.
    package var streams: StreamPlan?
    package var disk: DiskSettings
    /// Nil for as much as in production, which no run comes to the end of; so it is in 15 seeds of 16.
    package var memory: MemoryPlan?
    /// Nil for short values and a few clients; so it is in 15 seeds of 16.
    package var scale: ScalePlan?
    /// When the last server starts for the first time, in milliseconds after the others stand; nil where it starts with
    /// them. So it is in seven seeds of eight.
    package var lastServerStarts: Int?
    package var weather: Weather
    package var workload: WorkloadPlan
    /// What the proxy may hold for clients; in most seeds as much as in production, which no run comes to the end of.
    package var flow = FlowLimits.standard
    package var clocks: ClockPlan
    /// Nil for as many sessions as in production, which no run comes to the end of; so it is in every third seed.
    package var sessions: SessionPlan?
    /// How long requests are made and things go wrong, in milliseconds.
    package var milliseconds: Int
    package var faults: [Fault]

    /// Draws a plan.
    ///
    /// - Parameters:
    ///   - servers: nil for two or three, as the seed decides.
    ///   - kinds: the faults that may come.
    ///   - milliseconds: nil for 3 to 10 s, as the seed decides.
    package init(seed: UInt64, servers: Int? = nil, kinds: [FaultKind] = FaultKind.allCases, milliseconds: Int? = nil) {
        var random = SeededRandom(seed: seed, purpose: 3)
        self.seed = seed
        let drawnServers = random.once(in: 3) ? 3 : 2
        self.servers = servers ?? drawnServers
        heartbeatMilliseconds = random.pick([40, 60, 100])
        heartbeatMisses = random.within(3...5)
        searchesElsewhere = random.once(in: 2)
        disk = DiskSettings()
        disk.segmentBytes = 4_096 * random.within(1...3)
        disk.retainedLogBytes = 4_096 * random.below(4)
        disk.snapshotEveryBytes = random.pick([1_500, 4_000, 20_000])
        weather = .fair
        if random.once(in: 4) {
            weather.delayedOneIn = 10
            weather.delay = Span(.milliseconds(1), .milliseconds(60))
        }
        if random.once(in: 4) { weather.sync = Span(.milliseconds(2), .milliseconds(25)) }
        let spans = random.once(in: 2)
        workload = WorkloadPlan(
            clients: random.within(2...4), depth: random.once(in: 2) ? 1 : random.within(2...4),
            keys: random.within(2...8), spansKeys: spans, pause: .milliseconds(random.pick([40, 100, 250])),
            timeout: .milliseconds(random.pick([2_000, 6_000, 15_000])))
        let drawnLength = random.within(2_000...7_000)
        self.milliseconds = milliseconds ?? drawnLength
        // A generator of its own, so that the other seeds stay what they are.
        var little = SeededRandom(seed: seed, purpose: 7)
        if little.once(in: 16) { memory = MemoryPlan(seed: seed) }
        var paced = SeededRandom(seed: seed, purpose: 8)
        if searchesElsewhere, paced.once(in: 2) { streams = StreamPlan(&paced) }
        var tight = SeededRandom(seed: seed, purpose: 9)
        if tight.once(in: 4) { flow = RunPlan.tightFlow(&tight) }
        clocks = ClockPlan(seed: seed, servers: self.servers, milliseconds: self.milliseconds)
        if seed % 3 != 0 { sessions = SessionPlan(seed: seed) }
        faults = []
        var more = SeededRandom(seed: seed, purpose: 11)
        if more.once(in: 8) { lastServerStarts = more.below(max(1, self.milliseconds)) }
        if more.once(in: 16) { enlarge(ScalePlan(seed: seed)) }
        addDirectoryFaults(of: kinds)
        let kinds = kinds.filter { !RunPlan.ofDirectories.contains($0) }
        guard !kinds.isEmpty else {
            faults.sort { ($0.at, $0.seed) < ($1.at, $1.seed) }
            return
        }
        let everyday = kinds.filter { $0 != .requestOfDeath }
        let often = everyday.isEmpty ? kinds : everyday
        // Runs with one fault tell what it does; runs with many, what they do together.
        let count = random.pick([0, 1, 2, 3, 5, 8, 12])
        // A run that is about a few kinds alone goes deeper than one about all.
        let few = random.once(in: 3) ? (0..<3).map { _ in random.pick(often) } : often
        for _ in 0..<count {
            faults.append(
                Fault(
                    kind: random.pick(few), at: random.below(max(1, self.milliseconds)),
                    lasts: random.pick([20, 200, 600, 1_500, 4_000]) + random.below(200), seed: random.next()))
        }
        var rare = SeededRandom(seed: seed, purpose: 5)
        if rare.once(in: 40), kinds.contains(.powerLossOfAll) {
            // So long that the proxy gives up what waits.
            workload.timeout = .seconds(15)
            let at = rare.below(max(1, self.milliseconds))
            faults.append(Fault(kind: .powerLossOfAll, at: at, lasts: 11_500, seed: rare.next()))
        }
        var deadly = SeededRandom(seed: seed, purpose: 8)
        if deadly.once(in: 10), kinds.contains(.requestOfDeath) {
            let at = deadly.below(max(1, self.milliseconds))
            faults.append(Fault(kind: .requestOfDeath, at: at, lasts: 20 + deadly.below(300), seed: deadly.next()))
        }
        faults.sort { ($0.at, $0.seed) < ($1.at, $1.seed) }
    }

    /// So little that requests wait for room, and clients are asked whether they have read, all the time.
    private static func tightFlow(_ random: inout SeededRandom) -> FlowLimits {
        var flow = FlowLimits()
        flow.directAnswerBytes = 200
        flow.answerWindowBytes = 400
        flow.answerBytes = random.pick([500, 2_000, 10_000])
        flow.clientAnswerBytes = random.pick([300, 1_000])
        flow.reportBytes = random.pick([1, 100, 300])
        flow.unreadBytes = max(flow.reportBytes, random.pick([100, 500]))
        flow.progressBytes = 200
        flow.clientRequestBytes = random.pick([300, 1_000])
        flow.passedBytes = random.pick([50, 200, 100_000])
        flow.requestsPerTurn = random.pick([1, 3, 8])
        flow.bytesPerTurn = random.pick([50, 100_000])
        flow.clientsPerTurn = random.pick([1, 3])
        return flow
    }

    private static let ofDirectories: [FaultKind] = [.oldDirectory, .exchangedDirectories]

    /// Directories that are another's, or older, in one seed of six. By a generator of their own, so that the other seeds
    /// stay what they are.
    private mutating func addDirectoryFaults(of kinds: [FaultKind]) {
        let possible = RunPlan.ofDirectories.filter { kinds.contains($0) }
        var random = SeededRandom(seed: seed, purpose: 10)
        guard !possible.isEmpty, random.once(in: 6) else { return }
        let kind = random.pick(possible)
        let at = random.below(max(1, milliseconds / 2))
        faults.append(Fault(kind: kind, at: at, lasts: random.within(600...2_000), seed: random.next()))
    }

    /// Makes it a run with more of everything.
    package mutating func enlarge(_ scale: ScalePlan) {
        self.scale = scale
        // Visitors would push sessions out whose requests may still be sent again.
        sessions = nil
        // Each that leaves without a word holds what little room there is until it is ended.
        flow = .standard
        guard scale.valueBytes > 0 else { return }
        // Long values a few bytes at a time take longer than the last question is waited for.
        streams = nil
        // Of a disk that is made for short values nothing but files would be seen.
        disk.segmentBytes = 131_072
        disk.snapshotEveryBytes = 1_000_000
    }
}
