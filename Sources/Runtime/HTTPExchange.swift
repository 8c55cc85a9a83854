import CMicroHTTPD

/// A complete HTTP request.
package struct HTTPRequest: Sendable {
    package struct Parameter: Hashable, Sendable {
        package var name: String
        package var value: String
    }

    /// As sent; methods are case-sensitive.
    package var method: String
    /// Decoded, without the query.
    package var path: String
    /// The query's parameters, decoded, in their order.
    package var query: [Parameter] = []
    /// Names in lower case; of a name given twice the first counts.
    package var headers: [String: String] = [:]
    package var body: [UInt8] = []

    /// The first parameter of that name; nil where there is none.
    package func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }
}

/// An answer. `Content-Length`, `Date` and `Connection` are added to it.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A short answer in words.
    package static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: Array("\(text)\n".utf8))
    }
}

/// One request and the answer that it is owed: at once, or whenever it is ready. Whoever lets go of it without an
/// answer leaves the client to the server's answer timeout.
package final class HTTPExchange {
    package internal(set) var request: HTTPRequest
    /// True once the client is gone or has been answered completely: answering then has no effect.
    package private(set) var isOver = false

    package let loop: EventLoop

    private enum Phase { case receiving, handling, suspended, answered }
    private var phase = Phase.receiving
    private var isTooLarge = false
    private var discarded = 0
    private var isGarbled = false
    private var response: HTTPResponse?
    private var stream: HTTPBodyStream?
    private var deadline: Timer?
    private unowned let server: HTTPServer
    private let connection: OpaquePointer

    init(_ request: HTTPRequest, on connection: OpaquePointer, of server: HTTPServer) {
        self.request = request
        self.connection = connection
        self.server = server
        loop = server.loop
    }

    // MARK: Answering

    /// Gives the answer; the first one counts.
    package func respond(_ response: HTTPResponse) {
        guard !isOver, self.response == nil else { return }
        self.response = response
        resume()
    }

    /// Begins an answer whose body comes in pieces (`Transfer-Encoding: chunked`); `response.body` is its first.
    package func respondStreaming(_ response: HTTPResponse) -> HTTPBodyStream {
        let stream = HTTPBodyStream(self, response.body)
        guard !isOver, self.response == nil else {
            stream.end()
            return stream
        }
        self.stream = stream
        self.response = response
        resume()
        return stream
    }

    /// Lets libmicrohttpd go on with the connection, where it waits for us.
    func resume() {
        guard phase == .suspended, !isOver else { return }
        phase = .handling
        deadline = nil
        MHD_resume_connection(connection)
        server.runSoon()
    }

    /// Waits for a later event.
    func suspend() {
        MHD_suspend_connection(connection)
        phase = .suspended
    }

    /// Ends a wait when the server closes: nothing may be suspended then.
    func giveUp() {
        respond(.text(503, "The server is shutting down."))
        stream?.abort()
    }

    // MARK: libmicrohttpd's calls

    /// More of the body; what is over the limit is thrown away. False where the client should be cut off.
    func received(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !isTooLarge, bytes.count <= server.limits.bodyBytes - request.body.count else {
            // Answering in the middle of a body is not possible; a body of undeclared length is followed for as much
            // again, in the hope that it ends, so that the client learns why.
            discarded += bytes.count
            isTooLarge = true
            request.body = []
            return discarded <= server.limits.bodyBytes
        }
        request.body.append(contentsOf: bytes)
        return true
    }

    func refuseGarbled() { isGarbled = true }

    /// The request is complete, or the connection goes on after a wait.
    func proceed(_ handler: (HTTPExchange) -> Void) -> MHD_Result {
        if phase == .receiving {
            phase = .handling
            if isTooLarge {
                respond(.text(413, "The body is larger than \(server.limits.bodyBytes) bytes."))
            } else if isGarbled {
                respond(.text(400, "The request's path, query or headers are not UTF-8."))
            } else {
                handler(self)
            }
        }
        if let response, phase == .handling {
            phase = .answered
            return queue(response)
        }
        if phase == .handling {
            suspend()
            let deadline = Timer(on: loop) { [weak self] in
                self?.respond(
                    .text(504, "There is no answer within \(self?.server.limits.answerTimeout.unitText ?? "")."))
            }
            deadline.schedule(after: server.limits.answerTimeout)
            self.deadline = deadline
        }
        return .YES
    }

    /// Hands the answer to libmicrohttpd, which copies it.
    func queue(_ response: HTTPResponse) -> MHD_Result {
        phase = .answered
        guard let raw = makeRaw(response) else { return .NO }
        defer { MHD_destroy_response(raw) }
        for (name, value) in response.headers { MHD_add_response_header(raw, name, value) }
        return MHD_queue_response(connection, UInt32(clamping: response.status), raw)
    }

    private func makeRaw(_ response: HTTPResponse) -> OpaquePointer? {
        if let stream { return stream.makeRaw() }
        var body = response.body
        return body.withUnsafeMutableBytes {
            MHD_create_response_from_buffer($0.count, $0.baseAddress, .RESPMEM_MUST_COPY)
        }
    }

    /// The stream has nothing to give: the connection waits.
    func streamRanDry() { suspend() }

    func forget() { server.forget(self) }

    func completed() {
        isOver = true
        deadline = nil
        stream?.end()
        stream = nil
    }
}

/// The body of a streamed answer. What is written and not yet taken is `pendingBytes`; a producer stops while that is
/// much and goes on at `onDrained`.
package final class HTTPBodyStream {
    /// All that was written has been taken.
    package var onDrained: (() -> Void)?
    /// The client is gone, or has all of it.
    package private(set) var isOver = false

    private weak var exchange: HTTPExchange?
    private var bytes: [UInt8]
    private var taken = 0
    private enum End { case open, finished, aborted }
    private var ending = End.open

    init(_ exchange: HTTPExchange, _ bytes: [UInt8]) {
        self.exchange = exchange
        self.bytes = bytes
    }

    package var pendingBytes: Int { bytes.count - taken }

    /// Without effect after `finish()` or when it is over.
    package func write(_ more: [UInt8]) {
        guard ending == .open, !isOver, !more.isEmpty else { return }
        bytes.append(contentsOf: more)
        exchange?.resume()
    }

    /// The body is complete.
    package func finish() { close(.finished) }

    /// Ends in the middle, in a way that the client sees as an error.
    package func abort() { close(.aborted) }

    private func close(_ how: End) {
        guard ending == .open, !isOver else { return }
        ending = how
        exchange?.resume()
    }

    func end() {
        isOver = true
        bytes = []
        taken = 0
        onDrained = nil
    }

    func makeRaw() -> OpaquePointer? {
        MHD_create_response_from_callback(
            UInt64(bitPattern: -1), 64 * 1024,
            { context, _, target, capacity in
                guard let context, let target else { return -2 }
                let room = UnsafeMutableRawBufferPointer(start: target, count: capacity)
                return Unmanaged<HTTPBodyStream>.fromOpaque(context).takeUnretainedValue().read(into: room)
            }, Unmanaged.passRetained(self).toOpaque(),
            { context in
                guard let context else { return }
                Unmanaged<HTTPBodyStream>.fromOpaque(context).release()
            })
    }

    private func read(into room: UnsafeMutableRawBufferPointer) -> Int {
        if ending == .aborted { return -2 }
        if pendingBytes == 0, ending == .open { onDrained?() }
        guard pendingBytes > 0 else {
            guard ending == .open, let exchange else { return ending == .finished ? -1 : -2 }
            exchange.streamRanDry()
            return 0
        }
        let count = min(room.count, pendingBytes)
        bytes.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[taken..<(taken + count)])) }
        taken += count
        if taken == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 1024 * 1024)
            taken = 0
        } else if taken > bytes.count / 2 {
            bytes.removeSubrange(..<taken)
            taken = 0
        }
        return count
    }
}
