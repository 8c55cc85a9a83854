import Glibc
import Testing

@testable import Runtime

@Suite struct ConnectionTests {
    @Test func echoesLargePayloadsOfManyConnectionsIntact() throws {
        let connections = 50
        let payload = patternedBytes(1_000_000)
        try withLoop { loop in
            let listener = try localListener(on: loop) { accepted in
                accepted.onBytes = { [unowned accepted] in accepted.send($0) }
            }
            var finished = 0
            for _ in 0..<connections {
                let client = Connection(on: loop)
                var received: [UInt8] = []
                client.onConnected = { [unowned client] in client.send(payload) }
                client.onBytes = { [unowned client] bytes in
                    received.append(contentsOf: bytes)
                    if received.count == payload.count { client.close() }
                }
                client.onClose = { reason in
                    #expect(reason == .closedHere)
                    #expect(received == payload)
                    finished += 1
                    if finished == connections { loop.stop() }
                }
                client.connect(to: listener.address, timeout: .seconds(10))
            }
        }
    }

    @Test func whatWasSentToManyBeforeTheLoopStopsLeaves() throws {
        var clients: [Int32] = []
        defer { for client in clients { close(client) } }
        try withLoop { loop in
            var accepted: [Connection] = []
            let listener = try localListener(on: loop) {
                accepted.append($0)
                guard accepted.count == 60 else { return }
                for connection in accepted { connection.send([42]) }
                loop.stop()
            }
            let name = try #require(SocketAddress(numericHost: "127.0.0.1", port: listener.address.port))
            for _ in 0..<60 {
                let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                clients.append(client)
                #expect(name.withPointer { connect(client, $0, name.length) } == 0)
            }
        }
        for client in clients {
            var byte: UInt8 = 0
            #expect(read(client, &byte, 1) == 1 && byte == 42)
        }
    }

    // MARK: Connecting

    @Test func refusalIsReportedOnceWithTheAddress() throws {
        var reasons: [CloseReason] = []
        var address: Address?
        try withLoop { loop in
            let listener = try localListener(on: loop) { _ in }
            listener.close()
            let target = listener.address
            address = target
            loop.soon {
                let client = Connection(on: loop)
                client.onConnected = { Issue.record("connected to a closed port") }
                client.onClose = {
                    reasons.append($0)
                    loop.after(.milliseconds(20)) { loop.stop() }
                }
                client.connect(to: target, timeout: .seconds(10))
            }
        }
        #expect(reasons == [.connectFailed(try #require(address), "connection refused")])
    }

    /// The kernel may give an end the very port that it dials, where nobody listens there: what is sent comes back then. A
    /// server took its own registration and heartbeats for the proxy's signs of life.
    @Test func aConnectionIsNeverItsOwnOtherEnd() throws {
        var reasons: [CloseReason] = []
        var target: Address?
        try withLoop { loop in
            let listener = try localListener(on: loop) { _ in }
            let address = listener.address
            target = address
            listener.close()
            let source = try #require(SocketAddress(numericHost: "127.0.0.1", port: address.port))
            loop.soon {
                let client = Connection(on: loop)
                client.bindsTo = source
                client.onConnected = { Issue.record("connected to itself") }
                client.onClose = {
                    reasons.append($0)
                    loop.stop()
                }
                client.connect(to: address, timeout: .seconds(10))
            }
        }
        let reason = "it is this very connection: nobody listens there"
        #expect(reasons == [.connectFailed(try #require(target), reason)])
    }

    /// A name has two addresses, and nobody answers at the first one: the second has its share of the time.
    @Test func anAddressThatDoesNotAnswerLeavesTimeForTheNext() throws {
        let (descriptor, silent) = try silentListener()
        defer { close(descriptor) }
        var fillers: [Connection] = []
        var isConnected = false
        try withLoop { loop in
            let listener = try localListener(on: loop) { _ in }
            let answering = try #require(SocketAddress(numericHost: "127.0.0.1", port: listener.address.port))
            for _ in 0..<4 {
                let filler = Connection(on: loop)
                filler.connect(to: silent.address, timeout: .seconds(10))
                fillers.append(filler)
            }
            loop.after(.milliseconds(50)) {
                let client = Connection(on: loop)
                client.onConnected = { [unowned client] in
                    isConnected = client.peer == answering.address
                    loop.stop()
                }
                client.onClose = { reason in
                    guard reason != .loopClosed else { return }
                    Issue.record("\(reason)")
                    loop.stop()
                }
                let name = Address(host: "two.example", port: 1)
                client.connect(to: name, at: [silent, answering], timeout: .milliseconds(600))
            }
        }
        #expect(isConnected)
    }

    @Test func everyAddressThatWasTriedIsNamed() throws {
        var reasons: [String] = []
        try withLoop { loop in
            let listener = try localListener(on: loop) { _ in }
            let port = listener.address.port
            listener.close()
            let addresses = try ["127.0.0.1", "127.0.0.2"].map {
                try #require(SocketAddress(numericHost: $0, port: port))
            }
            loop.soon {
                let client = Connection(on: loop)
                client.onClose = {
                    reasons.append("\($0)")
                    loop.stop()
                }
                client.connect(to: Address(host: "two.example", port: port), at: addresses, timeout: .seconds(5))
            }
        }
        let reason = try #require(reasons.first)
        #expect(reason.contains("127.0.0.1") && reason.contains("127.0.0.2") && reason.contains("refused"))
    }

    /// With a queue this short that nobody empties, the kernel leaves further attempts without an answer.
    private func silentListener() throws -> (Int32, SocketAddress) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let any = try #require(SocketAddress(numericHost: "127.0.0.1", port: 0))
        #expect(any.withPointer { bind(descriptor, $0, any.length) } == 0)
        #expect(listen(descriptor, 0) == 0)
        let bound = SocketAddress { name, length in
            var size = socklen_t(length.pointee)
            return getsockname(descriptor, name, &size)
        }
        return (descriptor, try #require(bound))
    }

    @Test func silenceEndsInATimeout() throws {
        let (descriptor, bound) = try silentListener()
        defer { close(descriptor) }
        var timeouts = 0
        try withLoop { loop in
            for _ in 0..<4 {
                let client = Connection(on: loop)
                // The first of them do connect: they end with the loop.
                client.onClose = { reason in
                    guard reason != .loopClosed else { return }
                    #expect(reason == .connectTimedOut(bound.address, after: .milliseconds(100)))
                    timeouts += 1
                    loop.stop()
                }
                client.connect(to: bound.address, timeout: .milliseconds(100))
            }
        }
        #expect(timeouts >= 1)
    }

    @Test func unknownNameIsReported() throws {
        try withLoop { loop in
            let client = Connection(on: loop)
            client.onClose = { reason in
                if case .resolutionFailed = reason {} else { Issue.record("\(reason)") }
                loop.stop()
            }
            client.connect(to: Address(host: "no-such-host.invalid", port: 1), timeout: .seconds(15))
        }
    }

    @Test func closingWhileItConnectsIsReportedOnce() throws {
        var reasons: [CloseReason] = []
        try withLoop { loop in
            let listener = try localListener(on: loop) { _ in }
            for delay in [Duration.zero, nil] {
                let client = Connection(on: loop)
                client.onConnected = { Issue.record("connected after close") }
                client.onClose = { reasons.append($0) }
                client.connect(to: listener.address, timeout: .seconds(5))
                if delay == nil { client.close() } else { loop.soon { client.close() } }
                client.close()
                #expect(reasons.isEmpty, "onClose is called from the loop only")
            }
            loop.after(.milliseconds(50)) { loop.stop() }
        }
        #expect(reasons == [.closedHere, .closedHere])
    }

    // MARK: Ends

    /// A connected pair on the loop; `body` runs when both ends are there.
    private func withPair(_ body: @escaping (EventLoop, _ client: Connection, _ server: Connection) -> Void) throws {
        try withLoop { loop in
            let client = Connection(on: loop)
            var server: Connection?
            func start() {
                guard client.isOpen, let ready = server else { return }
                server = nil
                body(loop, client, ready)
            }
            let listener = try localListener(on: loop) {
                server = $0
                start()
            }
            client.onConnected = start
            client.connect(to: listener.address, timeout: .seconds(10))
        }
    }

    @Test func closingInsideEachCallbackIsSafe() throws {
        try withPair { loop, client, server in
            var ends = 0
            func ended() {
                ends += 1
                if ends == 2 { loop.stop() }
            }
            server.onBytes = { [unowned server] _ in
                server.close()
                server.close()
                server.send([1])
                server.closeAfterFlush()
                server.pauseReading()
                server.resumeReading()
            }
            server.onClose = {
                #expect($0 == .closedHere)
                #expect(server.peer == nil)
                server.close()
                ended()
            }
            client.onClose = {
                #expect($0 == .endOfStream)
                client.close()
                ended()
            }
            client.send(patternedBytes(100))
        }
    }

    @Test func bothEndsKnowTheAddresses() throws {
        try withPair { loop, client, server in
            #expect(client.local == server.peer)
            #expect(client.peer == server.local)
            #expect(client.local?.host == "127.0.0.1")
            client.enableKeepalive(after: .seconds(30))
            loop.stop()
        }
    }

    @Test func closeAfterFlushDeliversEverythingEvenWhileThePeerStillSends() throws {
        let payload = patternedBytes(5_000_000)
        var received: [UInt8] = []
        var reasons: [CloseReason] = []
        try withPair { loop, client, server in
            server.onBytes = { _ in Issue.record("bytes after closeAfterFlush") }
            server.onClose = {
                reasons.append($0)
                loop.stop()
            }
            server.send(payload)
            server.closeAfterFlush(timeout: .seconds(50))
            server.closeAfterFlush(timeout: .zero)
            server.send([0])
            client.send(patternedBytes(100_000))
            client.onBytes = { received.append(contentsOf: $0) }
            client.onClose = { reasons.append($0) }
        }
        #expect(received == payload)
        #expect(reasons == [.endOfStream, .closedHere])
    }

    @Test func closeAfterFlushServesAPeerThatHasEndedItsOwnDirection() throws {
        let payload = patternedBytes(5_000_000)
        var received: [UInt8] = []
        var reason: CloseReason?
        try withLoop { loop in
            let listener = try localListener(on: loop) { server in
                server.send(payload)
                server.closeAfterFlush(timeout: .seconds(50))
                server.onClose = { reason = $0 }
            }
            let target = try #require(SocketAddress(numericHost: "127.0.0.1", port: listener.address.port))
            loop.offload({ readAfterEndingOwnDirection(target) }) {
                received = $0
                loop.after(.milliseconds(10)) { loop.stop() }
            }
        }
        #expect(received == payload)
        #expect(reason == .closedHere)
    }

    @Test func closeAfterFlushGivesUpOnAPeerThatDoesNotRead() throws {
        var reason: CloseReason?
        try withPair { loop, client, server in
            client.pauseReading()
            server.onClose = {
                reason = $0
                loop.stop()
            }
            server.send([UInt8](repeating: 0, count: 30_000_000))
            server.closeAfterFlush(timeout: .milliseconds(100))
        }
        #expect(reason == .flushTimedOut)
    }

    // MARK: Reports

    /// It is told when what was sent has left, once for each time that it asked.
    @Test func whatHasLeftIsReportedWhenItWasAskedFor() throws {
        var reports = 0
        var left: [Int] = []
        try withPair { loop, client, server in
            client.onBytes = { _ in }
            server.onReport = {
                reports += 1
                left.append(server.outgoingBytes)
                if reports == 1 {
                    server.send([UInt8](repeating: 1, count: 4_000_000))
                    server.reportDrained(downTo: 100_000)
                } else {
                    loop.after(.milliseconds(20)) { loop.stop() }
                }
            }
            server.reportDrained(downTo: 0)
        }
        #expect(reports == 2)
        #expect(left[0] == 0 && left[1] <= 100_000)
    }

    @Test func nothingIsReportedWhileThePeerDoesNotRead() throws {
        var reports = 0
        try withPair { loop, client, server in
            client.pauseReading()
            server.onReport = {
                reports += 1
                loop.stop()
            }
            server.send([UInt8](repeating: 1, count: 30_000_000))
            server.reportDrained(downTo: 65_536)
            loop.after(.milliseconds(100)) {
                #expect(reports == 0)
                client.onBytes = { _ in }
                client.resumeReading()
            }
        }
        #expect(reports == 1)
    }

    // MARK: Limits

    @Test func slowReaderIsCutOff() throws {
        var reason: CloseReason?
        try withPair { loop, client, server in
            client.pauseReading()
            server.maximumOutgoingBytes = 1_000_000
            server.onClose = {
                reason = $0
                loop.stop()
            }
            let piece = [UInt8](repeating: 7, count: 100_000)
            func more() {
                guard server.isOpen else { return }
                server.send(piece)
                #expect(server.outgoingBytes <= 1_100_000)
                loop.soon(more)
            }
            more()
        }
        guard case .slowReader(let bytes) = reason else {
            Issue.record("\(String(describing: reason))")
            return
        }
        #expect(bytes > 1_000_000)
    }

    @Test func aPayloadBeyondTheLimitPassesWhereThePeerReads() throws {
        var received = 0
        try withPair { loop, client, server in
            server.maximumOutgoingBytes = 100
            client.onBytes = { [unowned client] in
                received += $0.count
                if received == 10_000 { client.close() }
            }
            client.onClose = { _ in loop.stop() }
            server.send([UInt8](repeating: 7, count: 10_000))
        }
        #expect(received == 10_000)
    }

    /// A fast sender does not keep the loop: whoever else is served by it gets a turn.
    @Test func littleIsReadInOneIteration() throws {
        let payload = patternedBytes(16 * 1024 * 1024)
        let limit = 2 * EventLoop.readBufferSize
        var received: [UInt8] = []
        var most = 0
        try withLoop { loop in
            var inThisIteration = 0
            loop.afterEvents { _ in
                most = max(most, inThisIteration)
                inThisIteration = 0
            }
            let listener = try localListener(on: loop) { accepted in
                accepted.onBytes = { bytes in
                    inThisIteration += bytes.count
                    received.append(contentsOf: bytes)
                    if received.count == payload.count { loop.stop() }
                }
                // What has come meanwhile waits to be read.
                accepted.pauseReading()
                loop.after(.milliseconds(50)) { accepted.resumeReading() }
            }
            let client = Connection(on: loop)
            client.onConnected = { [unowned client] in client.send(payload) }
            client.connect(to: listener.address, timeout: .seconds(10))
        }
        #expect(received == payload)
        #expect(most <= limit, "\(most) bytes")
    }

    @Test func pausedReaderGetsEverythingAfterResuming() throws {
        let payload = patternedBytes(8_000_000)
        var received: [UInt8] = []
        try withPair { loop, client, server in
            var isPaused = true
            client.pauseReading()
            client.onBytes = { bytes in
                #expect(!isPaused)
                received.append(contentsOf: bytes)
                if received.count == payload.count { loop.stop() }
            }
            server.send(payload)
            loop.after(.milliseconds(50)) {
                #expect(received.isEmpty)
                isPaused = false
                client.resumeReading()
            }
        }
        #expect(received == payload)
    }

    @Test func producerPacedByDrainingStaysBounded() throws {
        let total = 20_000_000
        let piece = patternedBytes(300_000)
        var received = 0
        var mostWaiting = 0
        try withPair { loop, client, server in
            var sent = 0
            func produce() {
                while sent < total, server.outgoingBytes <= 1_000_000 {
                    let count = min(piece.count, total - sent)
                    server.send { $0.append(contentsOf: piece[..<count]) }
                    sent += count
                    mostWaiting = max(mostWaiting, server.outgoingBytes)
                }
            }
            server.onDrained = produce
            client.onBytes = {
                received += $0.count
                if received == total { loop.stop() }
            }
            produce()
        }
        #expect(received == total)
        #expect(mostWaiting <= 1_300_000)
    }

    @Test func aProducerHasOneTurnAnIterationHoweverOftenIsFlushed() throws {
        let piece = patternedBytes(Connection.lowWaterMark + 1)
        var turns: [UInt64] = []
        var received = 0
        try withPair { loop, client, server in
            func produce() {
                guard turns.count < 50 else { return }
                turns.append(loop.iteration)
                server.send(piece)
            }
            server.onDrained = produce
            client.onBytes = {
                received += $0.count
                if received == 50 * piece.count { loop.stop() }
            }
            loop.afterEvents { _ in for _ in 0..<3 { loop.flushConnections() } }
            produce()
        }
        #expect(turns.count == 50)
        #expect(Set(turns).count == 50)
    }

    @Test func sendsOfOneIterationLeaveTogether() throws {
        var reads: [Int] = []
        try withPair { loop, client, server in
            client.onBytes = {
                reads.append($0.count)
                if reads.reduce(0, +) == 1000 { loop.stop() }
            }
            for _ in 0..<1000 { server.send([1]) }
            #expect(server.outgoingBytes == 1000)
        }
        #expect(reads == [1000])
    }

    @Test func connectionsAreFreed() throws {
        weak var accepted: Connection?
        weak var connected: Connection?
        try withLoop { loop in
            let listener = try localListener(on: loop) {
                accepted = $0
                $0.close()
            }
            let client = Connection(on: loop)
            connected = client
            client.onClose = { _ in loop.after(.milliseconds(10)) { loop.stop() } }
            client.connect(to: listener.address, timeout: .seconds(5))
        }
        #expect(accepted == nil)
        #expect(connected == nil)
    }
}

/// Connects, ends its own direction, then reads to the end; blocking, for a thread of its own.
private func readAfterEndingOwnDirection(_ target: SocketAddress) -> [UInt8] {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    guard target.withPointer({ connect(descriptor, $0, target.length) }) == 0 else { return [] }
    shutdown(descriptor, Int32(SHUT_WR))
    var received: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        var query = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&query, 1, 30_000) == 1 else { return received }
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return received }
        received += buffer[..<count]
    }
}
