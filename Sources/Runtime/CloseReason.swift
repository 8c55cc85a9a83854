import TupleCore

/// Why a connection ended, or never came about.
package enum CloseReason: Hashable, Sendable, CustomStringConvertible {
    /// By `close()` or `closeAfterFlush()`.
    case closedHere
    /// The peer closed it, or its direction of it; what was not flushed is lost.
    case endOfStream
    /// Reset by the peer, no route, …: the kernel's words.
    case failed(String)
    case slowReader(outgoingBytes: Int)
    /// `closeAfterFlush` had to give up.
    case flushTimedOut
    case resolutionFailed(Address, String)
    case connectFailed(Address, String)
    case connectTimedOut(Address, after: Duration)
    /// The whole event loop was closed.
    case loopClosed

    package var description: String {
        switch self {
        case .closedHere: "closed"
        case .endOfStream: "closed by the peer"
        case .failed(let reason): reason
        case .slowReader(let bytes): "the peer reads too slowly: \(bytes) bytes are waiting"
        case .flushTimedOut: "the peer did not take the last bytes in time"
        case .resolutionFailed(let address, let reason): "cannot resolve \(address.host): \(reason)"
        case .connectFailed(let address, let reason): "cannot connect to \(address): \(reason)"
        case .connectTimedOut(let address, let timeout):
            "cannot connect to \(address): no answer within \(timeout.unitText)"
        case .loopClosed: "shutting down"
        }
    }
}
