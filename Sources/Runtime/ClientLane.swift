import Glibc
import Routing
import Synchronization
import TupleCore
import WireProtocol

/// What happened on a lane in one iteration.
struct LaneBatch: Sendable {
    var events: [(event: Event, moment: Instant)] = []
    var bytes = 0
}

/// What a lane is to do for a client.
enum LaneCommand: Sendable {
    /// Serve it: a connected socket, which is the lane's to close.
    case adopt(ConnectionIndicator, Int32, ConnectionSlot?)
    case send(ConnectionIndicator, FrameRun)
    case pause(ConnectionIndicator, Bool)
    /// Close it when all that was sent has left.
    case close(ConnectionIndicator)
    /// Close it at once.
    case cut(ConnectionIndicator)
    /// Tell when no more than so many bytes wait for its socket.
    case report(ConnectionIndicator, downTo: Int)

    var client: ConnectionIndicator {
        switch self {
        case .adopt(let client, _, _), .send(let client, _), .pause(let client, _), .close(let client),
            .cut(let client), .report(let client, _):
            client
        }
    }
}

/// What has been handed over between a lane and its owner and was not taken in yet, in bytes.
final class LaneBacklog: Sendable {
    let untakenBytes = Atomic<Int>(0)
    let untakenCommands = Atomic<Int>(0)
}

/// The thread of one lane.
final class LaneThread: Sendable {
    let backlog = LaneBacklog()
    /// Signalled once, by the thread's end.
    let ended = Semaphore()

    private let owner: LoopBound<ClientLanes>
    private let maximumOutgoingBytes: Int
    private let incoming: IncomingBudget
    private let busyPolling: Duration
    private let started = Mutex<Result<LoopBound<ClientLane>, SystemError>?>(nil)
    private let ready = Semaphore()

    init(
        owner: LoopBound<ClientLanes>, maximumOutgoingBytes: Int, incoming: IncomingBudget, busyPolling: Duration
    ) {
        self.owner = owner
        self.maximumOutgoingBytes = maximumOutgoingBytes
        self.incoming = incoming
        self.busyPolling = busyPolling
    }

    /// Starts the thread, and waits until its loop is there.
    func start() throws(SystemError) -> LoopBound<ClientLane> {
        var thread = pthread_t()
        let me = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<LaneThread>.fromOpaque(argument).takeRetainedValue().serve() }
                return nil
            }, me.toOpaque())
        guard status == 0 else {
            me.release()
            throw SystemError(status, doing: "start a thread")
        }
        pthread_detach(thread)
        ready.wait()
        guard let result = started.withLock({ $0.take() }) else {
            preconditionFailure("a lane is ready before it has started")
        }
        return try result.get()
    }

    private func serve() {
        defer { ended.signal() }
        do throws(SystemError) {
            let loop = try EventLoop(busyPolling: busyPolling)
            let lane = ClientLane(
                on: loop, of: self, owner: owner, maximumOutgoingBytes: maximumOutgoingBytes, intake: .client(incoming))
            let bound = LoopBound(lane, on: loop)
            started.withLock { $0 = .success(bound) }
            ready.signal()
            loop.run()
            loop.close()
        } catch {
            started.withLock { $0 = .failure(error) }
            ready.signal()
        }
    }
}

/// Some of the clients' connections, on a loop of their own.
final class ClientLane {
    private struct Client {
        let frames: FrameConnection
        /// The owner said so; apart from that all are paused while the lane is held back.
        var isPaused = false
    }

    private let loop: EventLoop
    private unowned let thread: LaneThread
    private let owner: LoopBound<ClientLanes>
    private let maximumOutgoingBytes: Int
    private let intake: Intake
    private var clients = IdentifierMap<Client>()
    private var batch = LaneBatch()
    /// The owner is so far behind that nothing is read.
    private var isHeldBack = false

    /// A batch does not wait for the iteration's end when it is as large.
    private static let batchBytes = 1_048_576
    /// What an event takes beside its frames.
    private static let eventBytes = 96

    init(
        on loop: EventLoop, of thread: LaneThread, owner: LoopBound<ClientLanes>, maximumOutgoingBytes: Int,
        intake: Intake
    ) {
        self.intake = intake
        self.loop = loop
        self.thread = thread
        self.owner = owner
        self.maximumOutgoingBytes = maximumOutgoingBytes
        loop.afterEvents { [unowned self] _ in self.handOver() }
    }

    // MARK: To the owner

    private func happened(_ event: Event, at moment: Instant, bytes: Int = 0) {
        batch.events.append((event, moment))
        batch.bytes += bytes + ClientLane.eventBytes
        if batch.bytes >= ClientLane.batchBytes { handOver() }
    }

    private func handOver() {
        guard !batch.events.isEmpty else { return }
        let batch = batch
        self.batch = LaneBatch()
        self.batch.events.reserveCapacity(batch.events.count)
        let untaken = thread.backlog.untakenBytes.wrappingAdd(batch.bytes, ordering: .relaxed).newValue
        owner.post { [thread] in $0.arrived(batch, from: thread) }
        // The owner says when it has caught up: it sees the sum pass the mark on its way down, hence after this.
        if untaken > ClientLanes.maximumUntakenBytes { holdBack(true) }
    }

    /// Reads from nobody, or goes on.
    func holdBack(_ isHeldBack: Bool) {
        guard isHeldBack != self.isHeldBack else { return }
        self.isHeldBack = isHeldBack
        for (_, client) in clients.all where !client.isPaused {
            client.frames.pause(isHeldBack)
            // What was read already and has waited may be too much again.
            guard self.isHeldBack == isHeldBack else { return }
        }
    }

    // MARK: From the owner

    func carryOut(_ commands: [LaneCommand]) {
        var bytes = 0
        for command in commands {
            switch command {
            case .adopt(let client, let descriptor, let slot): adopt(client, descriptor, slot)
            case .send(let client, let run):
                bytes += run.byteCount
                if let place = clients.place(of: client.number) { clients[at: place].frames.send(run) }
            case .pause(let client, let isPaused): pause(client, isPaused)
            case .close(let client): clients.removeValue(forKey: client.number)?.frames.closeAfterFlush()
            case .cut(let client): clients[client.number]?.frames.close()
            case .report(let client, let rest): clients[client.number]?.frames.connection.reportDrained(downTo: rest)
            }
        }
        thread.backlog.untakenCommands.wrappingSubtract(bytes, ordering: .relaxed)
    }

    private func adopt(_ client: ConnectionIndicator, _ descriptor: Int32, _ slot: ConnectionSlot?) {
        guard let connection = Connection.adopt(descriptor, on: loop) else {
            return happened(.clientClosed(client), at: loop.now)
        }
        connection.slot = slot
        connection.maximumOutgoingBytes = maximumOutgoingBytes
        connection.restingOutgoingBytes = ClientLanes.restingOutgoingBytes
        connection.onReport = { [unowned self] in self.happened(.clientDrained(client), at: self.loop.now) }
        let frames = FrameConnection(connection, intake: intake)
        frames.onRun = { [unowned self, unowned frames] in
            self.happened(.clientFrames(client, $0), at: frames.receivedAt, bytes: $0.byteCount)
        }
        frames.onClose = { [unowned self] _ in
            guard self.clients.removeValue(forKey: client.number) != nil else { return }
            self.happened(.clientClosed(client), at: self.loop.now)
        }
        clients[client.number] = Client(frames: frames)
        if isHeldBack { frames.pause(true) } else { connection.startReading() }
    }

    private func pause(_ client: ConnectionIndicator, _ isPaused: Bool) {
        guard let place = clients.place(of: client.number) else { return }
        clients[at: place].isPaused = isPaused
        let frames = clients[at: place].frames
        frames.pause(isPaused || isHeldBack)
    }

    /// Closes all clients when what was sent has left, and the loop after `time`.
    func end(flushingFor time: Duration) {
        for (_, client) in clients.all { client.frames.closeAfterFlush() }
        clients = IdentifierMap()
        loop.after(time) { [unowned self] in self.loop.stop() }
    }
}
