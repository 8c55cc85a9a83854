import TestSupport
import Testing
import TupleCore

@testable import WireProtocol

@Suite struct FrameRunTests {
    /// However frames are put into a run, and however they are taken out of it, they are the same.
    @Test func framesComeOutAsTheyWentIn() {
        var random = SeededRandom()
        for _ in 0..<300 {
            var queue = FrameQueue()
            var expected: [Frame] = []
            for number in 0..<random.below(40) {
                let payload = [UInt8](repeating: UInt8(random.below(256)), count: random.below(100))
                let header = Header(
                    .response, flags: .first, session: SessionID(UInt64(number)),
                    sequence: RequestSequence(UInt64(random.below(9))))
                if random.below(2) == 0 {
                    queue.append(header, PreparedPayload(payload), after: LogIndex(UInt64(number)))
                } else {
                    queue.append(header, after: LogIndex(UInt64(number))) { $0.append(contentsOf: payload) }
                }
                expected.append(Frame(header, payload: payload))
            }
            let half = expected.count / 2
            // The first part shares its memory with the rest.
            let first = half > 0 ? queue.release(committed: LogIndex(UInt64(half - 1))) : nil
            let rest = queue.release(committed: LogIndex(UInt64(expected.count)))
            check(first, [Frame](expected[..<half]), "seed \(random.seed)")
            check(rest, [Frame](expected[half...]), "seed \(random.seed)")
            #expect(queue.isEmpty)
        }
    }

    private func check(_ run: FrameRun?, _ expected: [Frame], _ comment: Comment) {
        guard var run else {
            #expect(expected.isEmpty, comment)
            return
        }
        #expect([Frame](run) == expected, comment)
        #expect(run.count == expected.count, comment)
        #expect(run.withUnsafeBytes { [UInt8]($0) } == expected.flatMap(\.encoded), comment)
        var inPlace: [Frame] = []
        var again = FrameRun()
        run.forEachInPlace { frame in
            let whole = run.frame(at: frame.offset)
            #expect(frame.header == whole.header && whole.payload.elementsEqual(frame.payload), comment)
            again.append(frame.header, payloadOf: frame)
            inPlace.append(whole)
            return inPlace.count < 7
        }
        #expect(inPlace == [Frame](expected.prefix(7)), comment)
        #expect(again.withUnsafeBytes { [UInt8]($0) } == inPlace.flatMap(\.encoded), comment)
        // What follows in the same memory is not a part of it.
        let last = Frame(Header(.response, sequence: RequestSequence(77)), payload: [1, 2, 3])
        run.append(last.header, PreparedPayload([1, 2, 3]))
        #expect([Frame](run) == expected + [last], comment)
    }
}
