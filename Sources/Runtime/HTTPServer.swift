import CLibUV
import CMicroHTTPD
import Glibc

/// An HTTP/1.1 server on a loop, by libmicrohttpd: its epoll descriptor is one more descriptor of ours, so that
/// requests are handled on the loop's thread, between everything else.
package final class HTTPServer: LoopHandle {
    package struct Limits: Sendable {
        /// Connections beyond which further ones wait to be accepted.
        package var connections: UInt32 = 1024
        /// Bytes of a request's body; a larger one is answered 413.
        package var bodyBytes = 16 * 1024 * 1024
        /// Bytes of the request line and headers of one connection, roughly; a larger one is answered 414 or 431.
        package var headBytes = 64 * 1024
        /// Whole seconds that a connection may stay silent.
        package var idleSeconds: UInt32 = 30
        /// How long an answer may take; then 504 is given.
        package var answerTimeout = Duration.seconds(30)

        package init() {}
    }

    /// Where it listens, with the real port where 0 was asked for.
    package let address: Address
    let loop: EventLoop
    let limits: Limits
    private var handler: ((HTTPExchange) -> Void)?
    private var daemon: OpaquePointer?
    private var poll: UnsafeMutablePointer<uv_poll_t>?
    private var timer: Timer?
    private var willRunSoon = false
    private var isRunning = false
    private var closesAfterRun = false
    private var exchanges: [ObjectIdentifier: HTTPExchange] = [:]

    /// - Parameter handler: is given each complete request; it answers at once or later.
    /// - Throws: `ListenError`.
    package init(
        on loop: EventLoop, address: Address, limits: Limits = Limits(), handler: @escaping (HTTPExchange) -> Void
    ) throws(ListenError) {
        self.loop = loop
        self.limits = limits
        self.handler = handler
        let (listener, bound) = try HTTPServer.listen(on: loop, address)
        self.address = bound
        super.init()
        daemon = shim_start_daemon(
            listener, limits.connections, limits.headBytes, limits.idleSeconds,
            HTTPServer.onRequest, Unmanaged.passUnretained(self).toOpaque(), HTTPServer.onCompleted, nil)
        guard let daemon else {
            _ = Glibc.close(listener)
            throw ListenError(address: address, code: errno)
        }
        let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
        let status = uv_poll_init(loop.raw, poll, shim_epoll_descriptor(daemon))
        guard status == 0 else {
            poll.deallocate()
            MHD_stop_daemon(daemon)
            self.daemon = nil
            throw ListenError(address: address, code: -status)
        }
        poll.pointee.data = Unmanaged<LoopHandle>.passRetained(self).toOpaque()
        self.poll = poll
        timer = Timer(on: loop) { [unowned self] in self.run() }
        uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { handle, _, _ in
            guard let data = handle?.pointee.data else { return }
            Unmanaged<HTTPServer>.fromOpaque(data).takeUnretainedValue().run()
        }
    }

    /// Stops listening; requests that wait for an answer get 503, and all connections are closed.
    package func close() {
        guard let daemon, let poll else { return }
        // libmicrohttpd cannot be stopped from inside one of its calls, such as a handler.
        if isRunning {
            closesAfterRun = true
            return
        }
        for exchange in exchanges.values { exchange.giveUp() }
        // One run resumes what was suspended, which may not be when the daemon stops, and queues the answers; the next
        // sends them.
        for _ in 0..<2 { MHD_run(daemon) }
        self.daemon = nil
        self.poll = nil
        timer = nil
        uv_poll_stop(poll)
        uv_close(poll.asHandle) { handle in
            guard let handle, let data = handle.pointee.data else { return }
            Unmanaged<LoopHandle>.fromOpaque(data).release()
            handle.deallocateHandle(uv_poll_t.self)
        }
        MHD_stop_daemon(daemon)
        handler = nil
    }

    override func loopIsClosing() { close() }

    // MARK: Running

    private func run() {
        guard let daemon, let timer else { return }
        isRunning = true
        MHD_run(daemon)
        isRunning = false
        if closesAfterRun { return close() }
        var milliseconds: UInt64 = 0
        if MHD_get_timeout(daemon, &milliseconds) == .YES {
            timer.schedule(after: .milliseconds(Int64(clamping: milliseconds)))
        } else {
            timer.cancel()
        }
    }

    /// Has libmicrohttpd look at what was resumed.
    func runSoon() {
        guard !willRunSoon else { return }
        willRunSoon = true
        loop.soon { [weak self] in
            self?.willRunSoon = false
            self?.run()
        }
    }

    // MARK: libmicrohttpd's calls

    private static let onRequest: MHD_AccessHandlerCallback = {
        context, connection, url, method, _, upload, uploadSize, state in
        guard let context, let connection, let url, let method, let uploadSize, let state else { return .NO }
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        guard let known = state.pointee else {
            let exchange = server.begin(connection, url, method)
            state.pointee = Unmanaged.passRetained(exchange).toOpaque()
            return server.refusedEarly(exchange, connection) ?? .YES
        }
        let exchange = Unmanaged<HTTPExchange>.fromOpaque(known).takeUnretainedValue()
        if uploadSize.pointee > 0 {
            let bytes = UnsafeRawBufferPointer(start: upload, count: uploadSize.pointee)
            uploadSize.pointee = 0
            return exchange.received(bytes) ? .YES : .NO
        }
        return exchange.proceed { server.handler?($0) }
    }

    private static let onCompleted: MHD_RequestCompletedCallback = { _, _, state, _ in
        guard let state, let known = state.pointee else { return }
        state.pointee = nil
        let exchange = Unmanaged<HTTPExchange>.fromOpaque(known).takeRetainedValue()
        exchange.completed()
        exchange.forget()
    }

    func forget(_ exchange: HTTPExchange) { exchanges[ObjectIdentifier(exchange)] = nil }

    private func begin(
        _ connection: OpaquePointer, _ url: UnsafePointer<CChar>, _ method: UnsafePointer<CChar>
    ) -> HTTPExchange {
        let head = HeadReader()
        let request = HTTPRequest(method: head.text(method, strlen(method)), path: head.text(url, strlen(url)))
        let exchange = HTTPExchange(request, on: connection, of: self)
        let context = Unmanaged.passUnretained(head).toOpaque()
        for kind in [MHD_ValueKind.GET_ARGUMENT_KIND, .HEADER_KIND] {
            MHD_get_connection_values_n(
                connection, kind,
                { context, kind, name, nameSize, value, valueSize in
                    guard let context else { return .NO }
                    Unmanaged<HeadReader>.fromOpaque(context).takeUnretainedValue()
                        .add(kind, name, nameSize, value, valueSize)
                    return .YES
                }, context)
        }
        exchange.request.query = head.query
        exchange.request.headers = head.headers
        if !head.isValid { exchange.refuseGarbled() }
        exchanges[ObjectIdentifier(exchange)] = exchange
        return exchange
    }

    /// A body that is declared too large is refused before it is sent.
    private func refusedEarly(_ exchange: HTTPExchange, _ connection: OpaquePointer) -> MHD_Result? {
        guard let declared = exchange.request.headers["content-length"], let count = Int(declared),
            count > limits.bodyBytes
        else { return nil }
        return exchange.queue(.text(413, "The body is larger than \(limits.bodyBytes) bytes."))
    }

    /// Collects a request's head.
    private final class HeadReader {
        var query: [HTTPRequest.Parameter] = []
        var headers: [String: String] = [:]
        var isValid = true

        func add(
            _ kind: MHD_ValueKind, _ name: UnsafePointer<CChar>?, _ nameSize: Int, _ value: UnsafePointer<CChar>?,
            _ valueSize: Int
        ) {
            let name = text(name, nameSize)
            let value = text(value, valueSize)
            if kind == .HEADER_KIND {
                let key = name.lowercased()
                if headers[key] == nil { headers[key] = value }
            } else {
                query.append(.init(name: name, value: value))
            }
        }

        func text(_ base: UnsafePointer<CChar>?, _ count: Int) -> String {
            let bytes = UnsafeRawBufferPointer(start: base, count: base == nil ? 0 : count)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                isValid = false
                return ""
            }
            return text
        }
    }

    // MARK: The listening socket

    /// It is made here rather than by libmicrohttpd, which would not tell why it fails.
    private static func listen(on loop: EventLoop, _ address: Address) throws(ListenError) -> (Int32, Address) {
        let candidate: SocketAddress
        do throws(SystemError) {
            let candidates = try address.resolveBlocking(on: loop)
            guard let first = candidates.first else { throw SystemError(UV_EAI_NONAME.rawValue, doing: "") }
            candidate = first
        } catch {
            throw ListenError(address: address, code: error.code)
        }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(candidate.isIPv6 ? AF_INET6 : AF_INET, kind, 0)
        guard descriptor >= 0 else { throw ListenError(address: address, code: errno) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard candidate.withPointer({ bind(descriptor, $0, candidate.length) }) == 0,
            Glibc.listen(descriptor, 1024) == 0
        else {
            let code = errno
            _ = Glibc.close(descriptor)
            throw ListenError(address: address, code: code)
        }
        let bound = SocketAddress { name, length in
            var size = socklen_t(length.pointee)
            return getsockname(descriptor, name, &size)
        }
        return (descriptor, Address(host: address.host, port: bound?.address.port ?? address.port))
    }
}
