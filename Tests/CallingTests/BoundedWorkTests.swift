import Testing
import TupleCore
import WireProtocol

@testable import Calling

/// What an event costs does not grow with what has come before: counted in memory that moves, and in comparisons.
@Suite struct BoundedWorkTests {
    private let number = SessionID(77)
    private let start = Instant(nanoseconds: 0)

    private func session(_ requests: Int) -> ClientSession {
        var session = ClientSession(.init(session: number, proxies: 1, timeout: .seconds(10), agent: "test"))
        _ = session.submit(Request(operatorName: "GET", payload: .null), at: start)
        _ = session.handle(.connected, at: start)
        let welcome = Welcome(version: 1, maximumPayloadBytes: 1 << 20, maximumRequestsInFlight: 65_536)
        _ = session.handle(.received(welcome.frame), at: start)
        for _ in 1..<requests { _ = session.submit(Request(operatorName: "GET", payload: .null), at: start) }
        return session
    }

    private func frame(_ sequence: UInt64, _ answer: Answer, _ flags: Header.Flags) -> Frame {
        Frame(
            Header(.response, flags: flags, session: number, sequence: RequestSequence(sequence)),
            payload: answer.payloadBytes)
    }

    /// Where the pairs that have come lie in memory.
    private func place(_ session: ClientSession) -> Int? {
        session.entries[1]?.parts?.pairs.withUnsafeBufferPointer { $0.baseAddress.map { Int(bitPattern: $0) } }
    }

    @Test func anAnswerInManyPartsIsNotCopiedForEach() throws {
        let tuple = try #require(Tuple(packed: [UInt8]("a".utf8)))
        let part = Answer(pairs: [Pair](repeating: Pair(key: tuple, value: tuple), count: 4))
        var session = session(1)
        var moves = 0
        var last = place(session)
        for count in 0..<2_000 {
            let flags: Header.Flags = count == 0 ? [.first, .more] : .more
            _ = session.handle(.received(frame(1, part, flags)), at: start)
            let now = place(session)
            if now != last { moves += 1 }
            last = now
        }
        #expect(session.entries[1]?.parts?.pairs.count == 8_000)
        // An array that grows moves each time it doubles.
        #expect(moves <= 20, "the pairs moved \(moves) times in 2,000 parts")
    }

    /// Comparisons that it takes to answer a window of requests, one after the other, with a wake before each.
    private func steps(_ requests: Int) -> Int {
        var session = session(requests)
        var now = start
        for sequence in 1...requests {
            now = now.advanced(by: .microseconds(10))
            _ = session.handle(.woken, at: now)
            _ = session.handle(.received(frame(UInt64(sequence), Answer(), .first)), at: now)
        }
        #expect(session.outstanding == 0)
        return session.deadlines.steps
    }

    @Test func tenTimesTheRequestsTakeAboutTenTimesTheWork() {
        let (few, many) = (steps(400), steps(4_000))
        #expect(few > 0)
        #expect(many < 20 * few, "\(few) steps for 400 requests, \(many) for 4,000")
    }

    @Test func deadlinesOfWhatIsAnsweredAreThrownOut() {
        var session = session(1)
        for sequence in 1...10_000 {
            _ = session.handle(.received(frame(UInt64(sequence), Answer(), .first)), at: start)
            _ = session.submit(Request(operatorName: "GET", payload: .null), at: start)
        }
        #expect(session.deadlines.count <= 2 * session.outstanding + 65)
    }

    @Test func deadlinesComeInTheirOrder() {
        var queue = DeadlineQueue()
        for number in 0..<500 {
            let time = Instant(nanoseconds: Int64(number * 7_919 % 503))
            queue.insert(DeadlineQueue.Item(deadline: time, number: UInt64(number)))
        }
        var last = Instant(nanoseconds: -1)
        while let item = queue.removeFirst() {
            #expect(item.deadline >= last)
            last = item.deadline
        }
    }
}
