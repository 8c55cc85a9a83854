import TupleCore
import TupleStore
import WireProtocol

/// One step of a ``SearchTask``, on the thread that takes it.
struct SearchStep {
    let matcher: Matcher
    let sizes: StreamSizes
    let cancellation: Cancellation?

    // MARK: GET

    func get(_ slice: SearchTask.GetSlice, _ microseconds: () -> Int?) -> SearchOutcome {
        var paced = slice.search
        let before = paced.cursor.work
        var outcome = SearchOutcome(.slice, work: 0)
        switch compiled(&paced, isRemoval: false) {
        case .failure(let failure): outcome.end = failure.end
        case .success(nil): break
        case .success(let search?):
            let sink = PartSink(paced, sizes, window: slice.window)
            let pause = matcher.run(
                search, in: slice.space, from: &paced.cursor, slice: sizes.slice, into: sink,
                cancellation: cancellation)
            paced.microseconds += microseconds() ?? 0
            paced.part = sink.part
            paced.isLong = sink.isLong
            outcome.end = end(pause, &paced, sink, search, slice.space)
            outcome.chunks = sink.chunks
            outcome.beginsAnswer = !paced.hasBegun && !sink.chunks.isEmpty
            paced.hasBegun = paced.hasBegun || !sink.chunks.isEmpty
        }
        outcome.work = max(1, before - min(before, paced.cursor.work))
        outcome.search = paced
        return outcome
    }

    private func end(
        _ pause: SearchPause, _ paced: inout PacedSearch, _ sink: PartSink, _ search: Search, _ space: Space
    ) -> SearchOutcome.End {
        switch pause {
        case .slice: return .slice
        case .room: return sink.isWindowUsedUp ? .window : .full
        case .ended(.complete):
            if paced.isCounting {
                paced.explanation = account(of: search, paced, in: space)
                if paced.isLong {
                    paced.isCounting = false
                    paced.cursor.restart(work: Search.Work.request)
                    paced.part = AnswerPart()
                    return .slice
                }
            }
            sink.chunks.append(
                paced.part.payload(explanation: paced.hasBegun || !sink.chunks.isEmpty ? "" : paced.explanation))
            paced.part = AnswerPart()
            return .complete
        case .ended(let ending): return failure(ending, search, paced, space)
        }
    }

    private func failure(
        _ ending: SearchResult.Ending, _ search: Search, _ paced: PacedSearch, _ space: Space
    ) -> SearchOutcome.End {
        guard var answer = SearchResult(ending: ending).failure else { preconditionFailure("it is complete") }
        if case .cancelled = ending { return .cancelled }
        if paced.isExplained { answer.explanation = account(of: search, paced, in: space) }
        return .answered(answer)
    }

    private func account(of search: Search, _ paced: PacedSearch, in space: Space) -> String {
        let time = paced.microseconds > 0 ? "; \(paced.microseconds) µs" : ""
        return matcher.account(of: search, paced.cursor, in: space) + time
    }

    // MARK: DELETE

    func delete(_ slice: SearchTask.DeleteSlice, _ microseconds: () -> Int?) -> SearchOutcome {
        var paced = slice.search
        let before = paced.cursor.work
        var outcome = SearchOutcome(.slice, work: 0)
        switch compiled(&paced, isRemoval: true) {
        case .failure(let failure): outcome.end = failure.end
        case .success(nil): break
        case .success(let search?):
            let sink = FoundSink()
            outcome.keys = slice.keys.map { .sorted($0.sorted) }
            let restricted = outcome.keys.map { search.restricted(to: $0.sorted) } ?? search
            let pause = matcher.run(
                restricted, in: slice.space, from: &paced.cursor, slice: sizes.slice, into: sink,
                cancellation: cancellation)
            paced.microseconds += microseconds() ?? 0
            outcome.pairs = sink.pairs
            switch pause {
            case .slice, .room: break
            case .ended(.complete):
                if paced.isExplained, paced.explanation.isEmpty {
                    paced.explanation = account(of: search, paced, in: slice.space)
                }
                outcome.end = .complete
            case .ended(let ending): outcome.end = failure(ending, search, paced, slice.space)
            }
        }
        outcome.work = max(1, before - min(before, paced.cursor.work))
        outcome.search = paced
        return outcome
    }

    // MARK: Expressions

    private struct Failure: Error { let end: SearchOutcome.End }

    /// - Returns: nil where compiling goes on in the next step.
    private func compiled(_ paced: inout PacedSearch, isRemoval: Bool) -> Result<Search?, Failure> {
        do throws(Failure) {
            if case .unread(let payload) = paced.question {
                paced.question = .compiling(try read(payload, isRemoval: isRemoval))
            }
            guard case .compiling(var compilation) = paced.question else {
                guard case .read(let search) = paced.question else { preconditionFailure("it was read") }
                return .success(search)
            }
            let ending: SearchCompilation.Ending?
            do throws(ExpressionError) {
                ending = try compilation.run(
                    matcher, slice: sizes.slice, budget: &paced.cursor.work, cancellation: cancellation)
            } catch {
                throw Failure(end: .answered(Decision(malformed: error).answer))
            }
            switch ending {
            case nil:
                paced.question = .compiling(compilation)
                return .success(nil)
            case .done(let search)?:
                paced.question = .read(search)
                // What takes much memory may need to wait for it before it goes on.
                return .success(search.byteCount > Searches.smallExpressionBytes ? nil : search)
            case .failed(.cancelled)?: throw Failure(end: .cancelled)
            case .failed(let ending)?: throw Failure(end: .answered(SearchResult(ending: ending).failure ?? Answer()))
            }
        } catch {
            return .failure(error)
        }
    }

    private func read(_ payload: ArraySlice<UInt8>, isRemoval: Bool) throws(Failure) -> SearchCompilation {
        let request: Request
        do throws(DecodingError) {
            request = try Request(decoding: payload)
        } catch {
            throw Failure(
                end: .answered(Answer(status: .malformed, message: "the request cannot be read (\(error))")))
        }
        do throws(ExpressionError) {
            return try SearchCompilation(request.payload, isRemoval: isRemoval)
        } catch {
            throw Failure(end: .answered(Decision(malformed: error).answer))
        }
    }

    // MARK: Stored outcomes

    func cut(_ bytes: [UInt8], from begin: StoredAnswerCursor, window: Int) -> SearchOutcome {
        var cursor = begin
        var left = window
        var outcome = SearchOutcome(.slice, work: 1)
        do throws(DecodingError) {
            while !cursor.isAtEnd, left > 0 {
                let part = try cursor.next(of: bytes, atMost: sizes.chunk)
                left -= part.count
                outcome.work += UInt64(part.count >> 4)
                outcome.chunks.append(part)
            }
        } catch {
            preconditionFailure("an outcome that this service encoded cannot be decoded: \(error)")
        }
        outcome.beginsAnswer = !begin.hasBegun
        outcome.stored = cursor
        outcome.end = cursor.isAtEnd ? .complete : .window
        return outcome
    }
}

/// Puts what a GET finds into frames, as far as they may be sent.
private final class PartSink: PairSink {
    var part: AnswerPart
    var chunks: [[UInt8]] = []
    private(set) var isLong: Bool
    private let sizes: StreamSizes
    private let explanation: String
    private let isCounting: Bool
    private var hasBegun: Bool
    /// nil where no frame may be made but the only one.
    private var window: Int?

    init(_ paced: PacedSearch, _ sizes: StreamSizes, window: Int?) {
        part = paced.part
        isLong = paced.isLong
        isCounting = paced.isCounting
        explanation = paced.explanation
        hasBegun = paced.hasBegun
        self.sizes = sizes
        self.window = window
    }

    var isWindowUsedUp: Bool { window.map { $0 <= 0 } ?? false }

    func take(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
        if isCounting, isLong { return true }
        let bytes = key.count + value.count + 16
        if isCounting || window == nil {
            guard part.byteCount + bytes <= sizes.room else {
                guard isCounting else { return false }
                isLong = true
                part = AnswerPart()
                return true
            }
        } else if !part.isEmpty, part.byteCount + bytes > sizes.chunk {
            send()
            if isWindowUsedUp { return false }
        }
        part.add(key: key, value: value)
        return true
    }

    private func send() {
        let payload = part.payload(explanation: hasBegun ? "" : explanation)
        hasBegun = true
        window = window.map { $0 - payload.count }
        chunks.append(payload)
        part = AnswerPart()
    }
}

private final class FoundSink: PairSink {
    var pairs: [Pair] = []

    func take(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
        pairs.append(Pair(key: Tuple(trustedPacked: key), value: Tuple(trustedPacked: value)))
        return true
    }
}
