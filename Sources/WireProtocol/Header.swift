import CChecksum
public import TupleCore

/// What a frame is. The raw value is the code on the wire.
public enum FrameType: UInt8, Sendable, CaseIterable {
    // Clients and proxy.
    case hello = 1
    case welcome = 2
    case request = 3
    case response = 4
    case refused = 5
    // Operators and proxy.
    case operatorRequest = 16
    case operatorReply = 17
    // Servers and proxy.
    case register = 32
    case registerRefused = 33
    case view = 34
    case takeOver = 35
    case changeInSync = 36
    case switchReply = 37
    case probe = 38
    case probeReply = 39
    case statusQuery = 40
    case statusReply = 41
    case shutdown = 42
    case resync = 43
    case holding = 44
    case cancel = 45
    case proxyHeartbeat = 46
    case proxyHeartbeatReply = 47
    case trust = 48
    case credit = 49
    // Servers among themselves.
    case peerHello = 64
    case peerWelcome = 65
    case peerRefused = 66
    case heartbeat = 67
    case heartbeatReply = 68
    case append = 69
    case appendReply = 70
    case snapshotChunk = 71
    case stop = 72
}

/// The fixed header of every frame: 64 bytes, little endian.
///
///     offset  size  field
///          0     4  magic, the bytes "TWSP"
///          4     1  version
///          5     1  type
///          6     2  flags
///          8     4  length of the payload, in bytes
///         12     4  CRC32C of the payload
///         16     8  session
///         24     8  request sequence
///         32     8  epoch
///         40     8  connection indicator
///         48     8  low-water mark
///         56     4  source
///         60     4  CRC32C of the bytes 0 to 59
public struct Header: Hashable, Sendable {
    public var type: FrameType
    public var flags: Flags
    /// In requests that the proxy relays: a tag of where the client connects from, the same for the same address; 0 where
    /// it is not known. In every other frame it is 0, and a client's own must be: see ``FrameDecoder``.
    public var source: UInt32
    public var session: SessionID
    public var sequence: RequestSequence
    public var epoch: Epoch
    public var connection: ConnectionIndicator
    /// In requests: the client has all answers of this session below this sequence.
    public var lowWater: RequestSequence

    public struct Flags: OptionSet, Hashable, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        /// The answer begins here: what came before for this request is void.
        public static let first = Flags(rawValue: 1)
        /// More frames of this answer follow.
        public static let more = Flags(rawValue: 2)
        /// In requests: the answer is to say how it was found.
        public static let explain = Flags(rawValue: 4)
        static let known: Flags = [.first, .more, .explain]
    }

    public init(
        _ type: FrameType, flags: Flags = [], session: SessionID = .none, sequence: RequestSequence = .init(0),
        epoch: Epoch = .zero, connection: ConnectionIndicator = .none, lowWater: RequestSequence = .init(0),
        source: UInt32 = 0
    ) {
        self.type = type
        self.flags = flags
        self.source = source
        self.session = session
        self.sequence = sequence
        self.epoch = epoch
        self.connection = connection
        self.lowWater = lowWater
    }

    public static let byteCount = 64
    static let magic: UInt32 = 0x5053_5754

    /// The only version so far.
    public static let version: UInt8 = 1

    /// Appends room for a header.
    static func reserve(in output: inout [UInt8]) {
        withUnsafeBytes(of: (0, 0, 0, 0, 0, 0, 0, 0) as (Int, Int, Int, Int, Int, Int, Int, Int)) {
            output.append(contentsOf: $0)
        }
    }

    /// Writes the 64 bytes.
    func write(payloadBytes: Int, checksum: UInt32, to bytes: UnsafeMutableRawBufferPointer) {
        func put<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
            bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self)
        }
        put(Header.magic, at: 0)
        bytes[4] = Header.version
        bytes[5] = type.rawValue
        put(flags.rawValue, at: 6)
        put(UInt32(payloadBytes), at: 8)
        put(checksum, at: 12)
        put(session.number, at: 16)
        put(sequence.number, at: 24)
        put(epoch.number, at: 32)
        put(connection.number, at: 40)
        put(lowWater.number, at: 48)
        put(source, at: 56)
        put(Frame.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<60])), at: 60)
    }

    /// The header that `bytes` begin with, and its payload's length.
    ///
    /// - Precondition: it was looked at before: `FrameDecoder` does so.
    static func read(_ bytes: UnsafeRawBufferPointer) -> (header: Header, length: Int) {
        func number64(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        precondition(bytes.count >= byteCount, "a header is \(byteCount) bytes")
        guard let type = FrameType(rawValue: bytes[5]) else { preconditionFailure("the frame was not looked at") }
        let flags = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
        let length = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let header = Header(
            type, flags: Header.Flags(rawValue: flags), session: SessionID(number64(16)),
            sequence: RequestSequence(number64(24)), epoch: Epoch(number64(32)),
            connection: ConnectionIndicator(number64(40)), lowWater: RequestSequence(number64(48)),
            source: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 56, as: UInt32.self)))
        return (header, Int(length))
    }
}

extension Header {
    /// The payload's checksum, in a header that was looked at before.
    static func readChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    }
}

/// A whole frame.
public struct Frame: Hashable, Sendable {
    public var header: Header
    /// A frame that was received shares the bytes that it came in: who keeps it for long keeps a copy of them.
    public var payload: ArraySlice<UInt8>

    /// - Precondition: the payload is within ``Limits/maximumPayloadBytes``.
    public init(_ header: Header, payload: ArraySlice<UInt8>) {
        precondition(payload.count <= Limits.maximumPayloadBytes, "senders cut what is longer into several frames")
        self.header = header
        self.payload = payload
    }

    /// For a payload whose length was looked at before.
    init(checked header: Header, payload: ArraySlice<UInt8>) {
        self.header = header
        self.payload = payload
    }

    public init(_ header: Header, payload: [UInt8] = []) { self.init(header, payload: payload[...]) }

    public var type: FrameType { header.type }

    /// The same frame with bytes of its own: for who keeps it after what came with it has been handled.
    public var detached: Frame { Frame(checked: header, payload: [UInt8](payload)[...]) }

    /// The frame as bytes, appended to `output`.
    public func encode(into output: inout [UInt8]) {
        let begin = output.count
        Header.reserve(in: &output)
        output.append(contentsOf: payload)
        output.withUnsafeMutableBytes { bytes in
            let payload = UnsafeRawBufferPointer(rebasing: bytes[(begin + Header.byteCount)...])
            header.write(
                payloadBytes: payload.count, checksum: Frame.checksum(payload),
                to: UnsafeMutableRawBufferPointer(rebasing: bytes[begin..<begin + Header.byteCount]))
        }
    }

    public var encoded: [UInt8] {
        var output: [UInt8] = []
        encode(into: &output)
        return output
    }

    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.withUnsafeBytes { checksum($0) } }

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        twinspace_crc32c(0, bytes.baseAddress, bytes.count)
    }
}
