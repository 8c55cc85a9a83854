import Runtime
import Testing
import TupleCore
import WireProtocol

@testable import Client

/// A proxy on loopback that breaks off the first connections after some frames, and answers each request with its own
/// payload, given back.
private final class FlakyProxy {
    let loop: EventLoop
    private var listener: Listener?
    private var connections: [Connection] = []
    /// How many requests each connection answers before it breaks; the last number counts for all that follow.
    private var patience: [Int]
    var requests: [UInt64] = []
    var refusal: String?

    init(on loop: EventLoop, patience: [Int]) {
        self.loop = loop
        self.patience = patience
    }

    func listen() throws -> Address {
        let listener = try Listener(on: loop, address: Address(host: "127.0.0.1", port: 0)) { [weak self] connection in
            self?.accept(connection)
        }
        self.listener = listener
        return listener.address
    }

    private func accept(_ connection: Connection) {
        connections.append(connection)
        if let refusal {
            connection.send(Refused(message: refusal).frame.encoded)
            return connection.closeAfterFlush()
        }
        var left = patience.count > 1 ? patience.removeFirst() : patience[0]
        var decoder = FrameDecoder()
        connection.onBytes = { [weak self, weak connection] bytes in
            decoder.append(bytes)
            while let self, let connection, let frame = try? decoder.next() {
                if frame.type == .hello {
                    connection.send(
                        Welcome(version: 1, maximumPayloadBytes: 1_000, maximumRequestsInFlight: 3).frame.encoded)
                    continue
                }
                self.requests.append(frame.header.sequence.number)
                if left == 0 { return connection.close() }
                left -= 1
                guard let request = try? Request(decoding: frame.payload) else { return connection.close() }
                let answer = Answer(rejected: [Rejected(item: request.payload, reason: .exists)])
                let header = Header(
                    .response, flags: .first, session: frame.header.session, sequence: frame.header.sequence)
                connection.send(Frame(header, payload: answer.payloadBytes).encoded)
            }
        }
    }
}

@Suite struct ServiceClientTests {
    private func answers(
        _ loop: EventLoop, _ proxies: [Address], count: Int, timeout: Duration = .seconds(30)
    ) throws -> [Answer] {
        let client = try ServiceClient(on: loop, proxies: proxies, timeout: timeout)
        var answers = [Answer?](repeating: nil, count: count)
        var left = count
        for number in 0..<count {
            client.submit(Request(operatorName: "PUT", payload: .number("\(number)"))) { answer in
                answers[number] = answer
                left -= 1
                if left == 0 { loop.stop() }
            }
        }
        loop.run()
        return answers.compactMap(\.self)
    }

    @Test func brokenConnectionsAreAPauseNotAnError() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let proxy = FlakyProxy(on: loop, patience: [2, 0, 1, 5, .max])
        let answers = try answers(loop, [try proxy.listen()], count: 40)
        let wanted = (0..<40).map { Answer(rejected: [Rejected(item: .number("\($0)"), reason: .exists)]) }
        #expect(answers == wanted)
        #expect(Set(proxy.requests) == Set(1...40))
        #expect(proxy.requests.count > 40)
    }

    @Test func theNextProxyIsTried() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let dead = FlakyProxy(on: loop, patience: [0])
        let proxy = FlakyProxy(on: loop, patience: [.max])
        let answers = try answers(loop, [try dead.listen(), try proxy.listen()], count: 3)
        #expect(answers.map(\.status) == [.ok, .ok, .ok])
    }

    @Test func aFullProxyRefuses() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let proxy = FlakyProxy(on: loop, patience: [.max])
        proxy.refusal = "service refused"
        let answers = try answers(loop, [try proxy.listen()], count: 2)
        #expect(answers == [Answer](repeating: Answer(status: .refused, message: "service refused"), count: 2))
    }

    @Test func withoutAProxyRequestsAreUnavailableInTheEnd() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        // A port that was free a moment ago, and whose listener is gone.
        let listener = try Listener(on: loop, address: Address(host: "127.0.0.1", port: 0)) { $0.close() }
        let address = listener.address
        listener.close()
        let answers = try answers(loop, [address], count: 2, timeout: .milliseconds(50))
        #expect(answers.map(\.status) == [.unavailable, .unavailable])
    }
}
