import Glibc
package import Routing
import Synchronization
package import TupleCore
package import WireProtocol

/// The clients' connections, on threads ("lanes") of their own, for a loop that decides what is to be done with what comes
/// in. A lane reads, finds and checks frames, and writes; it decides nothing. Belongs to the deciding loop's thread.
///
/// What happened in one iteration of a lane comes over as one batch, and what is to be done for its clients in one
/// iteration of the deciding loop goes back as one: a batch, not a frame, costs a lock and a wake-up. Each client has its
/// lane for good, so that its frames keep their order.
package final class ClientLanes {
    /// `clientFrames`, `clientDrained` or `clientClosed`, and when it was; from the loop, never from inside a call to this.
    package var onEvent: ((Event, Instant) -> Void)?

    /// What a lane reads ahead of the deciding loop at most, but for what one more read brings.
    static let maximumUntakenBytes = 8 * 1_048_576
    /// What stays reserved for a client's outgoing bytes while there are none.
    package static let restingOutgoingBytes = 16 * 1_024

    private let loop: EventLoop
    private let maximumOutgoingBytes: Int
    private let incoming: IncomingBudget
    private var lanes: [Lane] = []
    private var held = IdentifierMap<Held>()
    /// Clients whose frames need not be held back any more.
    private var released: [ConnectionIndicator] = []
    private var isEnded = false

    /// A lane as it is seen from outside its thread.
    private struct Lane {
        let thread: LaneThread
        let lane: LoopBound<ClientLane>
        var commands: [LaneCommand] = []
    }

    /// What came of a client between the decision to pause it and the lane's hearing of that. It counts as not read: a
    /// client must not have more on its way than it may because it has a thread.
    private struct Held {
        var isPaused = true
        var runs: ArraySlice<(run: FrameRun, moment: Instant)> = []
    }

    /// - Parameters:
    ///   - maximumOutgoingBytes: what may wait for one client before it counts as too slow, and for one lane.
    ///   - incoming: room for long frames that have begun to come, of all clients together.
    /// - Throws: when the system gives no thread or no descriptors.
    package init(
        _ count: Int, on loop: EventLoop, maximumOutgoingBytes: Int,
        incoming: IncomingBudget = IncomingBudget(bytes: Limits.maximumIncomingBytes)
    ) throws(SystemError) {
        self.loop = loop
        self.maximumOutgoingBytes = maximumOutgoingBytes
        self.incoming = incoming
        let owner = LoopBound(self, on: loop)
        for _ in 0..<count {
            let thread = LaneThread(
                owner: owner, maximumOutgoingBytes: maximumOutgoingBytes, incoming: incoming,
                busyPolling: loop.busyPolling)
            do throws(SystemError) { lanes.append(Lane(thread: thread, lane: try thread.start())) } catch {
                end(flushingFor: .zero)
                throw error
            }
        }
        loop.afterEvents { [weak self] _ in self?.flush() }
    }

    // MARK: To the lanes

    /// Has a lane serve a connection from now on.
    ///
    /// - Parameter client: a number that was not used before; clients that are numbered in a row are spread evenly.
    /// - Throws: when there is no descriptor for it; the connection is closed then.
    package func adopt(_ connection: Connection, as client: ConnectionIndicator) throws(SystemError) {
        // It stays among its listener's for as long as its descriptor is open.
        let slot = connection.slot
        connection.slot = nil
        let descriptor = try connection.detach()
        guard !isEnded else {
            _ = Glibc.close(descriptor)
            return
        }
        command(.adopt(client, descriptor, slot))
    }

    /// Sends frames; they are dropped where the client is gone.
    package func send(_ run: FrameRun, to client: ConnectionIndicator) {
        let backlog = lanes[lane(of: client)].thread.backlog
        // A lane that takes nothing makes all its clients slow readers.
        guard backlog.untakenCommands.load(ordering: .relaxed) <= maximumOutgoingBytes else {
            return command(.cut(client))
        }
        backlog.untakenCommands.wrappingAdd(run.byteCount, ordering: .relaxed)
        command(.send(client, run))
    }

    /// Closes a client when what was sent has left; nothing more comes of it.
    package func close(_ client: ConnectionIndicator) {
        held.removeValue(forKey: client.number)
        command(.close(client))
    }

    /// Closes a client at once; nothing more comes of it.
    package func cut(_ client: ConnectionIndicator) {
        held.removeValue(forKey: client.number)
        command(.cut(client))
    }

    /// Has `clientDrained` come when no more than so many bytes wait for a client's socket.
    package func reportDrained(_ client: ConnectionIndicator, downTo rest: Int) {
        command(.report(client, downTo: rest))
    }

    /// While a client is paused nothing comes of it but its end and what was asked about its socket.
    package func pause(_ client: ConnectionIndicator, _ isPaused: Bool) {
        if let place = held.place(of: client.number) {
            guard held[at: place].isPaused != isPaused else { return }
            held[at: place].isPaused = isPaused
            if !isPaused { released.append(client) }
        } else if isPaused {
            held[client.number] = Held()
            command(.pause(client, true))
        }
    }

    /// Closes all clients when what was sent has left, and ends the threads after `time`. Nothing comes of them any more.
    package func end(flushingFor time: Duration) {
        guard !isEnded else { return }
        flush()
        isEnded = true
        onEvent = nil
        for lane in lanes { lane.lane.post { $0.end(flushingFor: time) } }
    }

    /// Waits until the threads have ended, after ``end(flushingFor:)``.
    ///
    /// - Returns: false where they have not in this time.
    package func wait(atMost limit: Duration) -> Bool {
        let deadline = loop.now.advanced(by: limit)
        return lanes.allSatisfy { $0.thread.ended.wait(atMost: max(.zero, deadline.duration(since: loop.now))) }
    }

    /// What the lanes have read and handed over that was not taken in yet, with what its keeping takes.
    var untakenBytes: Int { lanes.reduce(0) { $0 + $1.thread.backlog.untakenBytes.load(ordering: .relaxed) } }

    private func lane(of client: ConnectionIndicator) -> Int { Int(client.number % UInt64(lanes.count)) }

    private func command(_ command: LaneCommand) {
        guard !isEnded else { return }
        lanes[lane(of: command.client)].commands.append(command)
    }

    private func flush() {
        while let client = released.popLast() { release(client) }
        for index in lanes.indices where !lanes[index].commands.isEmpty {
            let commands = lanes[index].commands
            lanes[index].commands = []
            lanes[index].commands.reserveCapacity(commands.count)
            lanes[index].lane.post { $0.carryOut(commands) }
        }
    }

    private func release(_ client: ConnectionIndicator) {
        // What is taken in may have the client paused again.
        while let place = held.place(of: client.number), !held[at: place].isPaused {
            guard let next = held[at: place].runs.popFirst() else {
                held.removeValue(forKey: client.number)
                return command(.pause(client, false))
            }
            onEvent?(.clientFrames(client, next.run), next.moment)
        }
    }

    // MARK: From the lanes

    func arrived(_ batch: LaneBatch, from thread: LaneThread) {
        for (event, moment) in batch.events { take(event, moment) }
        let untaken = thread.backlog.untakenBytes.wrappingSubtract(batch.bytes, ordering: .relaxed)
        let low = ClientLanes.maximumUntakenBytes / 2
        guard untaken.oldValue > low, untaken.newValue <= low, !isEnded else { return }
        lanes.first { $0.thread === thread }?.lane.post { $0.holdBack(false) }
    }

    private func take(_ event: Event, _ moment: Instant) {
        switch event {
        case .clientFrames(let client, let run):
            if held.count > 0, let place = held.place(of: client.number) {
                held[at: place].runs.append((run, moment))
                return
            }
            onEvent?(event, moment)
            loop.handled(frames: run.count)
        case .clientClosed(let client):
            held.removeValue(forKey: client.number)
            onEvent?(event, moment)
        default: onEvent?(event, moment)
        }
    }
}
