import Glibc
import Routing
import Testing
import TupleCore
import WireProtocol

@testable import Runtime

/// Clients' connections on two threads, and the loop that decides; the clients are on that loop too.
private final class Scene {
    let loop: EventLoop
    let lanes: ClientLanes
    private(set) var listener: Listener?
    /// Each client's frames, by its number: what the deciding loop was told.
    var arrived: [UInt64: [UInt64]] = [:]
    var closed: [UInt64] = []
    var drained: [UInt64] = []
    var onDrained: ((ConnectionIndicator) -> Void)?
    var accepted: [ConnectionIndicator] = []
    var onFrame: ((ConnectionIndicator, Frame) -> Void)?
    var onClosed: ((ConnectionIndicator) -> Void)?
    private var lastClient: UInt64 = 0

    init(on loop: EventLoop, lanes count: Int = 2, maximumOutgoingBytes: Int = 64 * 1_048_576) throws {
        self.loop = loop
        lanes = try ClientLanes(count, on: loop, maximumOutgoingBytes: maximumOutgoingBytes)
        lanes.onEvent = { [unowned self] event, moment in
            #expect(loop.isOnItsThread)
            #expect(moment <= loop.now)
            switch event {
            case .clientFrames(let client, let run):
                for frame in run {
                    self.arrived[client.number, default: []].append(frame.header.sequence.number)
                    self.onFrame?(client, frame)
                }
            case .clientDrained(let client):
                self.drained.append(client.number)
                self.onDrained?(client)
            case .clientClosed(let client):
                self.closed.append(client.number)
                self.onClosed?(client)
            default: Issue.record("\(event)")
            }
        }
        listener = try localListener(on: loop) { [unowned self] connection in
            self.lastClient += 1
            let client = ConnectionIndicator(self.lastClient)
            self.accepted.append(client)
            do { try self.lanes.adopt(connection, as: client) } catch { Issue.record("\(error)") }
        }
    }

    /// A client of the service, connected.
    func client(_ connected: @escaping (FrameConnection) -> Void) throws -> FrameConnection {
        let connection = Connection(on: loop)
        let frames = FrameConnection(connection)
        connection.onConnected = { [unowned frames] in connected(frames) }
        connection.connect(to: try #require(listener).address, timeout: .seconds(10))
        return frames
    }

    /// Ends the threads, then the loop.
    func finish() {
        lanes.end(flushingFor: .milliseconds(20))
        #expect(lanes.wait(atMost: .seconds(20)))
        loop.stop()
    }
}

private func request(_ number: UInt64, bytes: Int = 3) -> Frame {
    Frame(
        Header(.request, session: SessionID(1), sequence: RequestSequence(number)),
        payload: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes))
}

private func answer(_ number: UInt64, bytes: Int = 3) -> FrameRun {
    FrameRun(
        Frame(
            Header(.response, flags: .first, session: SessionID(1), sequence: RequestSequence(number)),
            payload: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes)))
}

@Suite struct ClientLanesTests {
    @Test func framesOfManyClientsComeAndGoInOrder() throws {
        let clients = 20
        let frames: UInt64 = 3_000
        var answers = [[UInt64]](repeating: [], count: clients)
        var connections: [FrameConnection] = []
        var scene: Scene?
        try withLoop { loop in
            let present = try Scene(on: loop)
            scene = present
            present.onFrame = { present.lanes.send(answer($1.header.sequence.number), to: $0) }
            for client in 0..<clients {
                let connection = try present.client { for number in 1...frames { $0.send(request(number)) } }
                connection.onRun = { run in
                    answers[client].append(contentsOf: run.map(\.header.sequence.number))
                    if answers.allSatisfy({ $0.count == Int(frames) }) { present.finish() }
                }
                connections.append(connection)
            }
        }
        #expect(answers.allSatisfy { $0 == Array(1...frames) })
        #expect(scene?.arrived.count == clients)
        #expect(scene?.arrived.values.allSatisfy { $0 == Array(1...frames) } == true)
        #expect(scene?.closed == [])
    }

    /// What is asked about a client's socket is answered after what was sent before has left.
    @Test func whatHasLeftIsReported() throws {
        var received = 0
        var scene: Scene?
        var connection: FrameConnection?
        try withLoop { loop in
            let present = try Scene(on: loop)
            scene = present
            present.onFrame = { client, _ in
                for number in 1...40 as ClosedRange<UInt64> {
                    present.lanes.send(answer(number, bytes: 100_000), to: client)
                }
                present.lanes.reportDrained(client, downTo: 16_384)
            }
            present.onDrained = { _ in present.finish() }
            let made = try present.client { $0.send(request(1)) }
            made.onRun = { received += $0.count }
            connection = made
        }
        #expect(scene?.drained == [1])
        #expect(received > 0 && connection != nil)
    }

    @Test func whoIsCutIsGone() throws {
        var scene: Scene?
        var connection: FrameConnection?
        try withLoop { loop in
            let present = try Scene(on: loop)
            scene = present
            present.onFrame = { client, _ in present.lanes.cut(client) }
            let made = try present.client { $0.send(request(1)) }
            made.onClose = { _ in present.finish() }
            connection = made
        }
        #expect(scene?.arrived[1] == [1] && connection != nil)
    }

    @Test func whileAClientIsPausedNothingComesOfItAndOthersGoOn() throws {
        let frames: UInt64 = 20_000
        let atOnce = 100
        var sincePause: [UInt64: Int] = [:]
        var most = 0
        var pauses = 0
        var connections: [FrameConnection] = []
        var scene: Scene?
        try withLoop { loop in
            let present = try Scene(on: loop)
            scene = present
            present.onFrame = { client, _ in
                // The first client is paused again and again, the others never.
                if client.number == 1 {
                    sincePause[1, default: 0] += 1
                    most = max(most, sincePause[1] ?? 0)
                    if sincePause[1] == atOnce {
                        pauses += 1
                        present.lanes.pause(client, true)
                        loop.after(.milliseconds(1)) {
                            sincePause[1] = 0
                            present.lanes.pause(client, false)
                        }
                    }
                }
                if present.arrived.count == 3, present.arrived.values.allSatisfy({ $0.count == Int(frames) }) {
                    present.finish()
                }
            }
            for _ in 0..<3 {
                connections.append(try present.client { for number in 1...frames { $0.send(request(number)) } })
            }
        }
        #expect(scene?.arrived.values.allSatisfy { $0 == Array(1...frames) } == true)
        // The run that was on its way when it was paused is taken in whole.
        #expect(most < atOnce + 128)
        #expect(pauses > 50)
    }

    @Test func whatWasSentBeforeAClientIsClosedReachesIt() throws {
        var received: [UInt64] = []
        var reason: String?
        var connection: FrameConnection?
        var scene: Scene?
        try withLoop { loop in
            let present = try Scene(on: loop)
            scene = present
            present.onFrame = { client, _ in
                for number: UInt64 in 1...50 { present.lanes.send(answer(number, bytes: 50_000), to: client) }
                present.lanes.close(client)
                present.lanes.send(answer(51), to: client)
            }
            connection = try present.client { $0.send(request(1)) }
            connection?.onRun = { received.append(contentsOf: $0.map(\.header.sequence.number)) }
            connection?.onClose = {
                reason = $0
                present.finish()
            }
        }
        #expect(received == Array(1...50))
        #expect(reason == "\(CloseReason.endOfStream)")
        #expect(scene?.closed == [])
    }

    @Test func aClientsEndIsToldAfterItsFramesAndWhatIsSentThenIsDropped() throws {
        let frames: UInt64 = 5_000
        var connection: FrameConnection?
        var scene: Scene?
        try withLoop { loop in
            let present = try Scene(on: loop)
            scene = present
            present.onClosed = { client in
                present.lanes.send(answer(1), to: client)
                present.lanes.pause(client, true)
                present.lanes.close(client)
                present.finish()
            }
            connection = try present.client {
                for number in 1...frames { $0.send(request(number)) }
                $0.closeAfterFlush()
            }
        }
        withExtendedLifetime(connection) {}
        #expect(scene?.arrived == [1: Array(1...frames)])
        #expect(scene?.closed == [1])
    }

    @Test func whoDoesNotReadIsCutOff() throws {
        var connection: FrameConnection?
        var scene: Scene?
        try withLoop { loop in
            let present = try Scene(on: loop, maximumOutgoingBytes: 1_048_576)
            scene = present
            present.onFrame = { client, _ in
                for number: UInt64 in 1...400 { present.lanes.send(answer(number, bytes: 250_000), to: client) }
            }
            present.onClosed = { _ in present.finish() }
            connection = try present.client {
                $0.send(request(1))
                $0.pause(true)
            }
        }
        withExtendedLifetime(connection) {}
        #expect(scene?.closed == [1])
    }

    @Test func aLaneReadsOnlySoFarAheadOfWhoDecides() throws {
        let frames: UInt64 = 1_000
        let size = 50_000
        var most = 0
        var scene: Scene?
        try withLoop { loop in
            let present = try Scene(on: loop, lanes: 1)
            scene = present
            let address = try #require(present.listener).address
            present.onFrame = { _, _ in
                if present.arrived[1]?.count == 1 {
                    // The deciding loop is busy with something else, until the lane has read as far ahead as it may.
                    for _ in 0..<2_000 where present.lanes.untakenBytes <= ClientLanes.maximumUntakenBytes {
                        usleep(10_000)
                    }
                    usleep(100_000)
                    most = present.lanes.untakenBytes
                }
                if present.arrived[1]?.count == Int(frames) { present.finish() }
            }
            loop.offload({ sendAll(to: address.port, (1...frames).map { request($0, bytes: $0 == 1 ? 3 : size) }) }) {
                #expect($0)
            }
        }
        #expect(scene?.arrived == [1: Array(1...frames)])
        #expect(most > ClientLanes.maximumUntakenBytes)
        #expect(most < ClientLanes.maximumUntakenBytes + 2 * 1_048_576)
    }

    @Test func whatWasSentBeforeTheThreadsEndReachesTheClients() throws {
        var received: [[UInt64]] = [[], [], []]
        var ends = 0
        var connections: [FrameConnection] = []
        try withLoop { loop in
            let scene = try Scene(on: loop)
            scene.onFrame = { _, _ in
                guard scene.arrived.count == 3 else { return }
                for client in scene.accepted {
                    for number: UInt64 in 1...20 { scene.lanes.send(answer(number), to: client) }
                }
                scene.lanes.end(flushingFor: .milliseconds(500))
            }
            for client in 0..<3 {
                let connection = try scene.client { $0.send(request(1)) }
                connection.onRun = { received[client].append(contentsOf: $0.map(\.header.sequence.number)) }
                connection.onClose = { _ in
                    ends += 1
                    if ends == 3 { scene.finish() }
                }
                connections.append(connection)
            }
        }
        #expect(received == [[UInt64]](repeating: Array(1...20), count: 3))
    }
}

/// Writes frames to a port of this machine from whatever thread this is; false where that failed.
private func sendAll(to port: UInt16, _ frames: [Frame]) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    guard let address = SocketAddress(numericHost: "127.0.0.1", port: port),
        address.withPointer({ connect(descriptor, $0, address.length) }) == 0
    else { return false }
    return frames.allSatisfy { frame in
        var rest = frame.encoded[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
