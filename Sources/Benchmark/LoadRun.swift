import CEpoll
import Glibc
import Runtime
import TupleCore
import WireProtocol

/// A load while it runs: one thread, one epoll descriptor, and lanes that are sent to and read from in place. Its own
/// loop and not the daemons': the instrument must not depend on what it measures.
struct LoadRun: ~Copyable {
    static let readBufferBytes = 256 * 1024
    static let connectNanoseconds: UInt64 = 5_000_000_000
    static let retryNanoseconds: UInt64 = 10_000_000
    /// How long answers are waited for when the time is over.
    static let drainNanoseconds: UInt64 = 2_000_000_000
    static let eventsAtOnce = 256

    enum Stage {
        /// Nothing is sent until every lane is ready.
        case connecting
        case warmingUp, measuring
        /// Nothing new is sent; answers are waited for, and not counted.
        case draining
    }

    let settings: LoadSettings
    let templates: [RequestTemplate]
    let frameBytes: Int
    private let wheel: [Operator]
    let lanes: UnsafeMutablePointer<LoadLane>
    let readBuffer = UnsafeMutableRawPointer.allocate(byteCount: LoadRun.readBufferBytes, alignment: 16)
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: LoadRun.eventsAtOnce)
    let epoll: Int32
    private let timer: Int32
    let target: SocketTarget
    private var random: LoadRandom

    var stage = Stage.connecting
    var counters = LoadCounters()
    var readyLanes = 0
    var lastProblem = "no answer"
    var now = MonotonicClock.now()
    /// Requests sent for the first time, and answered, at all.
    var issued: UInt64 = 0
    var answered: UInt64 = 0
    private var nextFresh: UInt64
    /// When the plan of `Pace.rate` began, and how many of its requests have come due.
    private var planBegin: UInt64 = 0
    private var due: UInt64 = 0

    init(_ settings: LoadSettings, _ target: SocketTarget) {
        self.settings = settings
        templates = Operator.allCases.map {
            RequestTemplate(
                $0, keyBytes: settings.keyBytes, valueBytes: settings.valueBytes, pairs: settings.pairs)
        }
        frameBytes = templates.map(\.bytes.count).max() ?? 0
        wheel = settings.mix.wheel
        random = LoadRandom(seed: settings.seed)
        nextFresh = settings.firstKey
        self.target = target
        epoll = epoll_create1(0)
        timer = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK))
        lanes = .allocate(capacity: settings.connections)
        for number in 0..<settings.connections {
            let lane = LoadLane(session: random.next() | 1, depth: settings.depth, frameBytes: frameBytes)
            (lanes + number).initialize(to: lane)
        }
    }

    deinit {
        for number in 0..<settings.connections { lanes[number].deallocate() }
        lanes.deallocate()
        readBuffer.deallocate()
        events.deallocate()
        close(epoll)
        close(timer)
    }

    // MARK: The run

    /// Connects, warms up, measures, and waits for the last answers. SIGINT and SIGTERM end it early, with what was
    /// measured by then.
    ///
    /// - Throws: where the kernel gives no descriptors, the proxy takes no connections, or no answers come from there.
    mutating func measure() throws(LoadError) -> LoadReport {
        guard epoll >= 0, timer >= 0,
            shim_epoll_control(epoll, EPOLL_CTL_ADD, timer, EPOLLIN.rawValue, UInt32.max) == 0
        else { throw .system(SystemError(errno, doing: "make an epoll descriptor")) }
        signal(SIGPIPE, SIG_IGN)
        Interruption.watch()
        let begin = now
        while readyLanes < settings.connections {
            try turn(until: begin + LoadRun.connectNanoseconds)
            if now >= begin + LoadRun.connectNanoseconds { throw .unreachable(settings.proxy, lastProblem) }
        }
        planBegin = now
        stage = .warmingUp
        if settings.warmup > .zero {
            pumpAll()
            try run(until: now + settings.warmup.nanoseconds)
        }
        let cpu = ProcessTime.used()
        let start = now
        counters.begin(at: start)
        stage = .measuring
        pumpAll()
        try run(until: settings.operations == nil ? start + settings.length.nanoseconds : .max)
        counters.answered(at: now)
        let end = now
        let used = ProcessTime.used() - cpu
        stage = .draining
        while inFlight > 0, now < end + LoadRun.drainNanoseconds { try turn(until: end + LoadRun.drainNanoseconds) }
        return LoadReport(
            settings: settings, counters: counters, nanoseconds: max(1, end - start), cpuNanoseconds: used,
            start: start, answeredAtAll: answered, unanswered: inFlight, nextKey: nextFresh, lastProblem: lastProblem)
    }

    private var inFlight: Int {
        (0..<settings.connections).reduce(0) { $0 + lanes[$1].inFlight }
    }

    private var isComplete: Bool {
        guard let operations = settings.operations else { return false }
        return issued >= operations && inFlight == 0
    }

    private mutating func run(until end: UInt64) throws(LoadError) {
        while now < end, !isComplete, !Interruption.hasCome { try turn(until: end) }
    }

    /// Waits for events once, at most until `end` (or a tick), and handles them.
    private mutating func turn(until end: UInt64) throws(LoadError) {
        var wake = min(end, now + 100_000_000)
        if let planned = nextPlanned { wake = min(wake, planned) }
        var milliseconds: Int32 = 0
        if wake > now {
            if wake - now >= 1_000_000 {
                milliseconds = Int32((wake - now) / 1_000_000)
            } else {
                arm(wake)
                milliseconds = 1
            }
        }
        let count = epoll_wait(epoll, events, Int32(LoadRun.eventsAtOnce), milliseconds)
        guard count >= 0 || errno == EINTR else { throw .system(SystemError(errno, doing: "wait for events")) }
        now = MonotonicClock.now()
        for index in 0..<max(0, Int(count)) {
            let number = shim_epoll_number(events + index)
            guard number != UInt32.max else {
                var expirations: UInt64 = 0
                _ = read(timer, &expirations, 8)
                continue
            }
            try handle(shim_epoll_events(events + index), of: lanes + Int(number))
        }
        if stage == .connecting || readyLanes < settings.connections { try connectWaiting() }
        while let planned = nextPlanned, planned <= now {
            pump(lanes + Int(due % UInt64(settings.connections)))
            due += 1
        }
    }

    private func arm(_ time: UInt64) {
        var spec = itimerspec()
        spec.it_value.tv_sec = Int(time / 1_000_000_000)
        spec.it_value.tv_nsec = Int(time % 1_000_000_000)
        timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &spec, nil)
    }

    // MARK: Sending

    private mutating func pumpAll() {
        for number in 0..<settings.connections { pump(lanes + number) }
    }

    /// When the next request comes due; nil where nothing is planned. A lane whose requests in flight are too many then
    /// sends it when it has an answer.
    private var nextPlanned: UInt64? {
        guard case .rate(let rate) = settings.pace, stage == .warmingUp || stage == .measuring else { return nil }
        return plannedTime(due, rate)
    }

    private func plannedTime(_ index: UInt64, _ rate: Int) -> UInt64 {
        planBegin + UInt64(Double(index) * 1e9 / Double(rate))
    }

    /// Sends what is due on the lane.
    mutating func pump(_ lane: UnsafeMutablePointer<LoadLane>) {
        guard lane.pointee.phase == .ready, stage == .warmingUp || stage == .measuring else { return }
        switch settings.pace {
        case .batches:
            guard lane.pointee.inFlight == 0 else { break }
            while lane.pointee.inFlight < settings.depth, hasMore { issue(on: lane, at: now) }
        case .sliding:
            while lane.pointee.inFlight < settings.depth, lane.pointee.hasSlot, hasMore { issue(on: lane, at: now) }
        case .rate(let rate):
            // Lane i sends the requests i, i + lanes, i + 2 lanes, … of the plan.
            let first = UInt64(lane - lanes)
            while lane.pointee.inFlight < settings.depth, lane.pointee.hasSlot, hasMore {
                let planned = plannedTime(first + lane.pointee.issued * UInt64(settings.connections), rate)
                guard planned <= now else { break }
                issue(on: lane, at: planned)
            }
        }
        flush(lane)
    }

    private var hasMore: Bool { settings.operations.map { issued < $0 } ?? true }

    private mutating func issue(on lane: UnsafeMutablePointer<LoadLane>, at time: UInt64) {
        let drawn = random.next()
        let op = wheel[Int(truncatingIfNeeded: drawn & 1023)]
        let key: UInt64
        if op == .put {
            key = nextFresh
            nextFresh += UInt64(settings.pairs)
        } else {
            let drawn = settings.keys.any(random.next())
            key = drawn - drawn % UInt64(settings.pairs)
        }
        let sequence = lane.pointee.nextSequence
        lane.pointee.nextSequence += 1
        lane.pointee.inFlight += 1
        lane.pointee.issued += 1
        issued += 1
        lane.pointee.slot(sequence).pointee = LoadSlot(sentAt: time, key: key, op: op.number)
        append(sequence, to: lane)
    }

    /// Puts the request of the slot into the lane's outgoing bytes, for the first time or once more.
    func append(_ sequence: UInt64, to lane: UnsafeMutablePointer<LoadLane>) {
        let slot = lane.pointee.slot(sequence)
        let first = slot.pointee.key
        let isFresh = slot.pointee.op == Operator.put.number
        templates.withUnsafeBufferPointer { templates in
            templates[slot.pointee.op].write(
                to: lane.pointee.output + lane.pointee.outputEnd, session: lane.pointee.session, sequence: sequence,
                lowWater: lane.pointee.lowWater
            ) { place in
                isFresh ? settings.keys.fresh(first + UInt64(place)) : first + UInt64(place)
            }
            lane.pointee.outputEnd += templates[slot.pointee.op].bytes.count
        }
    }
}

extension Duration {
    /// - Precondition: not negative, and below 292 years.
    var nanoseconds: UInt64 {
        UInt64(components.seconds) * 1_000_000_000 + UInt64(components.attoseconds / 1_000_000_000)
    }
}
