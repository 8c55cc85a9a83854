import Testing
import TupleCore

@testable import Runtime

@Suite struct HTTPServerTests {
    /// Sends `requests` at once over one connection and returns all that comes back until the server closes it (each
    /// test's last request asks for that).
    private func exchange(
        _ requests: [UInt8], limits: HTTPServer.Limits = .init(), _ handler: @escaping (HTTPExchange) -> Void
    ) throws -> String {
        var received: [UInt8] = []
        try withLoop { loop in
            let server = try HTTPServer(
                on: loop, address: Address(host: "127.0.0.1", port: 0), limits: limits, handler: handler)
            let client = Connection(on: loop)
            client.onConnected = { [unowned client] in client.send(requests) }
            client.onBytes = { received.append(contentsOf: $0) }
            client.onClose = { _ in
                server.close()
                loop.stop()
            }
            client.connect(to: server.address, timeout: .seconds(10))
        }
        return String(decoding: received, as: UTF8.self)
    }

    private func request(_ line: String, _ headers: [String] = [], body: [UInt8] = []) -> [UInt8] {
        var head = "\(line) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        for header in headers { head += header + "\r\n" }
        if !body.isEmpty { head += "Content-Length: \(body.count)\r\n" }
        return Array((head + "\r\n").utf8) + body
    }

    @Test func decodesPathAndQueryAndAnswersAtOnce() throws {
        var seen: HTTPRequest?
        let answer = try exchange(
            request("GET /v1/t%C3%BCples?key=%5B%22a+b%22%2C%22%25%22%5D&value=.*&key=second&flag")
        ) {
            seen = $0.request
            $0.respond(HTTPResponse(status: 200, headers: [("X-Kind", "test")], body: Array("hello".utf8)))
        }
        #expect(seen?.method == "GET")
        #expect(seen?.path == "/v1/tüples")
        #expect(seen?.parameter("key") == "[\"a b\",\"%\"]")
        #expect(seen?.parameter("value") == ".*")
        #expect(seen?.parameter("flag") == "")
        #expect(seen?.parameter("none") == nil)
        #expect(seen?.headers["host"] == "test")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.contains("\r\nX-Kind: test\r\n"))
        #expect(answer.contains("\r\nContent-Length: 5\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nhello"))
    }

    @Test func bodyArrivesWholeAndTheAnswerMayComeLater() throws {
        let body = patternedBytes(3_000_000)
        var limits = HTTPServer.Limits()
        limits.bodyBytes = body.count
        var seen: [UInt8] = []
        let answer = try exchange(request("PUT /v1/tuples", body: body), limits: limits) { exchange in
            seen = exchange.request.body
            // The exchange's own server's loop: answer from a later event.
            later(exchange) { exchange.respond(.text(201, "made")) }
        }
        #expect(seen == body)
        #expect(answer.hasPrefix("HTTP/1.1 201 Created\r\n"))
        #expect(answer.hasSuffix("made\n"))
    }

    private func later(_ exchange: HTTPExchange, _ callback: @escaping () -> Void) {
        exchange.loop.after(.milliseconds(20), callback)
    }

    @Test func declaredBodyOverTheLimitIsRefusedBeforeItIsSent() throws {
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 1000
        let head = request("PUT /", ["Content-Length: 1001", "Expect: 100-continue"])
        var isHandled = false
        let answer = try exchange(head, limits: limits) { _ in isHandled = true }
        #expect(answer.hasPrefix("HTTP/1.1 413 "))
        #expect(!isHandled)
    }

    @Test func chunkedBodyOverTheLimitIsAnswered413() throws {
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 1000
        let chunk = Array("258\r\n".utf8) + [UInt8](repeating: 65, count: 600) + Array("\r\n".utf8)
        let head = request("PUT /", ["Transfer-Encoding: chunked"])
        var isHandled = false
        let answer = try exchange(head + chunk + chunk + Array("0\r\n\r\n".utf8), limits: limits) { _ in
            isHandled = true
        }
        #expect(answer.hasPrefix("HTTP/1.1 413 "))
        #expect(!isHandled)
    }

    @Test func endlessChunkedBodyIsCutOff() throws {
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 1000
        let chunk = Array("258\r\n".utf8) + [UInt8](repeating: 65, count: 600) + Array("\r\n".utf8)
        let endless = request("PUT /", ["Transfer-Encoding: chunked"]) + Array(repeatElement(chunk, count: 50).joined())
        let answer = try exchange(endless, limits: limits) { $0.respond(.text(200, "never")) }
        #expect(!answer.hasPrefix("HTTP/1.1 200"))
    }

    @Test func textThatIsNotUTF8IsRefused() throws {
        let answer = try exchange(request("GET /?key=%FF%FE")) { $0.respond(.text(200, "never")) }
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
    }

    @Test func zeroBytesInAQueryAreKept() throws {
        var seen: String?
        _ = try exchange(request("GET /?key=a%00b")) {
            seen = $0.request.parameter("key")
            $0.respond(.text(200, ""))
        }
        #expect(seen == "a\0b")
    }

    @Test func answerThatNeverComesEndsIn504() throws {
        var limits = HTTPServer.Limits()
        limits.answerTimeout = .milliseconds(50)
        let answer = try exchange(request("GET /"), limits: limits) { _ in }
        #expect(answer.hasPrefix("HTTP/1.1 504 "))
    }

    @Test func connectionIsKeptForFurtherRequests() throws {
        var paths: [String] = []
        let first = Array("GET /one HTTP/1.1\r\nHost: test\r\n\r\n".utf8)
        let answer = try exchange(first + first + request("GET /two")) { exchange in
            paths.append(exchange.request.path)
            later(exchange) { exchange.respond(.text(200, "got \(exchange.request.path)")) }
        }
        #expect(paths == ["/one", "/one", "/two"])
        #expect(answer.components("got /one").count == 3)
        #expect(answer.hasSuffix("got /two\n"))
    }

    @Test func headGivesNoBody() throws {
        let answer = try exchange(request("HEAD /")) { $0.respond(.text(200, "unseen")) }
        #expect(answer.contains("Content-Length: 7\r\n"))
        #expect(answer.hasSuffix("\r\n\r\n"))
    }

    @Test func streamedBodyArrivesInOrder() throws {
        let answer = try exchange(request("GET /")) { exchange in
            let stream = exchange.respondStreaming(HTTPResponse(status: 200, body: Array("a".utf8)))
            later(exchange) {
                stream.write(Array("b".utf8))
                later(exchange) {
                    stream.write([UInt8](repeating: UInt8(ascii: "c"), count: 300_000))
                    later(exchange) { stream.finish() }
                }
            }
        }
        #expect(answer.contains("Transfer-Encoding: chunked"))
        #expect(answer.filter { $0 == "b" }.count >= 1)
        #expect(
            answer.utf8.split(separator: UInt8(ascii: "\n")).filter { $0.starts(with: "ccc".utf8) }
                .reduce(0) { $0 + $1.count - 1 } == 300_000)
        #expect(answer.hasSuffix("0\r\n\r\n"))
    }

    @Test func closingWithWaitingRequestsAnswers503() throws {
        var received: [UInt8] = []
        try withLoop { loop in
            var server: HTTPServer?
            server = try HTTPServer(on: loop, address: Address(host: "127.0.0.1", port: 0)) { _ in
                loop.after(.milliseconds(20)) { server?.close() }
            }
            let client = Connection(on: loop)
            client.onConnected = { [unowned client] in client.send(request("GET /")) }
            client.onBytes = { received.append(contentsOf: $0) }
            client.onClose = { _ in loop.stop() }
            client.connect(to: try #require(server).address, timeout: .seconds(10))
        }
        #expect(String(decoding: received, as: UTF8.self).hasPrefix("HTTP/1.1 503 "))
    }

    @Test func serverMayBeClosedInItsHandler() throws {
        try withLoop { loop in
            var server: HTTPServer?
            server = try HTTPServer(on: loop, address: Address(host: "127.0.0.1", port: 0)) { exchange in
                exchange.respond(.text(200, "last"))
                server?.close()
            }
            let client = Connection(on: loop)
            client.onConnected = { [unowned client] in client.send(request("GET /")) }
            client.onClose = { _ in loop.stop() }
            client.connect(to: try #require(server).address, timeout: .seconds(10))
        }
    }

    @Test func clientThatLeavesEarlyCostsNothing() throws {
        try withLoop { loop in
            var waiting: HTTPExchange?
            let client = Connection(on: loop)
            let server = try HTTPServer(on: loop, address: Address(host: "127.0.0.1", port: 0)) { exchange in
                waiting = exchange
                client.close()
            }
            client.onConnected = { [unowned client] in client.send(request("GET /")) }
            client.onClose = { _ in
                loop.after(.milliseconds(50)) {
                    waiting?.respond(.text(200, "too late"))
                    loop.after(.milliseconds(50)) {
                        #expect(waiting?.isOver == true)
                        server.close()
                        waiting?.respond(.text(200, "later still"))
                        loop.stop()
                    }
                }
            }
            client.connect(to: server.address, timeout: .seconds(10))
        }
    }

    @Test func aTakenPortIsExplained() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let listener = try localListener(on: loop) { $0.close() }
        let error = #expect(throws: ListenError.self) { try HTTPServer(on: loop, address: listener.address) { _ in } }
        #expect(error?.description.contains("cannot listen on \(listener.address): address already in use") == true)
    }

    /// 1,100 idle connections once silenced it for good: it did not answer even after they had all closed.
    @Test(arguments: [false, true])
    func healthIsAnsweredThoughStrangersFillIt(closesStrangers: Bool) throws {
        var limits = HTTPServer.Limits()
        limits.connections = 8
        limits.idleSeconds = 1
        var received: [UInt8] = []
        try withLoop { loop in
            let server = try HTTPServer(on: loop, address: Address(host: "127.0.0.1", port: 0), limits: limits) {
                $0.respond(.text(200, "ok"))
            }
            var strangers: [Connection] = []
            for _ in 0..<100 {
                let stranger = Connection(on: loop)
                stranger.connect(to: server.address, timeout: .seconds(20))
                strangers.append(stranger)
            }
            loop.after(.milliseconds(500)) {
                if closesStrangers { for stranger in strangers { stranger.close() } }
                loop.after(.milliseconds(100)) {
                    let client = Connection(on: loop)
                    client.onConnected = { [unowned client] in client.send(self.request("GET /healthz")) }
                    client.onBytes = { received.append(contentsOf: $0) }
                    client.onClose = { _ in
                        #expect(server.connectionCount <= limits.connections + HTTPServer.endingConnections)
                        server.close()
                        for stranger in strangers { stranger.close() }
                        loop.stop()
                    }
                    client.connect(to: server.address, timeout: .seconds(20))
                }
            }
        }
        #expect(String(decoding: received, as: UTF8.self).hasPrefix("HTTP/1.1 200 OK"))
    }

    @Test func aRequestThatComesDropByDropIsEndedInTime() throws {
        var limits = HTTPServer.Limits()
        limits.requestTimeout = .milliseconds(300)
        var isEnded = false
        try withLoop { loop in
            let server = try HTTPServer(on: loop, address: Address(host: "127.0.0.1", port: 0), limits: limits) {
                $0.respond(.text(200, "never"))
            }
            let client = Connection(on: loop)
            let drops = Timer(on: loop) { client.send(Array("X".utf8)) }
            client.onConnected = {
                client.send(Array("GET / HTTP/1.1\r\nX-Slow: ".utf8))
                drops.schedule(after: .milliseconds(50), repeatingEvery: .milliseconds(50))
            }
            client.onClose = { _ in
                isEnded = true
                drops.cancel()
                server.close()
                loop.stop()
            }
            client.connect(to: server.address, timeout: .seconds(20))
        }
        #expect(isEnded)
    }

    @Test func theLongestWaitingOfTheLargestSourceMakesRoom() throws {
        var callers = HTTPCallers(most: 3, requestTimeout: .seconds(10))
        func caller(_ number: Int32, _ source: String, _ second: Int64) -> HTTPCaller {
            // No descriptor: shutting it down does nothing.
            HTTPCaller(-number, from: source, slot: nil, at: Instant(nanoseconds: second * 1_000_000_000))
        }
        let all = [caller(1, "a", 0), caller(2, "b", 1), caller(3, "b", 2), caller(4, "c", 3), caller(5, "c", 4)]
        for caller in all[..<3] { callers.add(caller) }
        callers.asked(all[1].descriptor)
        callers.answered(all[1].descriptor, at: Instant(nanoseconds: 2_500_000_000))
        callers.add(all[3])
        #expect(all.map(\.isEnding) == [false, false, true, false, false])
        callers.remove(all[2].descriptor)
        callers.add(all[4])
        #expect(all.map(\.isEnding) == [true, false, true, false, false])
        callers.endLate(at: Instant(nanoseconds: 13_100_000_000))
        #expect(all.map(\.isEnding) == [true, true, true, true, false])
    }
}

extension String {
    /// The pieces between occurrences of `separator`.
    fileprivate func components(_ separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
