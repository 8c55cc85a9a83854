public import TupleCore

/// Why a run of bytes is no frame. The connection it came from cannot be used any more, since nobody knows where the next
/// frame begins.
public enum FrameError: Error, Hashable, Sendable {
    /// Not the magic number: no Twinspace peer.
    case magic
    case version(UInt8)
    case headerChecksum
    case type(UInt8)
    case flags(UInt16)
    case reserved
    case payloadTooLong(UInt32, limit: Int)
    case payloadChecksum

    /// What happened, in words.
    public var explanation: String {
        switch self {
        case .magic: "the bytes are not the Twinspace protocol (bad magic number)"
        case .version(let version): "protocol version \(version) is not spoken here; version \(Header.version) is"
        case .headerChecksum: "a frame's header is corrupt (checksum)"
        case .type(let type): "unknown frame type \(type)"
        case .flags(let flags): "unknown frame flags \(flags)"
        case .reserved: "a frame's field for its source is not 0 where it must be"
        case .payloadTooLong(let length, let limit):
            "a frame of \(length) bytes is longer than the limit of \(limit) here"
        case .payloadChecksum: "a frame's payload is corrupt (checksum)"
        }
    }
}

/// How long the payloads of a connection's frames may be. The first frame says who is there: before it is read nobody
/// is trusted with more than that takes.
public struct FrameLimits: Hashable, Sendable {
    /// Of the connection's first frame.
    public var firstPayloadBytes: Int
    /// Of all others.
    public var laterPayloadBytes: Int

    /// - Precondition: both are from 0 to ``Limits/maximumPayloadBytes``.
    public init(
        firstPayloadBytes: Int = Limits.maximumPayloadBytes, laterPayloadBytes: Int = Limits.maximumPayloadBytes
    ) {
        let range = 0...Limits.maximumPayloadBytes
        precondition(range.contains(firstPayloadBytes) && range.contains(laterPayloadBytes), "no frame is longer")
        self.firstPayloadBytes = firstPayloadBytes
        self.laterPayloadBytes = laterPayloadBytes
    }

    /// For whoever was called upon by this side.
    public static let none = FrameLimits()
    public static let client = FrameLimits(firstPayloadBytes: Limits.maximumGreetingBytes)
    public static let operatorLink = FrameLimits(
        firstPayloadBytes: Limits.maximumGreetingBytes, laterPayloadBytes: Limits.maximumOperatorRequestBytes)
    public static let server = FrameLimits(firstPayloadBytes: Limits.maximumRegistrationBytes)
    public static let peer = FrameLimits(firstPayloadBytes: Limits.maximumGreetingBytes)
}

/// Finds the frames in a stream of bytes that comes in pieces of any size. It survives any bytes and holds at most one
/// frame's bytes beyond what it was given at once.
public struct FrameDecoder: Sendable {
    private let limits: FrameLimits
    private var buffer: [UInt8] = []
    private var begin = 0
    private var failure: FrameError?
    private let allowsSource: Bool

    /// Frames that have been found.
    public private(set) var frameCount: UInt64 = 0

    /// What the buffer may keep while nothing waits in it.
    private static let keptCapacity = Header.byteCount + Limits.unreservedFrameBytes

    /// - Parameter allowsSource: whether requests may say where they come from: of what the proxy sends to servers. From
    ///   anybody else the field must be 0, so that no client can pass for another.
    public init(limits: FrameLimits = .none, allowsSource: Bool = false) {
        self.limits = limits
        self.allowsSource = allowsSource
    }

    /// Bytes that are waiting for the rest of their frame.
    public var pendingBytes: Int { buffer.count - begin }

    /// Bytes of memory that it holds.
    public var heldBytes: Int { buffer.capacity }

    /// How long the frame is that has begun to come, its header included; nil before its header has come. Only to be asked
    /// once ``nextRun(atMost:)`` has given nil.
    public var pendingFrameBytes: Int? {
        guard failure == nil, pendingBytes >= Header.byteCount else { return nil }
        return buffer.withUnsafeBytes { bytes in
            Header.byteCount
                + Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: begin + 8, as: UInt32.self)))
        }
    }

    /// Takes the memory for the frame that has begun to come.
    public mutating func reservePending() {
        if let bytes = pendingFrameBytes { buffer.reserveCapacity(begin + bytes) }
    }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        if begin > 0 {
            buffer.removeSubrange(..<begin)
            begin = 0
        }
        buffer.append(contentsOf: bytes)
    }

    public mutating func append(_ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        bytes.withUnsafeBytes { append($0) }
    }

    /// The next whole frame; nil while more bytes are needed.
    ///
    /// - Throws: ``FrameError``; from then on the same one again.
    public mutating func next() throws(FrameError) -> Frame? {
        guard let run = try nextRun(atMost: 1) else { return nil }
        var frames = run.makeIterator()
        return frames.next()
    }

    /// The next whole frames; nil while more bytes are needed. They share the bytes that they came in.
    ///
    /// - Throws: ``FrameError``, once the frames before it have been given; from then on the same one again.
    public mutating func nextRun(atMost limit: Int) throws(FrameError) -> FrameRun? {
        if let failure { throw failure }
        var end = begin
        var count = 0
        var problem: FrameError?
        buffer.withUnsafeBytes { bytes in
            while count < limit {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[end...])
                do throws(FrameError) {
                    let isFirst = frameCount == 0 && count == 0
                    let limit = isFirst ? limits.firstPayloadBytes : limits.laterPayloadBytes
                    guard let length = try check(rest, limit) else { return }
                    end += Header.byteCount + length
                    count += 1
                } catch {
                    problem = error
                    return
                }
            }
        }
        if count > 0 {
            defer { begin = end }
            frameCount += UInt64(count)
            return FrameRun(checked: buffer, begin..<end, count: count)
        }
        guard let problem else {
            // A connection that once had a large frame does not keep the memory for it.
            if begin > 0, buffer.capacity > FrameDecoder.keptCapacity {
                buffer = Array(buffer[begin...])
                begin = 0
            }
            return nil
        }
        failure = problem
        buffer = []
        begin = 0
        throw problem
    }

    /// The length of the payload of the frame that `bytes` begin with; nil where the frame is not all there.
    private func check(_ bytes: UnsafeRawBufferPointer, _ limit: Int) throws(FrameError) -> Int? {
        func number32(_ offset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        // The magic number is checked as soon as it can be: a stranger is not kept waiting for 64 bytes.
        if bytes.count >= 4, number32(0) != Header.magic { throw .magic }
        guard bytes.count >= Header.byteCount else { return nil }
        guard number32(60) == Frame.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<60])) else {
            throw .headerChecksum
        }
        guard bytes[4] == Header.version else { throw .version(bytes[4]) }
        guard FrameType(rawValue: bytes[5]) != nil else { throw .type(bytes[5]) }
        let flags = Header.Flags(rawValue: UInt16(truncatingIfNeeded: number32(4) >> 16))
        guard flags.isSubset(of: .known) else { throw .flags(flags.rawValue) }
        guard number32(56) == 0 || (allowsSource && bytes[5] == FrameType.request.rawValue) else { throw .reserved }
        let length = number32(8)
        guard length <= UInt32(limit) else { throw .payloadTooLong(length, limit: limit) }
        let total = Header.byteCount + Int(length)
        guard bytes.count >= total else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[Header.byteCount..<total])
        guard number32(12) == Frame.checksum(payload) else { throw .payloadChecksum }
        return Int(length)
    }
}
