package import TupleCore
package import WireProtocol

/// A client's side of the service as a state machine: numbers requests, pipelines them, and brings each to one end, over
/// as many connections as that takes. No I/O and no clock: what happens comes in, what is to be done comes out.
///
/// Each request is sent again, under its own number, on every new connection until it is answered or its time is over;
/// session and number make the server carry it out once all the same.
package struct ClientSession {
    package struct Settings: Sendable {
        /// Drawn at random; not 0.
        package var session: SessionID
        /// How many proxies can be tried.
        package var proxies: Int
        /// How long a request may take; a part of an answer that had not come before begins the time anew.
        package var timeout: Duration
        /// For the proxy's log.
        package var agent: String
        /// How long a proxy may take to accept, and then to say hello.
        package var handshakeTimeout: Duration = .seconds(2)
        package var firstBackoff: Duration = .milliseconds(10)
        package var longestBackoff: Duration = .milliseconds(500)

        package init(session: SessionID, proxies: Int, timeout: Duration, agent: String) {
            precondition(session != .none && proxies > 0, "a session has a number and somebody to talk to")
            self.session = session
            self.proxies = proxies
            self.timeout = timeout
            self.agent = agent
        }
    }

    package enum Event {
        case connected
        case received(Frame)
        /// The connection ended, or never came about, and why.
        case disconnected(String)
        /// The time of a ``Action/wake(at:)`` has come.
        case woken
    }

    package enum Action: Equatable {
        /// Connect to the proxy with this number, once the time has passed; another connection is not there any more.
        case connect(proxy: Int, after: Duration)
        case send(Frame)
        /// Close the connection; no `disconnected` is expected.
        case disconnect
        /// The request's one end.
        case answer(RequestSequence, Answer)
        case wake(at: Instant)
    }

    enum Phase: Equatable {
        /// Nothing to do.
        case idle
        case connecting(deadline: Instant)
        case greeting(deadline: Instant)
        case ready(inFlightLimit: Int, payloadLimit: Int)
    }

    package let settings: Settings
    private(set) var phase = Phase.idle
    /// By number. They are changed in place only: a copy of an entry costs a copy of all that has come of its answer.
    private(set) var entries: [UInt64: Entry] = [:]
    /// When each of them is to be looked at; an entry's own deadline may be later.
    private(set) var deadlines = DeadlineQueue()
    private var nextSequence: UInt64 = 1
    /// The lowest number that is not answered; ``nextSequence`` where all are.
    private var lowWater: UInt64 = 1
    /// Requests that ended `unknown`. Somebody may still ask what became of them: they hold the low-water mark back, within
    /// ``heldBack``.
    private var unknown: Set<UInt64> = []
    private static let heldBack: UInt64 = 1_024
    /// The lowest number that was not sent on this connection.
    private var nextToSend: UInt64 = 1
    private var inFlight = 0
    private var proxy = 0
    /// Failed attempts since an answer came last.
    private var failures = 0
    private var wasWelcomedOnce = false
    private var lastFailure = ""
    private var lastFailureWasRefusal = false
    private var nextWake: Instant?

    package init(_ settings: Settings) { self.settings = settings }

    /// Requests that have no answer yet.
    package var outstanding: Int { entries.count }

    /// Whether a proxy has taken this connection.
    package var isWelcome: Bool {
        if case .ready = phase { true } else { false }
    }

    /// What the requests wait for, in words for people.
    package var situation: String {
        switch phase {
        case .idle: "the next attempt to connect is due"
        case .connecting: lastFailure.isEmpty ? "no connection yet" : "\(lastFailure); it is tried again"
        case .greeting: "the proxy has taken the connection, and says nothing"
        case .ready:
            "the proxy has the request and has not answered: no server is active ('status' shows them), or it takes long"
        }
    }

    // MARK: Events

    /// Takes a request on; its answer will carry the number that is returned.
    package mutating func submit(_ request: Request, at now: Instant) -> (RequestSequence, [Action]) {
        let sequence = nextSequence
        nextSequence += 1
        var actions: [Action] = []
        if let answer = ClientSession.localAnswer(to: request) {
            advanceLowWater()
            return (RequestSequence(sequence), [.answer(RequestSequence(sequence), answer)])
        }
        let payload = request.payloadBytes
        if payload.count > Limits.maximumPayloadBytes {
            advanceLowWater()
            let answer = ClientSession.tooLarge(payload.count, limit: Limits.maximumPayloadBytes)
            return (RequestSequence(sequence), [.answer(RequestSequence(sequence), answer)])
        }
        entries[sequence] = Entry(
            payload: payload, flags: request.isExplained ? .explain : [],
            isRead: !request.mayChange,
            deadline: now.advanced(by: settings.timeout))
        deadlines.insert(DeadlineQueue.Item(deadline: now.advanced(by: settings.timeout), number: sequence))
        switch phase {
        case .idle:
            failures = 0
            connect(after: .zero, now, &actions)
        case .connecting, .greeting: break
        case .ready: pump(&actions)
        }
        wakeForDeadlines(now, &actions)
        return (RequestSequence(sequence), actions)
    }

    package mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .connected:
            guard case .connecting = phase else { break }
            phase = .greeting(deadline: now.advanced(by: settings.handshakeTimeout))
            actions.append(.send(Hello(agent: settings.agent).frame))
        case .received(let frame): receive(frame, now, &actions)
        case .disconnected(let reason):
            guard phase != .idle else { break }
            failed(reason, now, &actions)
        case .woken:
            nextWake = nil
            expire(now, &actions)
        }
        wakeForDeadlines(now, &actions)
        return actions
    }

    // MARK: Frames

    private mutating func receive(_ frame: Frame, _ now: Instant, _ actions: inout [Action]) {
        switch (phase, frame.type) {
        case (.greeting, .welcome):
            guard let welcome = try? Welcome(frame.payload), welcome.version == Header.version else {
                return breakOff("the proxy speaks another version of the protocol", now, &actions)
            }
            wasWelcomedOnce = true
            lastFailureWasRefusal = false
            let payloadLimit = min(Int(welcome.maximumPayloadBytes), Limits.maximumPayloadBytes)
            phase = .ready(
                inFlightLimit: max(1, Int(welcome.maximumRequestsInFlight)), payloadLimit: payloadLimit)
            pump(&actions)
        case (.connecting, .refused), (.greeting, .refused), (.ready, .refused):
            refused((try? Refused(frame.payload))?.message ?? "", now, &actions)
        case (.ready, .response): respond(frame, now, &actions)
        case (.idle, _): break
        default: breakOff("the proxy sent what it may not send here (frame type \(frame.type))", now, &actions)
        }
    }

    private mutating func respond(_ frame: Frame, _ now: Instant, _ actions: inout [Action]) {
        let sequence = frame.header.sequence.number
        // An answer that nobody waits for any more: its request's time was over.
        guard frame.header.session == settings.session, let place = entries.index(forKey: sequence),
            entries.values[place].isInFlight
        else { return }
        guard let part = try? Answer(decoding: frame.payload) else {
            return breakOff("the proxy sent an answer that cannot be read", now, &actions)
        }
        failures = 0
        guard
            entries.values[place].take(
                part, isFirst: frame.header.flags.contains(.first), isLast: !frame.header.flags.contains(.more),
                deadline: now.advanced(by: settings.timeout))
        else { return }
        let answer = entries.values[place].settled
        finish(sequence, answer, &actions)
        pump(&actions)
    }

    private mutating func refused(_ message: String, _ now: Instant, _ actions: inout [Action]) {
        let words = message.isEmpty ? Status.refused.explanation : message
        lastFailureWasRefusal = true
        // A first contact that all proxies turn down is final. Later a refusal may pass: our own old connection counts
        // until the proxy has noticed its end.
        guard !wasWelcomedOnce, failures + 1 >= settings.proxies else { return breakOff(words, now, &actions) }
        actions.append(.disconnect)
        phase = .idle
        proxy = 0
        for sequence in entries.keys.sorted() {
            finish(sequence, Answer(status: .refused, message: words), &actions)
        }
    }

    // MARK: Sending

    private mutating func pump(_ actions: inout [Action]) {
        guard case .ready(let inFlightLimit, let payloadLimit) = phase else { return }
        while inFlight < inFlightLimit, nextToSend < nextSequence,
            nextToSend < lowWater + UInt64(Limits.maximumOutcomesPerSession)
        {
            let sequence = nextToSend
            nextToSend += 1
            guard let place = entries.index(forKey: sequence) else { continue }
            let payload = entries.values[place].payload
            guard payload.count <= payloadLimit else {
                finish(sequence, ClientSession.tooLarge(payload.count, limit: payloadLimit), &actions)
                continue
            }
            entries.values[place].isSent()
            inFlight += 1
            let header = Header(
                .request, flags: entries.values[place].flags, session: settings.session,
                sequence: RequestSequence(sequence), lowWater: RequestSequence(lowWater))
            actions.append(.send(Frame(header, payload: payload)))
        }
    }

    private mutating func finish(_ sequence: UInt64, _ answer: Answer, _ actions: inout [Action]) {
        guard let entry = entries.removeValue(forKey: sequence) else { return }
        if entry.isInFlight { inFlight -= 1 }
        if answer.status == .unknown { unknown.insert(sequence) }
        advanceLowWater()
        deadlines.tidy(living: entries.count) { entries[$0] != nil }
        actions.append(.answer(RequestSequence(sequence), answer))
    }

    private mutating func advanceLowWater() {
        while lowWater < nextSequence, entries[lowWater] == nil {
            if unknown.contains(lowWater), nextSequence - lowWater < ClientSession.heldBack { break }
            unknown.remove(lowWater)
            lowWater += 1
        }
        nextToSend = max(nextToSend, lowWater)
    }

    // MARK: Connections

    private mutating func connect(after delay: Duration, _ now: Instant, _ actions: inout [Action]) {
        phase = .connecting(deadline: now.advanced(by: delay + settings.handshakeTimeout))
        actions.append(.connect(proxy: proxy, after: delay))
    }

    private mutating func breakOff(_ reason: String, _ now: Instant, _ actions: inout [Action]) {
        actions.append(.disconnect)
        failed(reason, now, &actions)
    }

    /// There is no connection any more: the next proxy's turn, at once; before the first one's turn comes again, a pause
    /// that grows.
    private mutating func failed(_ reason: String, _ now: Instant, _ actions: inout [Action]) {
        lastFailure = reason
        // What is on its way lies between these; with nothing on its way a failed attempt costs nothing.
        for sequence in lowWater..<nextToSend where inFlight > 0 {
            guard let place = entries.index(forKey: sequence), entries.values[place].isInFlight else { continue }
            entries.values[place].isInFlight = false
            entries.values[place].parts = nil
            inFlight -= 1
        }
        nextToSend = lowWater
        failures += 1
        proxy = (proxy + 1) % settings.proxies
        phase = .idle
        guard !entries.isEmpty else { return }
        let round = failures / settings.proxies
        connect(after: failures % settings.proxies == 0 ? backoff(round: round) : .zero, now, &actions)
    }

    private func backoff(round: Int) -> Duration {
        min(settings.longestBackoff, settings.firstBackoff * (1 << min(round - 1, 16)))
    }

    // MARK: Time

    private mutating func expire(_ now: Instant, _ actions: inout [Action]) {
        var late: [UInt64] = []
        while let first = deadlines.first, first.deadline <= now {
            _ = deadlines.removeFirst()
            guard let deadline = entries[first.number]?.deadline else { continue }
            if deadline <= now {
                late.append(first.number)
            } else {
                deadlines.insert(DeadlineQueue.Item(deadline: deadline, number: first.number))
            }
        }
        for sequence in late.sorted() {
            guard let entry = entries[sequence] else { continue }
            finish(sequence, lateAnswer(entry), &actions)
        }
        switch phase {
        case .connecting(let deadline) where deadline <= now, .greeting(let deadline) where deadline <= now:
            breakOff("the proxy does not answer", now, &actions)
        case .ready: pump(&actions)
        case .connecting, .greeting:
            guard entries.isEmpty else { break }
            actions.append(.disconnect)
            phase = .idle
        case .idle: break
        }
    }

    private func lateAnswer(_ entry: Entry) -> Answer {
        let because = lastFailure.isEmpty ? "" : " (\(lastFailure))"
        guard entry.wasSent else {
            if lastFailureWasRefusal { return Answer(status: .refused, message: lastFailure) }
            return Answer(
                status: .unavailable,
                message: "the service could not be reached in time\(because); the request was not carried out")
        }
        #if PLANTED_BUGS
            if PlantedBug.sayNotDone.isOn { return Answer(status: .unavailable, message: "no answer came in time") }
        #endif
        if entry.isRead {
            return Answer(status: .unavailable, message: "no answer came in time\(because)")
        }
        return Answer(
            status: .unknown,
            message: "no answer came in time\(because); the request may or may not have been carried out")
    }

    private mutating func wakeForDeadlines(_ now: Instant, _ actions: inout [Action]) {
        // One wake at a time: deadlines only move later, so an early one is harmless. Only a handshake's deadline may
        // come before the wake that is set.
        var earliest: Instant?
        switch phase {
        case .connecting(let deadline), .greeting(let deadline): earliest = deadline
        case .idle, .ready: break
        }
        if nextWake == nil, !entries.isEmpty, let deadline = deadlines.first?.deadline {
            earliest = min(earliest ?? deadline, deadline)
        }
        guard let earliest, earliest < nextWake ?? Instant(nanoseconds: .max) else { return }
        nextWake = earliest
        actions.append(.wake(at: earliest))
    }

    // MARK: Answers that need no server

    private static func localAnswer(to request: Request) -> Answer? {
        guard request.operatorName.utf8.count > Request.maximumOperatorBytes else { return nil }
        return Answer(status: .notImplemented, message: Status.notImplemented.explanation)
    }

    private static func tooLarge(_ count: Int, limit: Int) -> Answer {
        Answer(
            status: .tooLarge,
            message: "the request has \(count) bytes; \(limit) are allowed. Send it as several requests.")
    }
}

extension Request {
    /// The longest operator name that can be sent; no operator's name is longer.
    static let maximumOperatorBytes = 256
}
