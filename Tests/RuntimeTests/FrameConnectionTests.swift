import Glibc
import Testing
import TupleCore
import WireProtocol

@testable import Runtime

@Suite("Frames that do not come whole (specs/0001, G14)")
struct FrameConnectionTests {
    private static let mebibyte = 1_048_576

    /// The beginning of a connection that announces a frame of so many payload bytes and sends so many of them.
    private func begun(_ announced: Int, sending count: Int) -> [UInt8] {
        let hello = Frame(Header(.hello), payload: [1]).encoded
        let frame = Frame(Header(.request, session: SessionID(1)), payload: [UInt8](repeating: 7, count: announced))
        return hello + frame.encoded[..<(Header.byteCount + count)]
    }

    @Test("Many clients with a frame less one byte: a few are taken in, of the others 64 KiB each")
    func halfSentFrames() throws {
        let budget = IncomingBudget(bytes: 4 * Self.mebibyte)
        let bytes = begun(Self.mebibyte, sending: Self.mebibyte - 1)
        var served: [FrameConnection] = []
        var held: [Int] = []
        var reserved = 0
        try withLoop { loop in
            let listener = try localListener(on: loop) { connection in
                let frames = FrameConnection(connection, intake: .client(budget))
                frames.onRun = { _ in }
                served.append(frames)
            }
            var clients: [Connection] = []
            for _ in 0..<40 {
                let client = Connection(on: loop)
                client.onConnected = { [unowned client] in client.send(bytes) }
                client.connect(to: listener.address, timeout: .seconds(20))
                clients.append(client)
            }
            loop.after(.milliseconds(1_500)) {
                held = served.map(\.heldBytes)
                reserved = budget.used
                for client in clients { client.close() }
                for frames in served { frames.close() }
                loop.after(.milliseconds(100)) {
                    withExtendedLifetime(listener) {}
                    loop.stop()
                }
            }
        }
        #expect(held.count == 40)
        // Three: each is a MiB and its header.
        #expect(held.filter { $0 > 3 * Limits.unreservedFrameBytes }.count == 3)
        #expect(held.reduce(0, +) <= 4 * Self.mebibyte + 40 * 2 * (Limits.unreservedFrameBytes + Header.byteCount))
        #expect(reserved <= 4 * Self.mebibyte)
        served = []
        #expect(budget.used == 0 && budget.waitingCount == 0)
    }

    @Test("Whole frames all come, though there is room for one at a time")
    func wholeFrames() throws {
        let budget = IncomingBudget(bytes: Self.mebibyte + Header.byteCount)
        let bytes = begun(Self.mebibyte, sending: Self.mebibyte)
        var arrived = 0
        try withLoop { loop in
            var served: [FrameConnection] = []
            let listener = try localListener(on: loop) { connection in
                let frames = FrameConnection(connection, intake: .client(budget))
                frames.onRun = { run in
                    arrived += run.count
                    if arrived == 20 { loop.stop() }
                }
                served.append(frames)
            }
            for _ in 0..<10 {
                let client = Connection(on: loop)
                client.onConnected = { [unowned client] in client.send(bytes) }
                client.connect(to: listener.address, timeout: .seconds(20))
            }
            loop.after(.seconds(50)) { withExtendedLifetime((served, listener)) {} }
        }
        #expect(arrived == 20)
    }

    @Test("Before its greeting nobody may send more than that takes; he is told so")
    func beforeTheGreeting() throws {
        var words: String?
        var answer: [UInt8] = []
        try withLoop { loop in
            var served: FrameConnection?
            let listener = try localListener(on: loop) { connection in
                let frames = FrameConnection(connection, intake: .operatorLink)
                frames.onFrame = { _ in Issue.record("a frame came of it") }
                frames.onClose = { words = $0 }
                served = frames
            }
            let client = Connection(on: loop)
            client.onConnected = { [unowned client] in
                let frame = Frame(Header(.hello), payload: [UInt8](repeating: 0, count: 1_025))
                client.send(Array(frame.encoded[..<Header.byteCount]))
            }
            client.onBytes = { answer.append(contentsOf: $0) }
            client.onClose = { _ in
                withExtendedLifetime((served, listener)) {}
                loop.stop()
            }
            client.connect(to: listener.address, timeout: .seconds(20))
        }
        var decoder = FrameDecoder()
        decoder.append(answer)
        let refused = try decoder.next()
        #expect(refused?.type == .refused)
        let message = try Refused(refused?.payload ?? []).message
        #expect(message.contains("longer than the limit of 1024"))
        #expect(words == nil || words == message)
    }

    @Test("A frame has ten seconds and one more for each MiB")
    func time() {
        #expect(Intake.time(forFrameOf: 100) == .seconds(10))
        #expect(Intake.time(forFrameOf: 16 * Self.mebibyte + Header.byteCount) == .seconds(26))
    }

    @Test("Who sends nothing of a long frame while others wait is ended, and they have his room")
    func stalling() throws {
        let budget = IncomingBudget(bytes: 2 * Self.mebibyte)
        var arrived = 0
        var ended: [String] = []
        try withLoop { loop in
            var served: [FrameConnection] = []
            let listener = try localListener(on: loop) { connection in
                let frames = FrameConnection(connection, intake: .client(budget))
                frames.onRun = { run in
                    run.forEachInPlace { frame in
                        if frame.header.type == .request { arrived += 1 }
                        return true
                    }
                    if arrived == 1 { loop.stop() }
                }
                frames.onClose = { ended.append($0) }
                served.append(frames)
            }
            let rude = Connection(on: loop)
            rude.onConnected = { [unowned rude] in rude.send(self.begun(2 * Self.mebibyte - 64, sending: 100_000)) }
            rude.connect(to: listener.address, timeout: .seconds(20))
            loop.after(.milliseconds(300)) {
                let honest = Connection(on: loop)
                honest.onConnected = { [unowned honest] in
                    honest.send(self.begun(Self.mebibyte, sending: Self.mebibyte))
                }
                honest.connect(to: listener.address, timeout: .seconds(20))
            }
            loop.after(.seconds(50)) { withExtendedLifetime((served, listener)) {} }
        }
        #expect(arrived == 1)
        #expect(ended.first == "a frame took too long")
    }

    @Test("A vanished peer is noticed by the kernel")
    func keepalive() throws {
        var options: [Int32] = []
        try withLoop { loop in
            let listener = try localListener(on: loop) { connection in
                connection.endWhenThePeerVanishes()
                for (level, option) in [
                    (SOL_SOCKET, SO_KEEPALIVE), (Int32(IPPROTO_TCP), TCP_KEEPIDLE), (Int32(IPPROTO_TCP), TCP_KEEPINTVL),
                    (Int32(IPPROTO_TCP), TCP_KEEPCNT), (Int32(IPPROTO_TCP), TCP_USER_TIMEOUT),
                ] {
                    var value: Int32 = -1
                    var length = socklen_t(MemoryLayout<Int32>.size)
                    getsockopt(connection.descriptor, level, option, &value, &length)
                    options.append(value)
                }
                loop.stop()
            }
            Connection(on: loop).connect(to: listener.address, timeout: .seconds(20))
            loop.after(.seconds(50)) { withExtendedLifetime(listener) {} }
        }
        #expect(options == [1, 15, 5, 3, 30_000])
    }
}
