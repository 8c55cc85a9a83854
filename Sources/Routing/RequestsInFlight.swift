import TupleCore
import WireProtocol

/// A client's requests that have no answer yet, oldest first, with a copy of their bytes for the case that they must be
/// sent again.
///
/// They are passed on in their order: those before ``next`` were. One that is held back as suspect holds up those behind it.
/// Answers mostly come in the order of the requests. One that is answered before an older one keeps its place, and counts towards
/// ``span`` and ``bytes``, until that one is answered too.
struct RequestsInFlight: Sendable {
    struct Request: Sendable {
        enum State: UInt8, Sendable {
            /// It has not been passed to the present active server.
            case waiting
            /// The present active server has it, and is to answer.
            case passed
            /// It was in flight at two lost servers: it is passed on after all that others have asked, and alone.
            case held
            case answered
        }

        var session: SessionID
        var sequence: RequestSequence
        var lowWater: RequestSequence
        var since: Instant
        /// Where its payload is, counted as the first byte ever was 0.
        fileprivate var begin: Int
        fileprivate(set) var count: Int
        /// What the present active server may still send for it, in bytes.
        var reserved: Int32 = 0
        var flags: Header.Flags
        var state = State.waiting
        /// Whether some active server was sent it: then it may have been carried out.
        var wasSent = false
        /// A part of its answer has come, and more is to follow.
        var isStreaming = false
        /// At how many lost servers it was in flight, one after the other.
        var losses: UInt8 = 0
    }

    private var requests: [Request] = []
    private var head = 0
    private var payloads: [UInt8] = []
    /// What `payloads` begins with, counted as ``Request/begin`` is.
    private var base = 0
    /// The place of the first request that was not passed on; ``end`` where all were.
    private(set) var next = 0
    /// How many are unanswered.
    private(set) var count = 0
    /// How many of those the present active server has.
    private(set) var passed = 0

    /// What is kept for nothing at most, as a share of what is kept and in bytes.
    private static let slack = 65_536
    /// What stays reserved while there is nothing: for a client with a few short requests at a time.
    private static let restingRequests = 64
    private static let restingBytes = 8_192
    /// What keeping a request takes beside its payload, in bytes.
    static let overhead = 96

    /// From the oldest that is unanswered to the newest.
    var span: Int { requests.count - head }
    /// What keeping those takes.
    private(set) var bytes = 0
    var isEmpty: Bool { span == 0 }
    var end: Int { requests.count }
    /// The place of the oldest that is unanswered, where there is one.
    var oldest: Int? { head < requests.count ? head : nil }
    /// Whether one may wait for being passed on.
    var hasWaiting: Bool { next < requests.count }
    /// The places of the unanswered ones, oldest first.
    var places: [Int] { (head..<requests.count).filter { requests[$0].state != .answered } }

    subscript(place: Int) -> Request {
        get { requests[place] }
        _modify { yield &requests[place] }
    }

    /// The place of an unanswered request. It stays until one is removed.
    ///
    /// - Complexity: O(1) where a client has one session and numbers its requests one after the other, else O(``span``).
    func place(of session: SessionID, _ sequence: RequestSequence) -> Int? {
        guard head < requests.count else { return nil }
        let first = requests[head].sequence.number
        if sequence.number >= first, sequence.number - first < UInt64(span) {
            let guess = head + Int(sequence.number - first)
            if isIt(guess, session, sequence) { return guess }
        }
        if isAscending, let last = requests.last, last.session == session, last.sequence < sequence { return nil }
        return (head..<requests.count).first { isIt($0, session, sequence) }
    }

    private func isIt(_ place: Int, _ session: SessionID, _ sequence: RequestSequence) -> Bool {
        requests[place].sequence == sequence && requests[place].session == session && requests[place].state != .answered
    }

    /// Whether all are of one session, and each number so far was higher than the one before, while any were here.
    private var isAscending = true

    /// Adds a request that waits.
    mutating func append(_ header: Header, _ payload: UnsafeRawBufferPointer, since: Instant) {
        if isEmpty {
            isAscending = true
        } else if let last = requests.last, last.sequence >= header.sequence || last.session != header.session {
            isAscending = false
        }
        requests.append(
            Request(
                session: header.session, sequence: header.sequence, lowWater: header.lowWater, since: since,
                begin: base + payloads.count, count: payload.count, flags: header.flags))
        payloads.append(contentsOf: payload)
        bytes += payload.count + RequestsInFlight.overhead
        count += 1
    }

    /// The present active server is sent the request.
    mutating func pass(_ place: Int, reserving bytes: Int) {
        precondition(requests[place].state == .waiting || requests[place].state == .held, "it was passed on already")
        requests[place].state = .passed
        requests[place].wasSent = true
        requests[place].isStreaming = false
        requests[place].reserved = Int32(bytes)
        passed += 1
        if place == next { next += 1 }
    }

    /// The place of the first that is to be passed on; ``next`` is there. Nil where there is none, or it is held back.
    mutating func nextWaiting() -> Int? { nextUnpassed(in: .waiting) }

    /// The same where it is held back.
    mutating func nextHeld() -> Int? { nextUnpassed(in: .held) }

    private mutating func nextUnpassed(in state: Request.State) -> Int? {
        while next < requests.count {
            switch requests[next].state {
            case .waiting, .held: return requests[next].state == state ? next : nil
            case .passed, .answered: next += 1
            }
        }
        return nil
    }

    /// The oldest whose answer is under way and not whole.
    ///
    /// - Complexity: O(``span``).
    var oldestStream: Int? {
        (head..<requests.count).first { requests[$0].isStreaming && requests[$0].state == .passed }
    }

    /// What the present active server has, as payload bytes.
    ///
    /// - Complexity: O(``span``).
    var passedBytes: Int {
        (head..<requests.count).reduce(0) { requests[$1].state == .passed ? $0 + requests[$1].count : $0 }
    }

    /// The request's header, without what the proxy adds.
    func header(at place: Int) -> Header {
        let request = requests[place]
        return Header(
            .request, flags: request.flags, session: request.session, sequence: request.sequence,
            lowWater: request.lowWater)
    }

    /// The request as a frame, without what the proxy adds.
    func frame(at place: Int) -> Frame { Frame(header(at: place), payload: payload(at: place)) }

    func payload(at place: Int) -> ArraySlice<UInt8> {
        let begin = requests[place].begin - base
        return payloads[begin..<begin + requests[place].count]
    }

    /// There is another active server: whatever the last one had is to be passed on again.
    ///
    /// - Parameters:
    ///   - isLoss: whether the last one was lost, rather than moved away from.
    ///   - threshold: with so many losses a request is held back.
    ///   - hold: is told of those that are held back from now on.
    /// - Complexity: O(``span``).
    mutating func rewind(isLoss: Bool, threshold: Int, _ hold: (Request) -> Void) {
        next = head
        passed = 0
        for place in head..<requests.count where requests[place].state == .passed {
            if isLoss, requests[place].losses < .max { requests[place].losses += 1 }
            requests[place].reserved = 0
            requests[place].isStreaming = false
            if Int(requests[place].losses) >= threshold {
                requests[place].state = .held
                hold(requests[place])
            } else {
                requests[place].state = .waiting
            }
        }
    }

    mutating func remove(at place: Int) {
        precondition(requests[place].state != .answered, "it was answered already")
        if requests[place].state == .passed { passed -= 1 }
        requests[place].state = .answered
        count -= 1
        while head < requests.count, requests[head].state == .answered {
            bytes -= requests[head].count + RequestsInFlight.overhead
            head += 1
        }
        if head == requests.count {
            base += payloads.count
            head = 0
            requests.removeAll(keepingCapacity: requests.capacity <= RequestsInFlight.restingRequests)
            payloads.removeAll(keepingCapacity: payloads.capacity <= RequestsInFlight.restingBytes)
        } else {
            let dead = requests[head].begin - base
            if dead > RequestsInFlight.slack, dead > payloads.count / 2 {
                payloads.removeSubrange(..<dead)
                base += dead
            }
            if head > 1_024, head > requests.count / 2 {
                requests.removeSubrange(..<head)
                next -= head
                head = 0
            }
        }
        next = min(max(next, head), requests.count)
    }
}
