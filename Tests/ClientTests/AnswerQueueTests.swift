import Testing

@testable import Client

@Suite struct AnswerQueueTests {
    @Test func answersComeInTheOrderOfTheirRequests() {
        var queue = AnswerQueue()
        let numbers = (0..<3).map { _ in queue.add(lineBytes: 10) }
        #expect(queue.bytes == 30)
        queue.answer(numbers[2], [3])
        #expect(queue.next() == nil && queue.bytes == 21)
        queue.answer(numbers[0], [1])
        #expect(queue.next() == [1] && queue.next() == nil)
        queue.answer(numbers[1], [2])
        #expect(queue.next() == [2] && queue.next() == [3] && queue.next() == nil)
        #expect(queue.count == 0 && queue.bytes == 0)
    }

    /// With a full window each answer makes room for one more request.
    @Test func anAnswerMovesNoMoreThanItselfOnAverage() {
        var queue = AnswerQueue()
        var waiting = (0..<1_000).map { _ in queue.add(lineBytes: 1) }[...]
        for _ in 0..<100_000 {
            guard let first = waiting.popFirst() else { break }
            queue.answer(first, [1])
            #expect(queue.next() != nil)
            waiting.append(queue.add(lineBytes: 1))
        }
        #expect(queue.moves <= 100_000, "\(queue.moves) moves")
    }
}
