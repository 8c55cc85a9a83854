import Testing
import TupleCore
import WireProtocol

@testable import Calling

/// A session with the other side played by the test: what it sends and answers is collected.
private struct Stage {
    var session: ClientSession
    var now = Instant(nanoseconds: 0)
    var sent: [Frame] = []
    var answers: [UInt64: Answer] = [:]
    var connects: [(proxy: Int, after: Duration)] = []
    var disconnects = 0
    var wake: Instant?

    static let number = SessionID(77)

    init(proxies: Int = 1, timeout: Duration = .seconds(10)) {
        session = ClientSession(
            .init(session: Stage.number, proxies: proxies, timeout: timeout, agent: "test"))
    }

    mutating func take(_ actions: [ClientSession.Action]) {
        for action in actions {
            switch action {
            case .connect(let proxy, let delay): connects.append((proxy, delay))
            case .send(let frame): sent.append(frame)
            case .disconnect: disconnects += 1
            case .answer(let sequence, let answer): answers[sequence.number] = answer
            case .wake(let instant): wake = instant
            }
        }
    }

    @discardableResult
    mutating func submit(_ operatorName: String = "PUT", _ payload: Term = .list([])) -> UInt64 {
        let (sequence, actions) = session.submit(Request(operatorName: operatorName, payload: payload), at: now)
        take(actions)
        return sequence.number
    }

    mutating func handle(_ event: ClientSession.Event) { take(session.handle(event, at: now)) }

    mutating func welcome(inFlight: UInt32 = 100, payload: UInt32 = UInt32(Limits.maximumPayloadBytes)) {
        handle(.connected)
        handle(
            .received(Welcome(version: 1, maximumPayloadBytes: payload, maximumRequestsInFlight: inFlight).frame))
    }

    mutating func respond(
        _ sequence: UInt64, _ answer: Answer = Answer(), _ flags: Header.Flags = .first,
        session: SessionID = Stage.number
    ) {
        let header = Header(.response, flags: flags, session: session, sequence: RequestSequence(sequence))
        handle(.received(Frame(header, payload: answer.payloadBytes)))
    }

    /// Time passes; wakes that were asked for happen at their time.
    mutating func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let wake, wake <= end {
            now = max(now, wake)
            self.wake = nil
            handle(.woken)
        }
        now = end
    }

    /// The requests that were sent since this was asked last: (sequence, low-water mark).
    mutating func requests() -> [[UInt64]] {
        defer { sent = [] }
        return sent.filter { $0.type == .request }.map { [$0.header.sequence.number, $0.header.lowWater.number] }
    }
}

private func pair(_ text: String) -> Pair {
    guard let tuple = Tuple(packed: [UInt8](text.utf8)) else { preconditionFailure("a test's tuple is well formed") }
    return Pair(key: tuple, value: tuple)
}

@Suite struct ClientSessionTests {
    @Test func aRequestIsSentAfterTheWelcomeAndAnswered() {
        var stage = Stage()
        #expect(stage.submit() == 1)
        #expect(stage.connects.map(\.proxy) == [0] && stage.connects[0].after == .zero)
        stage.handle(.connected)
        #expect(stage.sent.map(\.type) == [.hello])
        stage.handle(
            .received(Welcome(version: 1, maximumPayloadBytes: 1_000, maximumRequestsInFlight: 1).frame))
        #expect(stage.sent.last?.header.session == Stage.number)
        #expect(stage.requests() == [[1, 1]])
        stage.respond(1, Answer(pairs: [pair("a")]))
        #expect(stage.answers == [1: Answer(pairs: [pair("a")])])
        #expect(stage.session.outstanding == 0)
    }

    @Test func noMoreRequestsAreOnTheirWayThanTheProxyAllows() {
        var stage = Stage()
        for _ in 0..<5 { stage.submit() }
        stage.welcome(inFlight: 2)
        #expect(stage.requests() == [[1, 1], [2, 1]])
        stage.respond(2)
        #expect(stage.requests() == [[3, 1]])
        stage.respond(1)
        #expect(stage.requests() == [[4, 3]])
        #expect(stage.session.outstanding == 3)
    }

    @Test func theLowWaterMarkIsTheLowestUnanswered() {
        var stage = Stage()
        for _ in 0..<3 { stage.submit() }
        stage.welcome()
        stage.respond(1)
        stage.respond(3)
        _ = stage.requests()
        stage.submit()
        stage.respond(2)
        stage.submit()
        #expect(stage.requests() == [[4, 2], [5, 4]])
    }

    @Test func theServerIsNeverAskedToKeepMoreOutcomesThanItWill() {
        var stage = Stage()
        for _ in 0..<Limits.maximumOutcomesPerSession + 10 { stage.submit() }
        stage.welcome(inFlight: .max)
        #expect(stage.requests().count == Limits.maximumOutcomesPerSession)
        stage.respond(2)
        #expect(stage.requests() == [])
        stage.respond(1)
        #expect(stage.requests().map { $0[0] } == [4_097, 4_098])
    }

    @Test func whatIsUnansweredIsSentAgainInOrderOnTheNextConnection() {
        var stage = Stage()
        for _ in 0..<4 { stage.submit() }
        stage.welcome(inFlight: 3)
        stage.respond(2)
        _ = stage.requests()
        stage.handle(.disconnected("broken"))
        #expect(stage.connects.map(\.after) == [.zero, .milliseconds(10)])
        stage.submit()
        #expect(stage.requests() == [])
        stage.welcome()
        #expect(stage.requests() == [[1, 1], [3, 1], [4, 1], [5, 1]])
        for sequence in [1, 3, 4, 5] as [UInt64] { stage.respond(sequence) }
        #expect(stage.answers.count == 5 && stage.answers.values.allSatisfy { $0.status == .ok })
    }

    @Test func theOtherProxiesAreTriedAtOnceAndTheFirstAgainAfterAPauseThatGrows() {
        var stage = Stage(proxies: 3, timeout: .seconds(3_600))
        stage.submit()
        for _ in 0..<30 { stage.handle(.disconnected("refused")) }
        #expect(stage.connects.map(\.proxy) == (0...30).map { $0 % 3 })
        let pauses = stage.connects.map(\.after).filter { $0 > .zero }
        #expect(pauses == [10, 20, 40, 80, 160, 320, 500, 500, 500, 500].map { .milliseconds($0) })
        stage.welcome()
        stage.respond(1)
        stage.submit()
        stage.handle(.disconnected("broken"))
        #expect(stage.connects.last?.after == .zero)
    }

    @Test func withoutRequestsNobodyConnects() {
        var stage = Stage()
        stage.submit()
        stage.welcome()
        stage.respond(1)
        stage.handle(.disconnected("the proxy is gone"))
        #expect(stage.connects.count == 1)
        stage.submit()
        #expect(stage.connects.count == 2 && stage.connects[1].after == .zero)
    }

    @Test func partsArePutTogetherAndFirstBeginsAnew() {
        var stage = Stage()
        stage.submit("GET")
        stage.welcome()
        stage.respond(1, Answer(pairs: [pair("stale")]), [.first, .more])
        stage.respond(1, Answer(warning: "w", pairs: [pair("a")]), [.first, .more])
        stage.respond(1, Answer(pairs: [pair("b")]), .more)
        #expect(stage.answers.isEmpty)
        stage.respond(1, Answer(pairs: [pair("c")], rejected: [.init(item: .null, reason: .absent)]), [])
        #expect(
            stage.answers[1]
                == Answer(
                    warning: "w", pairs: [pair("a"), pair("b"), pair("c")],
                    rejected: [.init(item: .null, reason: .absent)]))
    }

    @Test func partsOfALostConnectionAreForgotten() {
        var stage = Stage()
        stage.submit("GET")
        stage.welcome()
        stage.respond(1, Answer(pairs: [pair("a")]), [.first, .more])
        stage.handle(.disconnected("broken"))
        stage.welcome()
        // The rest of an answer whose beginning this connection never carried.
        stage.respond(1, Answer(pairs: [pair("b")]), [])
        #expect(stage.answers.isEmpty)
        stage.respond(1, Answer(pairs: [pair("a"), pair("b")]))
        #expect(stage.answers[1]?.pairs == [pair("a"), pair("b")])
    }

    @Test func responsesOfOthersAreIgnored() {
        var stage = Stage()
        stage.submit()
        stage.welcome()
        stage.respond(1, session: SessionID(5))
        stage.respond(9)
        #expect(stage.answers.isEmpty && stage.disconnects == 0)
    }

    @Test func lateUpdatesAreUnknownLateReadsAndWhatWasNeverSentUnavailable() {
        var stage = Stage()
        stage.submit("PUT")
        stage.submit("GET")
        stage.submit("PUT")
        stage.welcome(inFlight: 2)
        stage.handle(.disconnected("broken"))
        stage.pass(.seconds(9))
        #expect(stage.answers.isEmpty)
        stage.pass(.seconds(1))
        #expect(stage.answers.mapValues(\.status) == [1: .unknown, 2: .unavailable, 3: .unavailable])
        #expect(stage.answers.values.allSatisfy { !$0.message.isEmpty })
        #expect(stage.session.outstanding == 0 && stage.session.phase == .idle)
    }

    /// A proxy that was started anew knows nothing of what the one before it had sent to a server.
    @Test func whatWasSentOnAnEarlierConnectionIsNotCalledNotDone() {
        var stage = Stage()
        stage.submit("PUT")
        stage.submit("GET")
        stage.welcome()
        stage.handle(.disconnected("broken"))
        stage.pass(.seconds(1))
        stage.submit("PUT")
        stage.welcome()
        for sequence in 1...3 as ClosedRange<UInt64> { stage.respond(sequence, Answer(status: .unavailable)) }
        #expect(stage.answers.mapValues(\.status) == [1: .unknown, 2: .unavailable, 3: .unavailable])
    }

    @Test func anAnswerAfterItsTimeIsIgnoredAndTheNextOneCounts() {
        var stage = Stage()
        stage.submit()
        stage.welcome()
        stage.pass(.seconds(5))
        stage.submit()
        stage.pass(.seconds(5))
        #expect(stage.answers.mapValues(\.status) == [1: .unknown])
        stage.respond(1)
        stage.respond(2)
        #expect(stage.answers.mapValues(\.status) == [1: .unknown, 2: .ok])
    }

    /// What became of it may still be asked for: the servers are not told to forget it, up to a bound.
    @Test func aRequestThatEndedUnknownHoldsTheLowWaterMarkBack() {
        var stage = Stage()
        stage.submit()
        stage.welcome()
        stage.pass(.seconds(10))
        #expect(stage.answers.mapValues(\.status) == [1: .unknown])
        _ = stage.requests()
        for sequence in UInt64(2)...2_000 {
            stage.submit()
            #expect(stage.requests() == [[sequence, sequence <= 1_024 ? 1 : sequence]])
            stage.respond(sequence)
        }
        #expect(stage.answers.count == 2_000)
    }

    @Test func anAnswerThatGrowsHasItsTimeAnewButNotForTheSamePartAgain() {
        var stage = Stage()
        stage.submit("GET")
        stage.welcome()
        for flags in [[.first, .more], .more, .more] as [Header.Flags] {
            stage.pass(.seconds(8))
            stage.respond(1, Answer(pairs: [pair("a")]), flags)
        }
        for _ in 0..<2 {
            stage.pass(.seconds(4))
            stage.handle(.disconnected("broken"))
            stage.welcome()
            stage.respond(1, Answer(pairs: [pair("a")]), [.first, .more])
        }
        #expect(stage.answers.isEmpty)
        stage.pass(.seconds(2))
        #expect(stage.answers[1]?.status == .unavailable)
    }

    @Test func aProxyThatSaysNothingIsGivenUp() {
        var stage = Stage(proxies: 2)
        stage.submit()
        stage.pass(.seconds(2))
        #expect(stage.disconnects == 1 && stage.connects.last?.proxy == 1)
        stage.handle(.connected)
        stage.pass(.seconds(2))
        #expect(stage.disconnects == 2 && stage.connects.last?.proxy == 0)
    }

    @Test func aFirstContactThatAllProxiesTurnDownIsRefused() {
        var stage = Stage(proxies: 2)
        stage.submit()
        stage.submit()
        stage.handle(.connected)
        stage.handle(.received(Refused(message: "service refused: 4 clients").frame))
        #expect(stage.answers.isEmpty && stage.connects.last?.proxy == 1)
        // The proxy need not wait for the hello.
        stage.handle(.received(Refused(message: "service refused: 5 clients").frame))
        let refused = Answer(status: .refused, message: "service refused: 5 clients")
        #expect(stage.answers == [1: refused, 2: refused])
    }

    @Test func aRefusalLaterIsTriedAgain() {
        var stage = Stage()
        stage.submit()
        stage.welcome()
        stage.submit()
        stage.handle(.disconnected("broken"))
        stage.handle(.connected)
        stage.handle(.received(Refused(message: "service refused").frame))
        #expect(stage.answers.isEmpty)
        stage.welcome()
        stage.respond(1)
        stage.respond(2)
        #expect(stage.answers.mapValues(\.status) == [1: .ok, 2: .ok])
    }

    @Test func whatIsTooLargeOrNoOperatorIsAnsweredHere() {
        var stage = Stage()
        stage.submit("PUT", .string([UInt8](repeating: 0x61, count: Limits.maximumPayloadBytes)))
        stage.submit(String(repeating: "x", count: 257))
        #expect(stage.answers.mapValues(\.status) == [1: .tooLarge, 2: .notImplemented])
        #expect(stage.connects.isEmpty)
        stage.submit("PUT", .string("a request of more than the thirty bytes that this proxy takes"))
        stage.submit()
        stage.welcome(payload: 30)
        #expect(stage.answers[3]?.status == .tooLarge)
        #expect(stage.requests().map { $0[0] } == [4])
    }

    @Test func whatIsWaitedForHasWords() {
        var stage = Stage()
        stage.submit()
        #expect(stage.session.situation == "no connection yet" && !stage.session.isWelcome)
        stage.handle(.disconnected("cannot connect to h:1: connection refused"))
        #expect(stage.session.situation.hasPrefix("cannot connect to h:1"))
        stage.handle(.connected)
        #expect(stage.session.situation.contains("says nothing"))
        stage = Stage()
        stage.submit()
        stage.welcome()
        #expect(stage.session.situation.hasPrefix("the proxy has the request") && stage.session.isWelcome)
    }

    @Test func nonsenseFromTheProxyEndsTheConnectionNotTheRequest() {
        var stage = Stage()
        stage.submit()
        stage.welcome()
        stage.handle(
            .received(
                Frame(
                    Header(.response, flags: .first, session: Stage.number, sequence: RequestSequence(1)),
                    payload: [99])))
        #expect(stage.disconnects == 1 && stage.connects.count == 2)
        stage.welcome()
        stage.handle(.received(Frame(Header(.heartbeat))))
        #expect(stage.disconnects == 2)
        stage.handle(.connected)
        stage.handle(
            .received(Welcome(version: 9, maximumPayloadBytes: 1, maximumRequestsInFlight: 1).frame))
        #expect(stage.disconnects == 3)
        stage.welcome()
        stage.respond(1)
        #expect(stage.answers[1]?.status == .ok)
    }

    /// Random breaks, refusals, late and early answers: each request ends exactly once, and never with an error while
    /// there is time.
    @Test func everyRequestEndsExactlyOnce() {
        let seed = UInt64.random(in: 1...(.max))
        var state = seed
        func random(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        var stage = Stage(proxies: 2, timeout: .seconds(100_000))
        var submitted: Set<UInt64> = []
        for _ in 0..<20_000 {
            switch random(8) {
            case 0, 1: submitted.insert(stage.submit(random(2) == 0 ? "PUT" : "GET"))
            case 2: if stage.session.phase != .idle { stage.handle(.disconnected("broken")) }
            case 3: stage.welcome(inFlight: UInt32(random(10)))
            case 4: stage.pass(.milliseconds(Int64(random(100))))
            default:
                guard case .ready = stage.session.phase, let newest = submitted.max() else { continue }
                let sequence = newest - min(newest - 1, random(20))
                let wasAnswered = stage.answers[sequence] != nil
                stage.respond(sequence, Answer(), random(4) == 0 ? [.first, .more] : .first)
                #expect(!wasAnswered || stage.answers[sequence] != nil, "seed \(seed)")
            }
        }
        if stage.session.phase == .idle { submitted.insert(stage.submit()) }
        stage.handle(.disconnected("broken"))
        stage.welcome(inFlight: 5)
        while stage.session.outstanding > 0 {
            let requests = stage.requests()
            guard !requests.isEmpty else { break }
            for request in requests { stage.respond(request[0]) }
        }
        #expect(Set(stage.answers.keys) == submitted, "seed \(seed)")
        #expect(stage.answers.values.allSatisfy { $0.status == .ok }, "seed \(seed)")
    }
}
