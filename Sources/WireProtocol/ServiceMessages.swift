public import TupleCore

/// A client's or operator's first frame: the versions it speaks, so that both can settle on one.
public struct Hello: Hashable, Sendable {
    public var lowestVersion: UInt8
    public var highestVersion: UInt8
    /// Who speaks, for the log: `twinspace/0.1`.
    public var agent: String

    public init(lowestVersion: UInt8 = Header.version, highestVersion: UInt8 = Header.version, agent: String) {
        self.lowestVersion = lowestVersion
        self.highestVersion = highestVersion
        self.agent = agent
    }

    /// The highest version that both sides speak; nil where there is none.
    public var commonVersion: UInt8? {
        lowestVersion <= Header.version && Header.version <= highestVersion ? Header.version : nil
    }

    public var frame: Frame {
        var writer = ByteWriter()
        writer.byte(lowestVersion)
        writer.byte(highestVersion)
        writer.text(agent)
        return Frame(Header(.hello), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        lowestVersion = try reader.byte()
        highestVersion = try reader.byte()
        agent = try reader.text(atMost: 256)
        try reader.end()
    }
}

/// The answer to ``Hello``: the version that is spoken from now on, and the limits that hold here.
public struct Welcome: Hashable, Sendable {
    public var version: UInt8
    public var maximumPayloadBytes: UInt32
    public var maximumRequestsInFlight: UInt32

    public init(version: UInt8, maximumPayloadBytes: UInt32, maximumRequestsInFlight: UInt32) {
        self.version = version
        self.maximumPayloadBytes = maximumPayloadBytes
        self.maximumRequestsInFlight = maximumRequestsInFlight
    }

    public var frame: Frame {
        var writer = ByteWriter()
        writer.byte(version)
        writer.fixed32(maximumPayloadBytes)
        writer.fixed32(maximumRequestsInFlight)
        return Frame(Header(.welcome), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        version = try reader.byte()
        maximumPayloadBytes = try reader.fixed32()
        maximumRequestsInFlight = try reader.fixed32()
        try reader.end()
    }
}

/// Sent instead of a welcome, before the connection is closed: "service refused" and why.
public struct Refused: Hashable, Sendable {
    public var message: String
    public init(message: String) { self.message = message }

    public var frame: Frame { frame(.refused) }

    func frame(_ type: FrameType) -> Frame {
        var writer = ByteWriter()
        writer.text(message)
        return Frame(Header(type), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        message = try reader.text()
        try reader.end()
    }
}

extension Request {
    public var payloadBytes: [UInt8] {
        var writer = ByteWriter()
        writer.text(operatorName)
        writer.term(payload)
        return writer.bytes
    }

    public init(decoding payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        let name = try reader.text(atMost: 256)
        let term = try reader.term()
        try reader.end()
        self.init(operatorName: name, payload: term)
    }
}

extension Answer {
    /// In the status's byte: an explanation follows at the payload's end.
    static let explained: UInt8 = 0x80

    /// A part of the answer as a response's payload.
    public var payloadBytes: [UInt8] {
        var writer = ByteWriter()
        writer.byte(status.rawValue | (explanation.isEmpty ? 0 : Answer.explained))
        writer.text(message)
        writer.text(warning)
        writer.length(pairs.count)
        for pair in pairs {
            writer.tuple(pair.key)
            writer.tuple(pair.value)
        }
        writer.length(rejected.count)
        for item in rejected {
            writer.byte(item.reason.rawValue)
            writer.term(item.item)
        }
        // Only who asked for an explanation gets one; readers that know of none never ask.
        if !explanation.isEmpty { writer.text(explanation) }
        return writer.bytes
    }

    public init(decoding payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        let code = try reader.byte()
        guard let status = Status(rawValue: code & ~Answer.explained) else { throw .invalid("status") }
        self.init(status: status, message: try reader.text(), warning: try reader.text())
        for _ in 0..<(try reader.count(ofAtLeast: 2)) {
            let key = try reader.tuple()
            pairs.append(Pair(key: key, value: try reader.tuple()))
        }
        for _ in 0..<(try reader.count(ofAtLeast: 2)) {
            guard let reason = Reason(rawValue: try reader.byte()) else { throw .invalid("reason") }
            rejected.append(Rejected(item: try reader.term(), reason: reason))
        }
        if code & Answer.explained != 0 {
            explanation = try reader.text()
            guard !explanation.isEmpty else { throw .invalid("explanation") }
        }
        try reader.end()
    }

    /// Adds the part that follows.
    public mutating func append(_ part: Answer) {
        pairs.append(contentsOf: part.pairs)
        rejected.append(contentsOf: part.rejected)
    }
}

extension Term {
    /// About what the term takes on the wire, in bytes.
    public var approximateByteCount: Int {
        switch self {
        case .null, .boolean: 1
        case .number(let text): 3 + text.utf8.count
        case .string(let bytes): 4 + bytes.count
        case .list(let items): items.reduce(4) { $0 + $1.approximateByteCount }
        case .object(let members): members.reduce(4) { $0 + $1.name.count + 4 + $1.value.approximateByteCount }
        }
    }
}

/// An operator's command and its reply. Both carry terms, so that a newer operator and an older proxy still understand
/// each other's known members.
public struct OperatorRequest: Hashable, Sendable {
    public var command: String
    public var argument: Term
    public init(command: String, argument: Term = .null) {
        self.command = command
        self.argument = argument
    }

    public func frame(sequence: RequestSequence) -> Frame {
        var writer = ByteWriter()
        writer.text(command)
        writer.term(argument)
        return Frame(Header(.operatorRequest, sequence: sequence), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        command = try reader.text(atMost: 256)
        argument = try reader.term()
        try reader.end()
    }
}

public struct OperatorReply: Hashable, Sendable {
    public var status: Status
    public var message: String
    public var result: Term
    public init(status: Status = .ok, message: String = "", result: Term = .null) {
        self.status = status
        self.message = message
        self.result = result
    }

    public func frame(sequence: RequestSequence) -> Frame {
        var writer = ByteWriter()
        writer.byte(status.rawValue)
        writer.text(message)
        writer.term(result)
        return Frame(Header(.operatorReply, sequence: sequence), payload: writer.bytes)
    }

    public init(_ payload: ArraySlice<UInt8>) throws(DecodingError) {
        var reader = ByteReader(payload)
        guard let status = Status(rawValue: try reader.byte()) else { throw .invalid("status") }
        self.status = status
        message = try reader.text()
        result = try reader.term()
        try reader.end()
    }
}
