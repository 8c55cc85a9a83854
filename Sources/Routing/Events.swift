public import TupleCore
public import WireProtocol

/// A connection on the servers' service access point, numbered by the runtime; a number is never used again.
public struct ServerLink: Hashable, Comparable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
    public static func < (a: ServerLink, b: ServerLink) -> Bool { a.number < b.number }
}

/// A connection on the operators' service access point.
public struct OperatorLink: Hashable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
}

/// Someone who asked for the status other than by an operator's connection.
public struct StatusToken: Hashable, Sendable {
    public var number: UInt64
    public init(_ number: UInt64) { self.number = number }
}

/// What happens to the proxy. A client is known by the connection indicator that its requests are tagged with.
public enum Event: Sendable {
    /// - Parameter source: stands for where it comes from: for an IPv4 address, or an IPv6 network of 64 bits.
    case clientConnected(ConnectionIndicator, source: UInt32)
    /// What came from a client in one read.
    case clientFrames(ConnectionIndicator, FrameRun)
    case clientClosed(ConnectionIndicator)
    /// What ``Action/reportDrained(_:downTo:)`` asked for has come.
    case clientDrained(ConnectionIndicator)
    case serverConnected(ServerLink)
    /// What came from a server in one read.
    case serverFrames(ServerLink, FrameRun)
    case serverClosed(ServerLink)
    case operatorConnected(OperatorLink)
    case operatorFrame(OperatorLink, Frame)
    case operatorClosed(OperatorLink)
    case statusAsked(StatusToken)
    /// The process was told to end.
    case terminated
    /// A regular tick, every ``RouterSettings/tick``.
    case tick
}

/// What the proxy wants done, in this order.
public enum Action: Sendable {
    /// Make the record durable before any later action; where that fails, the process must end.
    case persist(SwitchRecord)
    case sendToClient(ConnectionIndicator, FrameRun)
    /// Close it when all that was sent has left.
    case closeClient(ConnectionIndicator)
    /// Close it at once; what was not written is lost.
    case cutClient(ConnectionIndicator)
    /// Tell, once, when no more than so many bytes wait for its socket: ``Event/clientDrained(_:)``. Asked again only after
    /// that.
    case reportDrained(ConnectionIndicator, downTo: Int)
    /// Stop, or go on, reading from a client that has too much on its way.
    case pauseClient(ConnectionIndicator, Bool)
    case sendToServer(ServerLink, FrameRun)
    case closeServer(ServerLink)
    case sendToOperator(OperatorLink, Frame)
    case closeOperator(OperatorLink)
    /// Stop, or go on, reading from an operator that has a command on its way.
    case pauseOperator(OperatorLink, Bool)
    case status(StatusToken, Term)
    case log(LogLine)
    /// Take no new connections any more.
    case stopListening
    /// Everything is said: flush what is on its way, and end.
    case finish
}

extension Event {
    public static func clientFrame(_ client: ConnectionIndicator, _ frame: Frame) -> Event {
        .clientFrames(client, FrameRun(frame))
    }

    public static func serverFrame(_ link: ServerLink, _ frame: Frame) -> Event { .serverFrames(link, FrameRun(frame)) }
}

extension Action {
    static func sendToClient(_ client: ConnectionIndicator, _ frame: Frame) -> Action {
        .sendToClient(client, FrameRun(frame))
    }

    static func sendToServer(_ link: ServerLink, _ frame: Frame) -> Action { .sendToServer(link, FrameRun(frame)) }
}
