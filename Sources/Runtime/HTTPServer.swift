import CLibUV
import CMicroHTTPD
import Glibc

/// An HTTP/1.1 server on a loop, by libmicrohttpd: its epoll descriptor is one more descriptor of ours, so that
/// requests are handled on the loop's thread, between everything else.
///
/// Connections are accepted here and given to it. When it accepts itself it stops at its limit, and looks for others only
/// when something else wakes it up: once the last connection has gone, nothing does.
package final class HTTPServer: LoopHandle {
    package struct Limits: Sendable {
        /// Connections at once. One more takes the place of the one that has waited for a request for longest, of the
        /// source that has the most of those.
        package var connections = 256
        /// Bytes of a request's body; a larger one is answered 413.
        package var bodyBytes = 64 * 1024
        /// Bytes of the request line and headers of one connection, roughly; a larger one is answered 414 or 431.
        package var headBytes = 64 * 1024
        /// Whole seconds that a connection may stay silent.
        package var idleSeconds: UInt32 = 10
        /// How long a request may take to come, whole, from when its connection could send it.
        package var requestTimeout = Duration.seconds(10)
        /// See ``Listener/Limits/keptFree``.
        package var keptFreeDescriptors = 0
        /// How long an answer may take; then 504 is given.
        package var answerTimeout = Duration.seconds(30)

        package init() {}
    }

    /// Where it listens, with the real port where 0 was asked for.
    package var address: Address { listener?.address ?? Address(host: "", port: 0) }
    /// See ``Listener/onError``.
    package var onAcceptError: ((String) -> Void)? {
        get { listener?.onError }
        set { listener?.onError = newValue }
    }
    let loop: EventLoop
    let limits: Limits
    private var handler: ((HTTPExchange) -> Void)?
    private var daemon: OpaquePointer?
    private var poll: UnsafeMutablePointer<uv_poll_t>?
    private var timer: Timer?
    private var listener: Listener?
    private var callers: HTTPCallers
    private var sweep: Timer?
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
        callers = HTTPCallers(most: limits.connections, requestTimeout: limits.requestTimeout)
        super.init()
        // More than are accepted: it never has to refuse one.
        daemon = shim_start_daemon(
            UInt32(clamping: 2 * limits.connections + HTTPServer.endingConnections), limits.headBytes,
            limits.idleSeconds, HTTPServer.onRequest, HTTPServer.onCompleted, HTTPServer.onConnection,
            Unmanaged.passUnretained(self).toOpaque())
        guard let daemon else { throw ListenError(address: address, code: errno) }
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
        do throws(ListenError) {
            let places = limits.connections + HTTPServer.endingConnections
            listener = try Listener(
                on: loop, address: address,
                limits: Listener.Limits(connections: places, keptFree: limits.keptFreeDescriptors)
            ) { [unowned self] in self.accepted($0) }
        } catch {
            close()
            throw error
        }
        let sweep = Timer(on: loop) { [unowned self] in self.callers.endLate(at: self.loop.now) }
        sweep.schedule(after: HTTPServer.sweepInterval, repeatingEvery: HTTPServer.sweepInterval)
        self.sweep = sweep
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
        sweep = nil
        listener?.close()
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

    // MARK: Connections

    /// Those that were told to end, and are not gone yet.
    package static let endingConnections = 32
    private static let sweepInterval = Duration.seconds(1)

    package var connectionCount: Int { callers.count }

    private func accepted(_ connection: Connection) {
        connection.endWhenThePeerVanishes()
        let source = connection.peer?.host ?? ""
        let slot = connection.slot
        connection.slot = nil
        let address = SocketAddress { name, length in connection.peerName(name, length) }
        let descriptor: Int32
        do throws(SystemError) { descriptor = try connection.detach() } catch {
            listener?.onError?("\(error)")
            return
        }
        guard let daemon, let address else {
            _ = Glibc.close(descriptor)
            return
        }
        callers.add(HTTPCaller(descriptor, from: source, slot: slot, at: loop.now))
        // It closes the descriptor where it fails.
        let result = address.withPointer { MHD_add_connection(daemon, descriptor, $0, address.length) }
        if result != .YES { callers.remove(descriptor) }
        runSoon()
    }

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
        server.callers.asked(shim_connection_descriptor(connection))
        return exchange.proceed { server.handler?($0) }
    }

    private static let onConnection: MHD_NotifyConnectionCallback = { context, connection, _, event in
        guard let context, let connection, event == .CONNECTION_NOTIFY_CLOSED else { return }
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        server.callers.remove(shim_connection_descriptor(connection))
    }

    private static let onCompleted: MHD_RequestCompletedCallback = { context, connection, state, _ in
        if let context, let connection {
            let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
            server.callers.answered(shim_connection_descriptor(connection), at: server.loop.now)
        }
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
}
