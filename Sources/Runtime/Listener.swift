import CLibUV

/// A listening TCP socket on a loop; it stays until `close()`.
package final class Listener: LoopHandle {
    /// Connections that the kernel accepts ahead of us.
    private static let backlog: Int32 = 1024

    /// Where it listens, with the real port where 0 was asked for.
    package private(set) var address: Address
    /// Accepting failed, as when descriptors run out: the kernel's words. The listener goes on.
    package var onError: ((String) -> Void)?

    private let loop: EventLoop
    private var tcp: UnsafeMutablePointer<uv_tcp_t>?
    private var onAccept: ((Connection) -> Void)?

    /// Binds and listens. SO_REUSEADDR is set, so that a restart need not wait for the connections of before.
    ///
    /// - Parameters:
    ///   - address: its host may be a name; the first address that it resolves to is taken. Port 0: any free one.
    ///   - onAccept: is given each new connection, open, to set its callbacks; reading starts when it returns.
    /// - Throws: `ListenError`, with what to do about it.
    package init(
        on loop: EventLoop, address: Address, onAccept: @escaping (Connection) -> Void
    ) throws(ListenError) {
        self.loop = loop
        self.address = address
        self.onAccept = onAccept
        super.init()
        let candidates: [SocketAddress]
        do {
            candidates = try address.resolveBlocking(on: loop)
        } catch {
            throw ListenError(address: address, code: error.code)
        }
        guard let candidate = candidates.first else {
            throw ListenError(address: address, code: -UV_EAI_NONAME.rawValue)
        }
        let status = open(candidate)
        guard status == 0, let tcp else {
            close()
            throw ListenError(address: address, code: -status)
        }
        if let bound = SocketAddress(filling: { uv_tcp_getsockname(tcp, $0, $1) }) {
            self.address.port = bound.address.port
        }
    }

    private func open(_ candidate: SocketAddress) -> Int32 {
        let tcp = UnsafeMutablePointer<uv_tcp_t>.allocate(capacity: 1)
        var status = uv_tcp_init(loop.raw, tcp)
        guard status == 0 else {
            tcp.deallocate()
            return status
        }
        tcp.pointee.data = Unmanaged<LoopHandle>.passRetained(self).toOpaque()
        self.tcp = tcp
        status = candidate.withPointer { uv_tcp_bind(tcp, $0, 0) }
        guard status == 0 else { return status }
        return uv_listen(tcp.asStream, Listener.backlog) { server, status in
            guard let server, let data = server.pointee.data else { return }
            Unmanaged<Listener>.fromOpaque(data).takeUnretainedValue().connectionWaits(server, status)
        }
    }

    private func connectionWaits(_ server: UnsafeMutablePointer<uv_stream_t>, _ status: Int32) {
        guard status == 0 else {
            onError?(SystemError.reason(status))
            return
        }
        guard let connection = Connection.accept(from: server, on: loop) else { return }
        guard let onAccept else { return connection.close() }
        onAccept(connection)
        connection.startReading()
    }

    /// Stops listening and frees the port; connections accepted before stay.
    package func close() {
        onAccept = nil
        onError = nil
        guard let tcp else { return }
        self.tcp = nil
        uv_close(tcp.asHandle) { handle in
            guard let handle, let data = handle.pointee.data else { return }
            Unmanaged<LoopHandle>.fromOpaque(data).release()
            handle.deallocateHandle(uv_tcp_t.self)
        }
    }

    override func loopIsClosing() { close() }
}

/// A listener that could not be set up.
package struct ListenError: Error, Hashable, Sendable, CustomStringConvertible {
    package var address: Address
    /// The error number, as in `<errno.h>`, or libuv's for name resolution, positive.
    package var code: Int32

    package var description: String {
        let remedy =
            switch -code {
            case UV_EADDRINUSE.rawValue: "; is another instance running? Choose another port, or stop it"
            case UV_EADDRNOTAVAIL.rawValue: "; it is no address of this machine; 0.0.0.0 stands for all of them"
            case UV_EACCES.rawValue: "; ports below 1024 need a privilege; choose a higher one"
            default: ""
            }
        return "cannot listen on \(address): \(SystemError.reason(code))\(remedy)"
    }
}
