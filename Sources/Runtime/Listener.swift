import CLibUV
import Synchronization

/// A listening TCP socket on a loop; it stays until `close()`. Whom it has no place for waits in the kernel.
package final class Listener: LoopHandle {
    /// Connections that the kernel accepts ahead of us.
    private static let backlog: Int32 = 1024

    package struct Limits: Sendable {
        /// Connections at once, whatever has become of them: a place is free again when the descriptor is.
        package var connections: Int
        /// What is accepted in one turn of the loop.
        package var perTurn = 32
        /// It stops for a while where fewer descriptors than about this are left, which are for others.
        package var keptFree: Int
        /// How long a connection keeps its place though its peer has not said who it is, where others wait for one; nil
        /// for ever.
        package var unidentifiedTime: Duration?

        package init(connections: Int = .max, keptFree: Int = 0, unidentifiedTime: Duration? = nil) {
            self.connections = connections
            self.keptFree = keptFree
            self.unidentifiedTime = unidentifiedTime
        }
    }

    /// Where it listens, with the real port where 0 was asked for.
    package private(set) var address: Address
    /// Accepting failed, or has to wait because there is no place: in words. The listener goes on.
    package var onError: ((String) -> Void)?
    /// Asked before each connection is taken; nil where none has to be.
    package var hasRoom: (() -> Bool)?

    private let loop: EventLoop
    private let limits: Limits
    private let slots = ConnectionSlots()
    private let descriptorLimit: Int
    private var tcp: UnsafeMutablePointer<uv_tcp_t>?
    private var onAccept: ((Connection) -> Void)?
    /// What was accepted in one turn, and in which.
    private var accepted = (count: 0, iteration: UInt64(0))
    private var isResuming = false
    /// Those that may have to make room, the oldest first; some that have ended are among them.
    private var newcomers: [Connection] = []
    private var resting: Timer?
    /// How soon it is looked whether there is a place again; and how long nobody is taken in when descriptors are few.
    private static let retry = Duration.milliseconds(20)
    /// For those who say who they are as soon as they are connected.
    static let unidentifiedTime = Duration.milliseconds(100)
    private static let rest = Duration.milliseconds(500)

    /// Binds and listens. SO_REUSEADDR is set, so that a restart need not wait for the connections of before.
    ///
    /// - Parameters:
    ///   - address: its host may be a name; the first address that it resolves to is taken. Port 0: any free one.
    ///   - onAccept: is given each new connection, open, to set its callbacks; reading starts when it returns.
    /// - Throws: `ListenError`, with what to do about it.
    package init(
        on loop: EventLoop, address: Address, limits: Limits = Limits(), onAccept: @escaping (Connection) -> Void
    ) throws(ListenError) {
        self.loop = loop
        self.limits = limits
        descriptorLimit = DescriptorLimit.current
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
        // While one that waits is not taken, libuv keeps it and looks for no other.
        guard !isResuming, resting == nil, mayTake() else { return }
        take(server)
    }

    /// Whether the connection that waits may be taken now; otherwise it is seen to that it is looked at again.
    private func mayTake() -> Bool {
        if accepted.iteration != loop.iteration { accepted = (0, loop.iteration) }
        guard accepted.count < limits.perTurn else {
            isResuming = true
            loop.soon { [weak self] in self?.resume() }
            return false
        }
        guard slots.open < limits.connections, hasRoom?() ?? true else {
            onError?(limits.connections == .max ? "no place is free" : "all \(limits.connections) places are taken")
            makeRoom()
            restFor(Listener.retry)
            return false
        }
        return true
    }

    /// Ends the connections that nobody knows, if they have had their time. Whoever says at once who he is hardly waits,
    /// however many strangers there are.
    ///
    /// - Complexity: O(connections), while there is no place, once in ``retry``.
    private func makeRoom() {
        guard let time = limits.unidentifiedTime else { return }
        var left = limits.perTurn
        newcomers.removeAll { connection in
            guard left > 0, connection.mayMakeRoom(after: time) else {
                return connection.slot == nil
            }
            left -= 1
            connection.close()
            return true
        }
    }

    private func note(_ connection: Connection) {
        guard limits.unidentifiedTime != nil else { return }
        // As seldom as its count doubles what can be there.
        if newcomers.count > 2 * limits.connections + 64 { newcomers.removeAll { $0.slot == nil } }
        newcomers.append(connection)
    }

    private func restFor(_ pause: Duration) {
        let timer = resting ?? Timer(on: loop) { [weak self] in self?.resume() }
        resting = timer
        timer.schedule(after: pause)
    }

    private func resume() {
        isResuming = false
        resting = nil
        guard let tcp, mayTake() else { return }
        take(tcp.asStream)
    }

    private func take(_ server: UnsafeMutablePointer<uv_stream_t>) {
        accepted.count += 1
        guard let connection = Connection.accept(from: server, on: loop) else { return }
        connection.slot = slots.take()
        note(connection)
        guard let onAccept else { return connection.close() }
        // The kernel gives the lowest number that is free. Once there is none, libuv ends whoever calls without a word.
        if limits.keptFree > 0, Int(connection.descriptor) >= descriptorLimit - limits.keptFree {
            onError?("fewer than \(limits.keptFree) of \(descriptorLimit) file descriptors are left (ulimit -n)")
            restFor(Listener.rest)
        }
        onAccept(connection)
        connection.startReading()
    }

    /// How many connections there are.
    package var openConnections: Int { slots.open }

    /// Stops listening and frees the port; connections accepted before stay.
    package func close() {
        onAccept = nil
        onError = nil
        hasRoom = nil
        resting = nil
        newcomers = []
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

/// Counts connections, on whichever threads they are.
final class ConnectionSlots: Sendable {
    private let count = Atomic<Int>(0)

    var open: Int { count.load(ordering: .relaxed) }

    func take() -> ConnectionSlot {
        count.wrappingAdd(1, ordering: .relaxed)
        return ConnectionSlot(of: self)
    }

    fileprivate func give() { count.wrappingSubtract(1, ordering: .relaxed) }
}

/// A connection's place, for as long as it lives.
final class ConnectionSlot: Sendable {
    private let slots: ConnectionSlots

    fileprivate init(of slots: ConnectionSlots) { self.slots = slots }

    deinit { slots.give() }
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
