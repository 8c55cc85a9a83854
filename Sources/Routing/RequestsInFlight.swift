import TupleCore
import WireProtocol

/// A client's requests that have no answer yet, oldest first, with a copy of their bytes for the case that they must be
/// sent again.
///
/// Answers mostly come in the order of the requests. One that is answered before an older one keeps its place, and counts
/// towards ``span`` and ``bytes``, until that one is answered too.
struct RequestsInFlight: Sendable {
    struct Request: Sendable {
        var session: SessionID
        var sequence: RequestSequence
        var lowWater: RequestSequence
        var flags: Header.Flags
        /// Counts the requests of all clients, so that a replay keeps their order.
        var order: UInt64
        var since: Instant
        /// Whether some active server was sent it: then it may have been carried out.
        var wasSent: Bool
        fileprivate var isAnswered = false
        /// Where its payload is, counted from the beginning of all time.
        fileprivate var begin: Int
        fileprivate var count: Int

        init(_ header: Header, order: UInt64, since: Instant, wasSent: Bool, begin: Int, count: Int) {
            session = header.session
            sequence = header.sequence
            lowWater = header.lowWater
            flags = header.flags
            self.order = order
            self.since = since
            self.wasSent = wasSent
            self.begin = begin
            self.count = count
        }
    }

    private var requests: [Request] = []
    private var head = 0
    private var payloads: [UInt8] = []
    /// What `payloads` begins with, counted as ``Request/begin`` is.
    private var base = 0

    /// What is kept for nothing at most, as a share of what is kept and in bytes.
    private static let slack = 65_536

    /// From the oldest that is unanswered to the newest.
    var span: Int { requests.count - head }
    /// The payloads of those.
    var bytes: Int { requests.last.map { $0.begin + $0.count - requests[head].begin } ?? 0 }
    var isEmpty: Bool { span == 0 }
    /// The places of the unanswered ones, oldest first.
    var places: [Int] { (head..<requests.count).filter { !requests[$0].isAnswered } }
    var count: Int { requests[head...].reduce(0) { $1.isAnswered ? $0 : $0 + 1 } }

    subscript(place: Int) -> Request {
        get { requests[place] }
        _modify { yield &requests[place] }
    }

    /// The place of an unanswered request. It stays until one is removed.
    ///
    /// - Complexity: O(1) where a client numbers its requests one after the other, else O(``span``).
    func place(of sequence: RequestSequence) -> Int? {
        guard head < requests.count else { return nil }
        let first = requests[head].sequence.number
        if sequence.number >= first, sequence.number - first < UInt64(span) {
            let guess = head + Int(sequence.number - first)
            if requests[guess].sequence == sequence, !requests[guess].isAnswered { return guess }
        }
        if isAscending, let last = requests.last?.sequence, last < sequence { return nil }
        return requests[head...].firstIndex { $0.sequence == sequence && !$0.isAnswered }
    }

    /// Whether each number so far was higher than the one before, while any were here.
    private var isAscending = true

    mutating func append(
        _ header: Header, _ payload: UnsafeRawBufferPointer, order: UInt64, since: Instant, wasSent: Bool
    ) {
        if isEmpty {
            isAscending = true
        } else if let last = requests.last, last.sequence >= header.sequence {
            isAscending = false
        }
        requests.append(
            Request(
                header, order: order, since: since, wasSent: wasSent, begin: base + payloads.count,
                count: payload.count))
        payloads.append(contentsOf: payload)
    }

    /// The request as a frame, without what the proxy adds.
    func frame(at place: Int) -> Frame {
        let request = requests[place]
        return Frame(
            Header(
                .request, flags: request.flags, session: request.session, sequence: request.sequence,
                lowWater: request.lowWater),
            payload: payload(at: place))
    }

    func payload(at place: Int) -> ArraySlice<UInt8> {
        let begin = requests[place].begin - base
        return payloads[begin..<begin + requests[place].count]
    }

    mutating func remove(at place: Int) {
        requests[place].isAnswered = true
        while head < requests.count, requests[head].isAnswered { head += 1 }
        if head == requests.count {
            base += payloads.count
            head = 0
            requests.removeAll(keepingCapacity: true)
            payloads.removeAll(keepingCapacity: payloads.capacity <= RequestsInFlight.slack)
        } else {
            let dead = requests[head].begin - base
            if dead > RequestsInFlight.slack, dead > payloads.count / 2 {
                payloads.removeSubrange(..<dead)
                base += dead
            }
            if head > 1_024, head > requests.count / 2 {
                requests.removeSubrange(..<head)
                head = 0
            }
        }
    }
}
