/// The fencing number of a term of office: it grows by one with every takeover and never comes back.
///
/// Frames between proxy and servers and all log entries carry it; whatever carries an older one is refused.
public struct Epoch: Hashable, Comparable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
    /// Before the first active server.
    public static let zero = Epoch(0)
    public var next: Epoch { Epoch(number + 1) }
    public static func < (a: Epoch, b: Epoch) -> Bool { a.number < b.number }
}

/// The position of an entry in the replicated log; the first entry has index 1.
public struct LogIndex: Hashable, Comparable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
    /// Before the first entry.
    public static let zero = LogIndex(0)
    public var next: LogIndex { LogIndex(number + 1) }
    public static func < (a: LogIndex, b: LogIndex) -> Bool { a.number < b.number }
}

/// Where a log stands: the epoch and index of an entry. Two logs that agree on a position agree on all before it.
public struct LogPosition: Hashable, Sendable {
    public var epoch: Epoch
    public var index: LogIndex
    public init(epoch: Epoch, index: LogIndex) {
        self.epoch = epoch
        self.index = index
    }
    /// An empty log.
    public static let zero = LogPosition(epoch: .zero, index: .zero)
}

/// The name that the operator gave a server (`--name`): 1 to 64 bytes of letters, digits, `-`, `_` and `.`.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let name: String
    /// Nil where `name` is not one: empty, longer than 64 bytes, or with a character that is not allowed.
    public init?(_ name: String) {
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard allowed, (1...Limits.maximumNodeNameBytes).contains(name.utf8.count) else { return nil }
        self.name = name
    }
    public var description: String { name }
    public static func < (a: NodeID, b: NodeID) -> Bool { a.name < b.name }
}

/// A cluster's identity, drawn at random by the proxy when its first server registers; 0 means "none yet".
public struct ClusterID: Hashable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
    public static let none = ClusterID(0)
}

/// A client's session, drawn at random by the client: what makes a retried request recognisable.
public struct SessionID: Hashable, Comparable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
    /// No session: the request is carried out, but a retry of it cannot be recognised.
    public static let none = SessionID(0)
    public static func < (a: SessionID, b: SessionID) -> Bool { a.number < b.number }
}

/// The number of a request in its session; the first is 1.
public struct RequestSequence: Hashable, Comparable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
    public static func < (a: RequestSequence, b: RequestSequence) -> Bool { a.number < b.number }
}

/// The connection indicator: which of the proxy's client connections a request came from. 0 means "none".
public struct ConnectionIndicator: Hashable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
    public static let none = ConnectionIndicator(0)
}
