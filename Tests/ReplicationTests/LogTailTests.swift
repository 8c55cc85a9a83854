import Testing
import TupleCore

@testable import Replication

@Suite struct LogTailTests {
    private static func tail(_ count: Int) -> LogTail {
        var tail = LogTail(base: .zero)
        for number in 1...count {
            tail.append(
                JournalEntry(
                    position: LogPosition(epoch: Epoch(1), index: LogIndex(UInt64(number))),
                    bytes: [UInt8](repeating: 1, count: 10)[...]))
        }
        return tail
    }

    @Test func whatNobodyNeedsGoesBeforeWhatSomebodyNeeds() {
        var tail = Self.tail(100)
        tail.trim(neededAfter: LogIndex(40), rest: 200, most: 10_000)
        #expect(tail.base.index == LogIndex(40), "sixty are needed, though that is more than the rest")
        tail.trim(neededAfter: LogIndex(100), rest: 200, most: 10_000)
        #expect(tail.base.index == LogIndex(80))
        #expect(tail.byteCount == 200)
        tail.trim(neededAfter: LogIndex(0), rest: 0, most: 50)
        #expect(tail.base.index == LogIndex(95), "a follower that needs too much is left to the journal")
        #expect(tail.entries(after: LogIndex(94), bytes: 100) == nil)
        #expect(tail.entries(after: LogIndex(95), bytes: 100)?.entries.count == 5)
    }

    /// As many as fit, and one in any case.
    @Test(arguments: [(1, 1), (10, 1), (19, 1), (20, 2), (29, 2), (1_000, 5)])
    func aRunKeepsItsBound(bytes: Int, count: Int) {
        #expect(Self.tail(5).entries(after: .zero, bytes: bytes)?.entries.count == count)
        #expect(Self.tail(5).entries(after: LogIndex(5), bytes: bytes)?.entries.isEmpty == true)
    }

    @Test func manyGoAndComeWithoutAGap() {
        var tail = Self.tail(5_000)
        tail.trim(neededAfter: LogIndex(4_990), rest: 0, most: 1_000_000)
        #expect(tail.base.index == LogIndex(4_990))
        tail.append(
            JournalEntry(position: LogPosition(epoch: Epoch(1), index: LogIndex(5_001)), bytes: [1, 2, 3]))
        #expect(tail.entries(after: LogIndex(5_000), bytes: 1)?.entries.first?.bytes.count == 3)
        #expect(tail.contains(LogPosition(epoch: Epoch(1), index: LogIndex(4_995))))
        #expect(!tail.contains(LogPosition(epoch: Epoch(1), index: LogIndex(4_985))))
    }
}
