import CLibUV
import Glibc
import TupleCore

/// A TCP connection on a loop, made by a `Listener` or by `connect`. It keeps itself alive while it is open; `onClose`
/// is called exactly once, always from the loop and never from inside a call to the connection, after which all
/// callbacks are let go.
///
/// What is sent in one iteration of the loop leaves in one write before the loop sleeps. Outgoing bytes are bounded:
/// a peer that does not read is cut off (`slowReader`).
package final class Connection: LoopHandle {
    /// The bytes received, valid during the call only. Never called after `close()`.
    package var onBytes: ((UnsafeRawBufferPointer) -> Void)?
    /// `connect` succeeded.
    package var onConnected: (() -> Void)?
    /// The outgoing bytes, having been above `lowWaterMark`, are at or below it again. Called in the next iteration.
    package var onDrained: (() -> Void)?
    /// What ``reportDrained(downTo:)`` asked for. Called in the next iteration.
    package var onReport: (() -> Void)?
    /// The end, with its reason.
    package var onClose: ((CloseReason) -> Void)?

    /// Outgoing bytes beyond which the peer counts as too slow.
    package var maximumOutgoingBytes = 64 * 1024 * 1024
    /// See `onDrained`.
    package static let lowWaterMark = 256 * 1024

    package let loop: EventLoop
    /// How much one read takes at most.
    package var readSize = EventLoop.readBufferSize
    /// The place that it takes among those of its listener, until the kernel has its descriptor back.
    var slot: ConnectionSlot?
    /// Its peer has said who it is.
    package var isIdentified = false
    var establishedAt = Instant(nanoseconds: 0)

    enum State { case idle, resolving, connecting, open, flushing, shutDown, closing, closed }
    var state = State.idle
    private(set) var tcp: UnsafeMutablePointer<uv_tcp_t>?
    private var closeReason = CloseReason.closedHere
    private var isReadingPaused = false
    /// What was read in one iteration of the loop, and in which.
    private var taken = (bytes: 0, iteration: UInt64(0))
    /// What is taken in one iteration: libuv would go on for as long as there is more, and everyone else would wait.
    private static let bytesPerIteration = 2 * EventLoop.readBufferSize
    private var peerHasEnded = false

    // Connecting: the addresses still to be tried.
    private var target = Address(host: "", port: 0)
    private var candidates: ArraySlice<SocketAddress> = []
    private var attempted = Address(host: "", port: 0)
    /// This end's address; nil for one that the kernel chooses.
    var bindsTo: SocketAddress?
    /// What became of the addresses that were tried, in words.
    private var failures: [String] = []
    private var deadline: Timer?
    /// When the attempt at the present address is given up for the next one.
    private var attemptDeadline: Timer?
    private var givesUpAt = Instant(nanoseconds: 0)

    // Outgoing: `outgoing[sent...]` has not been given to libuv. What the kernel does not take at once waits as a small
    // piece in `inFlight`, whose one purpose is to learn when the socket is writable again.
    private var outgoing: [UInt8] = []
    private var sent = 0
    private var needsFlush = false
    private var wasAboveLowWater = false
    private var reportedRest: Int?
    private var isWriting = false
    private var inFlight: UnsafeMutableRawBufferPointer?
    private let writeRequest = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)
    private static let inFlightSize = 32 * 1024
    /// What stays reserved for outgoing bytes while there are none.
    package var restingOutgoingBytes = 1024 * 1024

    /// An unconnected connection, for `connect`.
    package init(on loop: EventLoop) { self.loop = loop }

    deinit {
        inFlight?.deallocate()
        writeRequest.deallocate()
    }

    /// True from the connection's being established until it is closed, or is to close when flushed.
    package var isOpen: Bool { state == .open }

    /// The peer's numeric address; nil where there is none (any more).
    package var peer: Address? { peerAddress?.address }

    var peerAddress: SocketAddress? {
        guard let tcp else { return nil }
        return SocketAddress { uv_tcp_getpeername(tcp, $0, $1) }
    }

    /// As `getpeername(2)`; a libuv status.
    func peerName(_ name: UnsafeMutablePointer<sockaddr>, _ length: UnsafeMutablePointer<Int32>) -> Int32 {
        guard let tcp else { return UV_ENOTCONN.rawValue }
        return uv_tcp_getpeername(tcp, name, length)
    }

    /// This end's numeric address; nil where there is none (any more).
    package var local: Address? {
        guard let tcp else { return nil }
        return SocketAddress { uv_tcp_getsockname(tcp, $0, $1) }?.address
    }

    /// Has the kernel ask a silent peer after `delay` (whole seconds, at least one) whether it is still there.
    package func enableKeepalive(after delay: Duration) {
        guard let tcp else { return }
        uv_tcp_keepalive(tcp, 1, UInt32(clamping: max(1, delay.components.seconds)))
    }

    /// Has the kernel end the connection when the peer has vanished: after 15 s of silence it asks three times, five
    /// seconds apart; what was sent may go unanswered for as long in all. A peer that is alive and silent stays.
    package func endWhenThePeerVanishes() {
        let (idle, interval, probes): (Int32, Int32, Int32) = (15, 5, 3)
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
        set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, idle)
        set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, interval)
        set(Int32(IPPROTO_TCP), TCP_KEEPCNT, probes)
        set(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, (idle + interval * probes) * 1_000)
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        // A kernel that does not know one of them goes without it.
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// The socket's number; -1 where there is none (any more).
    var descriptor: Int32 {
        var descriptor: uv_os_fd_t = -1
        guard let tcp, uv_fileno(tcp.asHandle, &descriptor) == 0 else { return -1 }
        return descriptor
    }

    // MARK: Connecting

    /// Connects; each address that the name resolves to is tried in turn, and has its share of the time that is left. Ends in
    /// `onConnected` or in `onClose`.
    ///
    /// - Parameter timeout: for everything together, name resolution included.
    /// - Precondition: called once, on a connection made with `init(on:)`.
    package func connect(to address: Address, timeout: Duration) {
        begin(address, timeout)
        address.resolve(on: loop) { result in
            guard self.state == .resolving else { return }
            switch result {
            case .success(let addresses):
                self.candidates = addresses[...]
                self.connectToNext()
            case .failure(let error):
                self.close(because: .resolutionFailed(address, error.reason))
            }
        }
    }

    /// The same where the name's addresses are known already.
    func connect(to address: Address, at addresses: [SocketAddress], timeout: Duration) {
        begin(address, timeout)
        candidates = addresses[...]
        loop.soon { if self.state == .resolving { self.connectToNext() } }
    }

    private func begin(_ address: Address, _ timeout: Duration) {
        guard state == .idle else { preconditionFailure("connect is called once, on a new connection") }
        state = .resolving
        target = address
        let deadline = Timer(on: loop) { [weak self] in
            guard let self else { return }
            self.close(because: self.timedOut(after: timeout))
        }
        givesUpAt = loop.now.advanced(by: timeout)
        deadline.schedule(after: timeout)
        self.deadline = deadline
    }

    private func connectToNext() {
        guard let candidate = candidates.popFirst() else {
            close(because: .connectFailed(target, failures.joined(separator: "; ")))
            return
        }
        attempted = candidate.address
        state = .connecting
        let status = openHandle()
        guard status == 0, let tcp else {
            failed(SystemError.reason(status))
            state = .resolving
            return connectToNext()
        }
        giveShare(of: candidates.count + 1)
        if let bindsTo, bindsTo.withPointer({ uv_tcp_bind(tcp, $0, 0) }) != 0 {
            return abandonAttempt(because: "its own address is taken")
        }
        let request = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
        let started = candidate.withPointer { address in
            uv_tcp_connect(request, tcp, address) { request, status in
                guard let request else { return }
                defer { request.deallocate() }
                guard let handle = request.pointee.handle, let data = handle.pointee.data else { return }
                Unmanaged<Connection>.fromOpaque(data).takeUnretainedValue().connectEnded(handle, status)
            }
        }
        if started != 0 {
            request.deallocate()
            abandonAttempt(started)
        }
    }

    private func connectEnded(_ handle: UnsafeMutablePointer<uv_stream_t>, _ status: Int32) {
        guard state == .connecting, let tcp, tcp.asStream == handle else { return }
        guard status == 0 else { return abandonAttempt(status) }
        // A port of this machine that nobody listens on yet may be the very one that the kernel has given to this end: then
        // the two ends are one, and all that is said comes back.
        if let local, local == peer {
            return abandonAttempt(because: "it is this very connection: nobody listens there")
        }
        deadline = nil
        attemptDeadline = nil
        candidates = []
        state = .open
        uv_tcp_nodelay(tcp, 1)
        onConnected?()
        startReading()
    }

    private func abandonAttempt(_ status: Int32) { abandonAttempt(because: SystemError.reason(status)) }

    private func abandonAttempt(because reason: String) {
        failed(reason)
        attemptDeadline = nil
        closeHandle()
        state = .resolving
        connectToNext()
    }

    private func failed(_ reason: String) {
        // Of a numeric address the target says enough.
        let isTarget = attempted.host == target.host
        failures.append(isTarget ? reason : "\(attempted): \(reason)")
    }

    /// An address that does not answer must not take the time of those after it; the last one has all that is left.
    private func giveShare(of count: Int) {
        guard count > 1 else { return }
        let share = givesUpAt.duration(since: loop.now) / count
        let timer = Timer(on: loop) { [weak self] in
            guard let self, self.state == .connecting else { return }
            self.abandonAttempt(because: "no answer within \(share.unitText)")
        }
        timer.schedule(after: max(.milliseconds(1), share))
        attemptDeadline = timer
    }

    private func timedOut(after timeout: Duration) -> CloseReason {
        guard !failures.isEmpty else { return .connectTimedOut(target, after: timeout) }
        failed("no answer in time")
        return .connectFailed(target, failures.joined(separator: "; "))
    }

    // MARK: The handle

    /// The handle holds a reference to the connection until libuv is done with it.
    func openHandle() -> Int32 {
        let tcp = UnsafeMutablePointer<uv_tcp_t>.allocate(capacity: 1)
        let status = uv_tcp_init(loop.raw, tcp)
        guard status == 0 else {
            tcp.deallocate()
            return status
        }
        tcp.pointee.data = Unmanaged<LoopHandle>.passRetained(self).toOpaque()
        self.tcp = tcp
        return 0
    }

    func closeHandle() {
        guard let tcp else { return }
        self.tcp = nil
        uv_close(tcp.asHandle) { handle in
            guard let handle, let data = handle.pointee.data else { return }
            let connection = Unmanaged<Connection>.fromOpaque(data).takeRetainedValue()
            handle.deallocateHandle(uv_tcp_t.self)
            connection.handleClosed()
        }
    }

    // MARK: Reading

    /// Stops `onBytes` until `resumeReading()`; the peer is held back by TCP.
    package func pauseReading() {
        isReadingPaused = true
        if let tcp, state == .open { uv_read_stop(tcp.asStream) }
    }

    package func resumeReading() {
        guard isReadingPaused else { return }
        isReadingPaused = false
        startReading()
    }

    func startReading() {
        guard state == .open, !isReadingPaused, let tcp else { return }
        let status = beginReading(tcp)
        if status != 0 { close(because: .failed(SystemError.reason(status))) }
    }

    private func beginReading(_ tcp: UnsafeMutablePointer<uv_tcp_t>) -> Int32 {
        uv_read_start(
            tcp.asStream,
            { handle, _, buffer in
                guard let buffer, let data = handle?.pointee.data else { return }
                let connection = Unmanaged<Connection>.fromOpaque(data).takeUnretainedValue()
                let shared = connection.loop.readBuffer
                buffer.pointee.base = shared.baseAddress?.assumingMemoryBound(to: CChar.self)
                buffer.pointee.len = min(shared.count, connection.readSize)
            },
            { stream, count, buffer in
                guard let data = stream?.pointee.data else { return }
                let connection = Unmanaged<Connection>.fromOpaque(data).takeUnretainedValue()
                connection.received(count, buffer?.pointee.base)
            })
    }

    private func received(_ count: Int, _ base: UnsafeMutablePointer<CChar>?) {
        if count > 0 {
            guard state == .open else { return }
            if taken.iteration != loop.iteration { taken = (0, loop.iteration) }
            taken.bytes += count
            onBytes?(UnsafeRawBufferPointer(start: base, count: count))
            if taken.bytes >= Connection.bytesPerIteration { rest() }
        } else if count == Int(UV_EOF.rawValue) {
            switch state {
            // It may well go on reading: what it is owed is still sent.
            case .flushing: peerHasEnded = true
            case .shutDown: close()
            case .idle, .resolving, .connecting, .open, .closing, .closed: close(because: .endOfStream)
            }
        } else if count < 0 {
            close(because: .failed(SystemError.reason(Int32(count))))
        }
    }

    /// Reads no more in this iteration.
    private func rest() {
        guard state == .open, !isReadingPaused, let tcp else { return }
        uv_read_stop(tcp.asStream)
        loop.soon { [weak self] in self?.startReading() }
    }

    // MARK: Sending

    /// Others wait for what it carries: it is written to before those that carry answers.
    package var isFlushedFirst = false

    /// Bytes sent but not yet taken by the kernel.
    package var outgoingBytes: Int {
        outgoing.count - sent + (tcp.map { uv_stream_get_write_queue_size($0.asStream) } ?? 0)
    }

    /// Queues `bytes`. Dropped where the connection is not open: `onClose` tells.
    package func send(_ bytes: [UInt8]) {
        guard state == .open else { return }
        outgoing.append(contentsOf: bytes)
        appended()
    }

    /// Queues `bytes`, which are copied.
    package func send(_ bytes: UnsafeRawBufferPointer) {
        guard state == .open else { return }
        outgoing.append(contentsOf: bytes)
        appended()
    }

    /// Lets an encoder append to the outgoing bytes without a copy in between; it must not touch what is there.
    package func send(_ encode: (inout [UInt8]) -> Void) {
        guard state == .open else { return }
        let before = outgoing.count
        encode(&outgoing)
        precondition(outgoing.count >= before, "an encoder appends")
        if outgoing.count > before { appended() }
    }

    private func appended() {
        let waiting = outgoingBytes
        if waiting > Self.lowWaterMark { wasAboveLowWater = true }
        if waiting > maximumOutgoingBytes {
            write()
            let left = outgoingBytes
            if left > maximumOutgoingBytes { return close(because: .slowReader(outgoingBytes: left)) }
        }
        guard !needsFlush else { return }
        needsFlush = true
        loop.needsFlush(self)
    }

    /// The loop's flush at the end of an iteration.
    func flushFromLoop() {
        needsFlush = false
        write()
        drained()
    }

    /// Has `onReport` called, once, when no more than so many outgoing bytes are left, those that are sent until then included.
    package func reportDrained(downTo rest: Int) {
        guard state == .open else { return }
        reportedRest = rest
        // What was sent in this iteration has not been offered to the kernel.
        if !needsFlush { report() }
    }

    private func report() {
        guard let rest = reportedRest, outgoingBytes <= rest else { return }
        reportedRest = nil
        loop.soon { [weak self] in
            guard let self, self.state == .open else { return }
            self.onReport?()
        }
    }

    private func write() {
        guard !isWriting, state == .open || state == .flushing, let tcp, sent < outgoing.count else { return }
        let status = outgoing.withUnsafeMutableBytes { bytes in
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[sent...])
            var buffer = Connection.buffer(rest)
            return uv_try_write(tcp.asStream, &buffer, 1)
        }
        if status >= 0 {
            sent += Int(status)
        } else if status != UV_EAGAIN.rawValue {
            return close(because: .failed(SystemError.reason(status)))
        }
        if sent < outgoing.count { writeWhenPossible(tcp) }
        compact()
    }

    private func writeWhenPossible(_ tcp: UnsafeMutablePointer<uv_tcp_t>) {
        let piece = inFlight ?? .allocate(byteCount: Connection.inFlightSize, alignment: 16)
        inFlight = piece
        let count = min(piece.count, outgoing.count - sent)
        outgoing.withUnsafeBytes { piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[sent..<(sent + count)])) }
        sent += count
        isWriting = true
        var buffer = Connection.buffer(UnsafeMutableRawBufferPointer(rebasing: piece[..<count]))
        let status = uv_write(writeRequest, tcp.asStream, &buffer, 1) { request, status in
            guard let data = request?.pointee.handle?.pointee.data else { return }
            Unmanaged<Connection>.fromOpaque(data).takeUnretainedValue().wrote(status)
        }
        if status != 0 {
            isWriting = false
            close(because: .failed(SystemError.reason(status)))
        }
    }

    private func wrote(_ status: Int32) {
        isWriting = false
        guard status == 0 else { return close(because: .failed(SystemError.reason(status))) }
        write()
        if !isWriting {
            // It takes all again: what only those need who take little at a time is not kept for it.
            inFlight?.deallocate()
            inFlight = nil
        }
        drained()
    }

    /// Gives sent bytes' memory back, without moving the rest more than once for every byte sent.
    private func compact() {
        if sent == outgoing.count {
            outgoing.removeAll(keepingCapacity: outgoing.capacity <= restingOutgoingBytes)
            sent = 0
        } else if sent > 64 * 1024, sent > outgoing.count / 2 {
            outgoing.removeSubrange(..<sent)
            sent = 0
        }
    }

    private func drained() {
        let waiting = outgoingBytes
        if waiting == 0, state == .flushing {
            if peerHasEnded { close() } else { shutDown() }
        }
        report()
        if wasAboveLowWater, waiting <= Self.lowWaterMark {
            wasAboveLowWater = false
            // One turn an iteration: a producer goes on at once, and there may be many flushes.
            loop.soon { [weak self] in
                guard let self, self.state == .open else { return }
                self.onDrained?()
            }
        }
    }

    private static func buffer(_ bytes: UnsafeMutableRawBufferPointer) -> uv_buf_t {
        // 2^30: uv_try_write's result is an Int32.
        uv_buf_init(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), UInt32(min(bytes.count, 1 << 30)))
    }

    // MARK: Closing

    /// Whether it may go where others need its place: nobody knows who it is though there was time to say so, or all has
    /// been said to it.
    func mayMakeRoom(after age: Duration) -> Bool {
        switch state {
        case .open: !isIdentified && loop.now.duration(since: establishedAt) >= age
        case .shutDown: true
        case .idle, .resolving, .connecting, .flushing, .closing, .closed: false
        }
    }

    /// Closes at once; what was not flushed is lost.
    package func close() { close(because: .closedHere) }

    /// Sends what is queued, tells the peer that this is the end, waits for the peer to end as well (what it sends
    /// meanwhile is thrown away), then closes; after `timeout` it closes in any case. Waiting for the peer spares it
    /// a reset that would discard the last bytes it was sent. Called again, it changes nothing.
    package func closeAfterFlush(timeout: Duration = .seconds(5)) {
        if state == .flushing || state == .shutDown { return }
        guard state == .open, let tcp else { return close() }
        state = .flushing
        let deadline = Timer(on: loop) { [weak self] in self?.close(because: .flushTimedOut) }
        deadline.schedule(after: timeout)
        self.deadline = deadline
        // Without effect where it is reading already; it is not in `onAccept`, nor while paused.
        _ = beginReading(tcp)
        if !needsFlush {
            needsFlush = true
            loop.needsFlush(self)
        }
    }

    private func shutDown() {
        guard let tcp else { return }
        state = .shutDown
        let request = UnsafeMutablePointer<uv_shutdown_t>.allocate(capacity: 1)
        let status = uv_shutdown(request, tcp.asStream) { request, _ in request?.deallocate() }
        if status != 0 {
            request.deallocate()
            close()
        }
    }

    private func close(because reason: CloseReason) {
        switch state {
        case .closing, .closed: return
        case .idle, .resolving:
            state = .closing
            closeReason = reason
            // There is no handle whose closing would call back.
            loop.soon { self.finish() }
        case .connecting, .open, .flushing, .shutDown:
            state = .closing
            closeReason = reason
            closeHandle()
        }
        deadline = nil
        attemptDeadline = nil
    }

    /// libuv is done with a handle: that of an abandoned attempt to connect, or the last one.
    private func handleClosed() {
        if state == .closing { finish() }
    }

    private func finish() {
        guard state == .closing else { return }
        state = .closed
        slot = nil
        outgoing = []
        sent = 0
        let callback = onClose
        onBytes = nil
        onConnected = nil
        onDrained = nil
        onReport = nil
        onClose = nil
        callback?(closeReason)
    }

    override func loopIsClosing() { close(because: .loopClosed) }
}
