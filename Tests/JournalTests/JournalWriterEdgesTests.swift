import Testing
import TupleCore

@testable import Journal

/// What the writer says is written, durable and held, at the edges (specs/0004-journal.md).
@Suite struct JournalWriterEdgesTests {
    private func open(_ storage: InMemoryStorage = InMemoryStorage()) throws -> JournalWriter {
        try Recovery.open(storage: storage, settings: small).writer
    }

    /// What is appended while a write is under way is not written when that ends.
    @Test func aWriteIsForWhatWasThereWhenItBegan() throws {
        let writer = try open()
        try writer.append(1...3)
        let request = try #require(try writer.beginSync())
        try writer.append(4...5)
        try writer.completeSync(request.perform())
        #expect(writer.written == position(3) && writer.durable == position(3))
        #expect(writer.cursor(after: .zero)?.through == LogIndex(3))
    }

    /// Nobody reads from where nothing is written yet.
    @Test func noCursorStandsBeyondWhatIsWritten() throws {
        let writer = try open()
        try writer.append(1...3)
        #expect(writer.cursor(after: position(3)) == nil)
        #expect(writer.cursor(after: .zero)?.through == .zero)
        try writer.write()
        #expect(writer.cursor(after: position(3)) != nil)
    }

    /// A snapshot may be ahead of what is durable here: segments that wait for their names stay.
    @Test func whatIsNotDurableIsNotReleased() throws {
        let storage = InMemoryStorage()
        let writer = try open(storage)
        try writer.append(1...60, bytes: 150)
        #expect(writer.segments.count > 2)
        try writeSnapshot(storage, position(60), chunks: [[1]])
        #expect(writer.releaseSegments(coveredBy: LogIndex(60)) == nil)
        try writer.sync()
        #expect(try logNames(storage).sorted() == writer.segments.map(\.name).sorted())
        let count = writer.segments.count
        #expect(writer.releaseSegments(coveredBy: LogIndex(60))?.names.count == count - 1)
    }

    private func cut(_ writer: JournalWriter, after position: LogPosition) throws {
        try writer.sync()
        let removal = try writer.completeTruncation(try writer.beginTruncation(after: position).perform())
        try removal.perform()
    }

    /// After a cut the log may go on with entries of the epoch that it was cut in.
    @Test func whatIsCutOffLeavesNoEpochBehind() throws {
        let writer = try open()
        try writer.append(1...5)
        try writer.append(6...10, epoch: 2)
        try cut(writer, after: position(5))
        try writer.append(6...8)
        #expect(writer.position(at: LogIndex(6)) == position(6))
        #expect(writer.position(at: LogIndex(8)) == position(8))
        try writer.append(record(9, epoch: 3))
        #expect(writer.position(at: LogIndex(9)) == position(9, epoch: 3))
        #expect(writer.position(at: LogIndex(8)) == position(8))
    }

    /// As much as two logs have in common, and no less.
    @Test func theLastCommonPositionIsTheLast() throws {
        let writer = try open()
        for epoch in 1...3 as ClosedRange<UInt64> { try writer.append(5 * epoch - 4...5 * epoch, epoch: epoch) }
        try writer.sync()
        #expect(writer.lastCommonPosition(with: position(20, epoch: 2)) == position(10, epoch: 2))
        #expect(writer.lastCommonPosition(with: position(8, epoch: 2)) == position(8, epoch: 2))
        #expect(writer.lastCommonPosition(with: position(9, epoch: 9)) == position(15, epoch: 3))
        #expect(writer.lastCommonPosition(with: position(1, epoch: 0)) == nil)
    }

    /// The log under a cursor was cut and has grown again as far: what follows is another history.
    @Test func aCursorDoesNotGoOnInAnotherLog() throws {
        let writer = try open()
        try writer.append(1...10)
        try writer.sync()
        var cursor = try #require(writer.cursor(after: .zero))
        for _ in 1...8 { _ = try cursor.next() }
        try cut(writer, after: position(5))
        try writer.append(6...20, epoch: 2)
        try writer.sync()
        #expect(throws: JournalError.superseded) { try writer.refresh(&cursor) }
    }

    /// The scrub reads the last durable entry too.
    @Test(arguments: [1, 11, 12]) func theScrubFindsDamageInEveryEntry(_ number: Int) throws {
        let storage = InMemoryStorage()
        let writer = try open(storage)
        try writer.append(1...12, bytes: 150)
        try writer.sync()
        let begin = SegmentFormat.headerBytes + (number - 1) * SegmentFormat.footprint(payloadBytes: 150)
        storage.flip(bit: 8 * (begin + 60), of: writer.segments[0].name)
        var scrub = writer.scrub(snapshot: nil)
        var damaged: [String] = []
        while true {
            let outcome = scrub.step()
            if case .damaged(let file, _) = outcome { damaged.append(file) }
            if case .done = outcome { break }
        }
        #expect(damaged == [writer.segments[0].name])
    }
}
