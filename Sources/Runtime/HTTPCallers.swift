import Glibc
import TupleCore

/// The connections of an HTTP server, and which of them have to make room.
struct HTTPCallers {
    private let most: Int
    private let requestTimeout: Duration
    private var callers: [Int32: HTTPCaller] = [:]

    init(most: Int, requestTimeout: Duration) {
        self.most = most
        self.requestTimeout = requestTimeout
    }

    var count: Int { callers.count }

    /// Takes one more, and ends another where there are too many.
    ///
    /// - Complexity: O(connections) where there are too many.
    mutating func add(_ caller: HTTPCaller) {
        if callers.values.lazy.filter({ !$0.isEnding }).count >= most { longestWaiting()?.end() }
        callers[caller.descriptor] = caller
    }

    mutating func remove(_ descriptor: Int32) { callers[descriptor] = nil }

    /// A whole request has come.
    func asked(_ descriptor: Int32) { callers[descriptor]?.waitsSince = nil }

    /// The answer has left, or there will be none.
    func answered(_ descriptor: Int32, at now: Instant) { callers[descriptor]?.waitsSince = now }

    /// Ends those of which no request has come in time.
    func endLate(at now: Instant) {
        for caller in callers.values {
            if let since = caller.waitsSince, now.duration(since: since) > requestTimeout { caller.end() }
        }
    }

    /// The one that has waited for a request for longest, of the source that has the most of those.
    private func longestWaiting() -> HTTPCaller? {
        var bySource: [String: Int] = [:]
        for caller in callers.values where caller.mayEnd { bySource[caller.source, default: 0] += 1 }
        let waiting = callers.values.filter(\.mayEnd)
        return waiting.min { a, b in
            let (many, others) = (bySource[a.source] ?? 0, bySource[b.source] ?? 0)
            if many != others { return many > others }
            return (a.waitsSince?.nanoseconds ?? .max, a.descriptor)
                < (b.waitsSince?.nanoseconds ?? .max, b.descriptor)
        }
    }
}

/// A connection that libmicrohttpd has.
final class HTTPCaller {
    let descriptor: Int32
    let source: String
    private let slot: ConnectionSlot?
    /// Since when a request could have come; nil while one is answered.
    var waitsSince: Instant?
    private(set) var isEnding = false

    init(_ descriptor: Int32, from source: String, slot: ConnectionSlot?, at now: Instant) {
        self.descriptor = descriptor
        self.source = source
        self.slot = slot
        waitsSince = now
    }

    var mayEnd: Bool { waitsSince != nil && !isEnding }

    /// libmicrohttpd, which has the descriptor, finds the connection at its end and closes it.
    func end() {
        guard !isEnding else { return }
        isEnding = true
        _ = shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
