import CChecksum
import CEpoll
import Glibc
import Runtime
import TupleCore
import WireProtocol

/// Where to connect: the first address that a host's name resolves to.
struct SocketTarget {
    private var address = sockaddr_storage()
    private var length: socklen_t = 0
    private(set) var family: Int32 = AF_INET

    /// - Throws: `LoadError.resolution`.
    init(_ target: Address) throws(LoadError) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var results: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(target.host, String(target.port), &hints, &results)
        guard status == 0, let first = results, let source = first.pointee.ai_addr else {
            throw .resolution(target, gai_strerror(status).map { String(cString: $0) } ?? "unknown")
        }
        defer { freeaddrinfo(results) }
        family = first.pointee.ai_family
        length = first.pointee.ai_addrlen
        withUnsafeMutableBytes(of: &address) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: source, count: min($0.count, Int(length))))
        }
    }

    /// As `connect(2)`.
    func connect(_ descriptor: Int32) -> Int32 {
        withUnsafeBytes(of: address) { bytes in
            guard let base = bytes.baseAddress else { return -1 }
            return Glibc.connect(descriptor, base.assumingMemoryBound(to: sockaddr.self), length)
        }
    }
}

extension LoadRun {
    // MARK: Connecting

    mutating func connectWaiting() throws(LoadError) {
        for number in 0..<settings.connections {
            let lane = lanes + number
            guard lane.pointee.phase == .waiting, lane.pointee.retryAt <= now else { continue }
            try connect(lane, number: UInt32(number))
        }
    }

    private mutating func connect(_ lane: UnsafeMutablePointer<LoadLane>, number: UInt32) throws(LoadError) {
        let descriptor = socket(target.family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw .system(SystemError(errno, doing: "make a socket")) }
        lane.pointee.descriptor = descriptor
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        lane.pointee.phase = .connecting
        if target.connect(descriptor) != 0, errno != EINPROGRESS { return lost(lane, SystemError.reason(errno)) }
        guard
            shim_epoll_control(epoll, EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue | EPOLLOUT.rawValue, number) == 0
        else { throw .system(SystemError(errno, doing: "watch a socket")) }
        lane.pointee.waitsForRoom = true
    }

    /// The connection is gone: another one is made soon, and what has no answer is sent again on it.
    private mutating func lost(_ lane: UnsafeMutablePointer<LoadLane>, _ reason: String) {
        if lane.pointee.phase == .ready {
            readyLanes -= 1
            counters.reconnects += 1
        }
        close(lane.pointee.descriptor)
        lane.pointee.descriptor = -1
        lane.pointee.phase = .waiting
        lane.pointee.retryAt = now + LoadRun.retryNanoseconds
        lane.pointee.outputBegin = 0
        lane.pointee.outputEnd = 0
        lane.pointee.partialCount = 0
        lane.pointee.waitsForRoom = false
        lastProblem = reason
    }

    private func sendHello(_ lane: UnsafeMutablePointer<LoadLane>) {
        lane.pointee.phase = .greeting
        let hello = Hello(agent: "\(BenchmarkProgram.name)/\(Release.version)").frame.encoded
        hello.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            lane.pointee.output.copyMemory(from: base, byteCount: bytes.count)
        }
        lane.pointee.outputEnd = hello.count
    }

    private mutating func welcomed(_ lane: UnsafeMutablePointer<LoadLane>, _ payload: ArraySlice<UInt8>)
        throws(LoadError)
    {
        guard let welcome = try? Welcome(payload) else { throw .protocolBroken("a welcome that cannot be read") }
        guard Int(welcome.maximumRequestsInFlight) >= settings.depth else {
            throw .depth(wanted: settings.depth, allowed: Int(welcome.maximumRequestsInFlight))
        }
        lane.pointee.phase = .ready
        readyLanes += 1
        var sequence = lane.pointee.lowWater
        while sequence < lane.pointee.nextSequence {
            if lane.pointee.slot(sequence).pointee.sentAt != 0 { append(sequence, to: lane) }
            sequence += 1
        }
        flush(lane)
    }

    // MARK: Events

    mutating func handle(_ events: UInt32, of lane: UnsafeMutablePointer<LoadLane>) throws(LoadError) {
        guard lane.pointee.descriptor >= 0 else { return }
        if events & EPOLLOUT.rawValue != 0 {
            if lane.pointee.phase == .connecting { sendHello(lane) }
            flush(lane)
        }
        if events & (EPOLLIN.rawValue | EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0, lane.pointee.descriptor >= 0 {
            try receive(lane)
        }
    }

    /// Writes what the kernel takes; the rest waits for room.
    mutating func flush(_ lane: UnsafeMutablePointer<LoadLane>) {
        let count = lane.pointee.outputEnd - lane.pointee.outputBegin
        if count > 0 {
            let sent = send(
                lane.pointee.descriptor, lane.pointee.output + lane.pointee.outputBegin, count,
                Int32(MSG_NOSIGNAL))
            if sent == count {
                lane.pointee.outputBegin = 0
                lane.pointee.outputEnd = 0
            } else if sent > 0 {
                lane.pointee.outputBegin += sent
                makeRoom(lane)
            } else if errno != EAGAIN, errno != EINTR {
                return lost(lane, SystemError.reason(errno))
            }
        }
        let waits = lane.pointee.outputEnd > lane.pointee.outputBegin
        guard waits != lane.pointee.waitsForRoom else { return }
        lane.pointee.waitsForRoom = waits
        let interest = waits ? EPOLLIN.rawValue | EPOLLOUT.rawValue : EPOLLIN.rawValue
        _ = shim_epoll_control(epoll, EPOLL_CTL_MOD, lane.pointee.descriptor, interest, UInt32(lane - lanes))
    }

    /// Moves what is left to the front: there is room for as many requests as may be in flight, and no more.
    private func makeRoom(_ lane: UnsafeMutablePointer<LoadLane>) {
        let count = lane.pointee.outputEnd - lane.pointee.outputBegin
        memmove(lane.pointee.output, lane.pointee.output + lane.pointee.outputBegin, count)
        lane.pointee.outputBegin = 0
        lane.pointee.outputEnd = count
    }

    // MARK: Receiving

    private mutating func receive(_ lane: UnsafeMutablePointer<LoadLane>) throws(LoadError) {
        var available = lane.pointee.partialCount
        if available > 0, let partial = lane.pointee.partial {
            readBuffer.copyMemory(from: partial, byteCount: available)
        }
        let count = recv(lane.pointee.descriptor, readBuffer + available, LoadRun.readBufferBytes - available, 0)
        guard count > 0 else {
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            return lost(lane, count == 0 ? "closed by the proxy" : SystemError.reason(errno))
        }
        now = MonotonicClock.now()
        available += count
        var begin = 0
        var answers = 0
        while let length = try frameLength(at: begin, available) {
            answers += try take(readBuffer + begin, length, lane) ? 1 : 0
            guard lane.pointee.descriptor >= 0 else { return }
            begin += length
        }
        lane.pointee.keepPartial(readBuffer + begin, available - begin, capacity: LoadRun.readBufferBytes)
        guard answers > 0 else { return }
        answered += UInt64(answers)
        lane.pointee.advanceLowWater()
        if stage == .measuring { counters.answered(at: now) }
        pump(lane)
    }

    /// The length of the whole frame that begins there; nil where more bytes are needed.
    private func frameLength(at begin: Int, _ available: Int) throws(LoadError) -> Int? {
        guard available - begin >= Header.byteCount else { return nil }
        let frame = readBuffer + begin
        guard twinspace_crc32c(0, frame, Header.byteCount - 4) == number32(frame, 60) else {
            throw .protocolBroken("a header with a wrong checksum")
        }
        let length = Header.byteCount + Int(number32(frame, 8))
        guard length <= LoadRun.readBufferBytes else { throw .protocolBroken("a frame of \(length) bytes") }
        return available - begin >= length ? length : nil
    }

    /// - Returns: whether a request was answered by it.
    private mutating func take(
        _ frame: UnsafeMutableRawPointer, _ length: Int, _ lane: UnsafeMutablePointer<LoadLane>
    ) throws(LoadError) -> Bool {
        let payload = UnsafeRawBufferPointer(start: frame + Header.byteCount, count: length - Header.byteCount)
        guard payload.isEmpty || twinspace_crc32c(0, payload.baseAddress, payload.count) == number32(frame, 12) else {
            throw .protocolBroken("a payload with a wrong checksum")
        }
        switch frame.load(fromByteOffset: 5, as: UInt8.self) {
        case FrameType.response.rawValue: break
        case FrameType.welcome.rawValue where lane.pointee.phase == .greeting:
            try welcomed(lane, [UInt8](payload)[...])
            return false
        case FrameType.refused.rawValue:
            lost(lane, (try? Refused([UInt8](payload)[...]))?.message ?? "refused")
            return false
        case let type: throw .protocolBroken("a frame of type \(type)")
        }
        let sequence = number64(frame, 24)
        guard sequence >= lane.pointee.lowWater, sequence < lane.pointee.nextSequence else { return false }
        let slot = lane.pointee.slot(sequence)
        let more = number32(frame, 4) >> 16 & UInt32(Header.Flags.more.rawValue) != 0
        guard slot.pointee.sentAt != 0, !more, payload.count >= 5 else { return false }
        if stage == .measuring { count(payload, slot.pointee) }
        slot.pointee.sentAt = 0
        lane.pointee.inFlight -= 1
        return true
    }

    /// The payload is status, message, warning, pairs, rejected items; with `ok` the texts are empty for these requests.
    private mutating func count(_ payload: UnsafeRawBufferPointer, _ slot: LoadSlot) {
        let status = min(Int(payload[0]), Int(Status.unknown.rawValue))
        counters.statuses[status] += 1
        if status == Status.ok.rawValue, payload[1] == 0, payload[2] == 0 {
            if payload[3] > 0 {
                counters.found += 1
            } else if payload[4] > 0 {
                counters.givenBack += 1
            }
        }
        let latency = now &- min(now, slot.sentAt)
        counters.latencies[slot.op].record(latency)
        if status != Status.ok.rawValue, counters.firstFailure == nil { noteFailure(payload, slot.op, latency) }
    }

    private mutating func noteFailure(_ payload: UnsafeRawBufferPointer, _ op: Int, _ latency: UInt64) {
        let answer = try? Answer(decoding: [UInt8](payload)[...])
        let words = answer.map { "\($0.status.name): \($0.message)" } ?? "an answer that cannot be read"
        counters.firstFailure =
            "\(Operator.allCases[op].rawValue), \(counters.seconds(until: now)) s after the beginning, answered after "
            + "\(latency / 1_000_000) ms: \(words)"
    }

    private func number32(_ base: UnsafeRawPointer, _ offset: Int) -> UInt32 {
        UInt32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    private func number64(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
