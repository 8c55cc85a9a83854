import PythonRegex
import TupleCore

/// A search on its way through a space.
struct SearchRun: ~Copyable {
    private let probe: PairProbe
    private let text: TextSearch?
    private let maximumBytes: Int
    private let cancellation: Cancellation?
    /// Takes in what is found; nil where the result does.
    private let sink: (any PairSink)?
    private(set) var budget: MatchBudget
    private let allowance: UInt64
    /// Whether the allowance is all that the search may still cost.
    private let isWhole: Bool
    private(set) var result = SearchResult(ending: .complete)
    private(set) var cursor: SearchCursor
    /// Why it stands still where it is not over.
    private(set) var pause = SearchPause.slice
    /// The packed key of the pair before which it has stopped.
    private var stop: [UInt8] = []
    /// Pairs that this run has looked at.
    private var passed = 0
    /// So many pages are looked through without a search for the text, because it was in too many of them.
    private var pagesWithoutText: Int
    private var restAfterCrowd: Int

    /// The most pairs of a page that may have the text; in a fuller one it is cheaper to ask about all.
    private static let maximumPlaces = 8
    private static let longestRest = 256

    /// - Parameters:
    ///   - allowance: what this run may cost, at most what the cursor's work is.
    ///   - room: the packed bytes that it may find, sixteen more for each pair, where those are less than the search's own.
    init(
        _ search: Search, from cursor: SearchCursor, allowance: UInt64, isWhole: Bool, room: Int = .max,
        into sink: (any PairSink)?, _ cancellation: Cancellation?, using scratch: MatchScratch
    ) {
        probe = PairProbe(search.expression, using: scratch)
        text = search.plan.text.map { TextSearch($0.text) }
        maximumBytes = min(search.maximumBytes, room)
        budget = MatchBudget(work: allowance)
        self.allowance = allowance
        self.isWhole = isWhole
        self.cursor = cursor
        self.sink = sink
        self.cancellation = cancellation
        pagesWithoutText = cursor.pagesWithoutText
        restAfterCrowd = cursor.restAfterCrowd
        if probe.count > SearchRun.freeProbes { budget.charge(UInt64(probe.count)) }
    }

    /// So many expressions are made ready for a run without being counted.
    private static let freeProbes = 8

    /// Looks at one pair.
    ///
    /// - Returns: whether the search goes on.
    mutating func take(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard !isCancelled, ask(key, value) else { return false }
        passed &+= 1
        return true
    }

    /// Looks at the pairs of a page.
    ///
    /// - Returns: whether the search goes on.
    mutating func take(_ page: PackedMap.PageView, _ slots: Range<Int>) -> Bool {
        if isCancelled { return false }
        guard let text else { return askAll(page, slots) }
        if pagesWithoutText > 0 {
            pagesWithoutText -= 1
            return askAll(page, slots)
        }
        return search(text, page, slots)
    }

    private var isCancelled: Bool {
        mutating get {
            guard cancellation?.isCancelled == true else { return false }
            result.ending = .cancelled
            return true
        }
    }

    private mutating func askAll(_ page: PackedMap.PageView, _ slots: Range<Int>) -> Bool {
        // Copies, so that nothing is counted or checked for each pair.
        let probe = probe
        var budget = budget
        defer { self.budget = budget }
        var slot = slots.lowerBound
        while slot < slots.upperBound {
            let record = page.record(slot)
            let matching = probe.matches(key: record.key, value: record.value, &budget)
            slot &+= 1
            if case .noMatch = matching { continue }
            guard settle(matching, record.key, record.value, &budget, passed: slot &- 1 &- slots.lowerBound) else {
                count(asked: slot &- 1 &- slots.lowerBound)
                return false
            }
        }
        count(asked: slots.count)
        return true
    }

    private mutating func count(asked: Int) {
        cursor.asked &+= asked
        passed &+= asked
    }

    @inline(__always)
    private mutating func ask(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        var budget = budget
        defer { self.budget = budget }
        let matching = probe.matches(key: key, value: value, &budget)
        guard settle(matching, key, value, &budget, passed: 0) else { return false }
        cursor.asked &+= 1
        return true
    }

    /// - Parameter passed: pairs that were passed in this run and are not counted yet.
    private mutating func settle(
        _ matching: MatchResult, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        _ budget: inout MatchBudget, passed: Int
    ) -> Bool {
        switch matching {
        case .noMatch: return true
        case .match: return keep(key, value, &budget)
        case .tooCostly:
            let hasCome = self.passed + passed > 0
            guard budget.isExhausted, !isWhole, hasCome || !cursor.isLong else {
                result.ending = .tooCostly
                return false
            }
            // Where not even one pair was passed, the next run gives that one more time.
            cursor.isLong = !hasCome
            stand(.slice, before: key)
            return false
        }
    }

    private mutating func stand(_ pause: SearchPause, before key: UnsafeRawBufferPointer) {
        self.pause = pause
        stop = [UInt8](key)
    }

    private mutating func keep(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ budget: inout MatchBudget
    ) -> Bool {
        let bytes = key.count + value.count + 16
        guard cursor.foundBytes + bytes <= maximumBytes else {
            result.ending = .tooLarge
            return false
        }
        if let sink {
            guard sink.take(key: key, value: value) else {
                stand(.room, before: key)
                return false
            }
        } else {
            result.pairs.append(Pair(key: Tuple(trustedPacked: key), value: Tuple(trustedPacked: value)))
        }
        cursor.foundBytes += bytes
        cursor.matched += 1
        // What is found is copied, encoded and sent.
        budget.charge(UInt64(bytes &>> SearchRun.bytesPerUnitShift))
        return true
    }

    /// So many bytes of what is found are worth one unit of work, as a power of two.
    private static let bytesPerUnitShift = 4

    // MARK: The text that every match contains

    /// Asks only about the pairs that have the text somewhere, in key order.
    private mutating func search(_ text: TextSearch, _ page: PackedMap.PageView, _ slots: Range<Int>) -> Bool {
        let base = UnsafeRawPointer(page.base)
        let end = page.capacity
        guard budget.charge(UInt64((end &- page.recordStart) &>> 7)) else {
            let record = page.record(slots.lowerBound)
            var none = budget
            return settle(.tooCostly(spent: 0), record.key, record.value, &none, passed: 0)
        }
        var at = text.firstPlace(in: base, from: page.recordStart, to: end)
        if at == end {
            restAfterCrowd = 1
            passed &+= slots.count
            return true
        }
        var found = InlineArray<8, Int>(repeating: 0)
        var count = 0
        var places = 0
        while at < end {
            places &+= 1
            guard places <= SearchRun.maximumPlaces else {
                pagesWithoutText = restAfterCrowd
                restAfterCrowd = min(restAfterCrowd &* 2, SearchRun.longestRest)
                return askAll(page, slots)
            }
            // Bytes of pairs that were removed may still lie between the others.
            var next = at &+ 1
            if let (slot, recordEnd) = page.owner(of: at), at &+ text.count <= recordEnd {
                if slots.contains(slot) {
                    found[count] = slot
                    count &+= 1
                }
                next = recordEnd
            }
            at = text.firstPlace(in: base, from: next, to: end)
        }
        restAfterCrowd = 1
        return ask(&found, count, page, slots)
    }

    private mutating func ask(
        _ slots: inout InlineArray<8, Int>, _ count: Int, _ page: PackedMap.PageView, _ all: Range<Int>
    ) -> Bool {
        // By insertion: they are few.
        for index in 0..<count {
            let slot = slots[index]
            var place = index
            while place > 0, slots[place &- 1] > slot {
                slots[place] = slots[place &- 1]
                place &-= 1
            }
            slots[place] = slot
        }
        for index in 0..<count {
            let record = page.record(slots[index])
            guard ask(record.key, record.value) else {
                passed &+= slots[index] &- all.lowerBound
                return false
            }
        }
        passed &+= all.count
        return true
    }
}

extension PackedMap.PageView {
    /// The pair whose record begins at or before `place` and nearest to it, and where that record ends.
    ///
    /// - Complexity: O(`count`).
    func owner(of place: Int) -> (slot: Int, end: Int)? {
        var best = -1
        var bestOffset = -1
        var slot = 0
        while slot < count {
            let offset = offset(slot)
            if offset <= place, offset > bestOffset {
                bestOffset = offset
                best = slot
            }
            slot &+= 1
        }
        guard best >= 0 else { return nil }
        return (best, bestOffset &+ record(best).size)
    }
}

extension Matcher {
    /// Looks through `space`.
    ///
    /// - Parameters:
    ///   - work: the budget, in units of about ten nanoseconds; see ``Search/Work``.
    ///   - room: the packed bytes that may be found, sixteen more for each pair; beyond, it is too large.
    /// - Complexity: O(pairs in the plan's range), bounded by `work`.
    public func run(
        _ search: Search, in space: Space, work: UInt64, room: Int = .max, cancellation: Cancellation? = nil
    ) -> SearchResult {
        var run = SearchRun(
            search, from: SearchCursor(work: work), allowance: work, isWhole: true, room: room, into: nil, cancellation,
            using: scratch)
        run.look(for: search, in: space.map)
        var result = run.result
        if search.isExplained { result.explanation = search.plan.account(of: run.cursor, in: space) }
        if result.ending != .complete { result.pairs = [] }
        result.examined = run.cursor.examined
        result.work = work - run.cursor.work
        return result
    }
}

extension SearchRun {
    /// Looks at what comes next until it stands still.
    ///
    /// - Returns: whether everything has been looked at.
    @discardableResult
    mutating func look(for search: Search, in map: PackedMap) -> Bool {
        let isDone = lookAtKeys(of: search, in: map) && (search.keys != nil || scan(search.plan.range, map))
        if passed > 0 { cursor.isLong = false }
        cursor.examined += passed
        cursor.work -= allowance - budget.remaining
        cursor.pagesWithoutText = pagesWithoutText
        cursor.restAfterCrowd = restAfterCrowd
        return isDone
    }

    /// Those that are known by name.
    private mutating func lookAtKeys(of search: Search, in map: PackedMap) -> Bool {
        if let keys = search.keys {
            while cursor.keysDone < keys.count {
                guard lookUp(keys[cursor.keysDone].packed, in: map) else { return false }
                cursor.keysDone += 1
            }
        } else if case .exact(let key) = search.plan.keys, !cursor.hasLookedUp {
            guard lookUp(key, in: map) else { return false }
            cursor.hasLookedUp = true
        }
        return true
    }

    private mutating func scan(_ range: (from: [UInt8]?, below: [UInt8]?), _ map: PackedMap) -> Bool {
        // A page is visited only where it has pairs in the range.
        var isDone = true
        SearchRun.withBytes(cursor.next ?? range.from) { from in
            SearchRun.withBytes(range.below) { below in
                map.forEachPage(from: from, below: below) {
                    isDone = take($0, $1)
                    return isDone
                }
            }
        }
        if !isDone { cursor.next = stop }
        return isDone
    }

    private static func withBytes(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
        guard let bytes else { return body(nil) }
        bytes.withUnsafeBytes { body($0) }
    }

    private mutating func lookUp(_ key: [UInt8], in map: PackedMap) -> Bool {
        key.withUnsafeBytes { key in map.withValue(forKey: key) { take(key, $0) } } ?? true
    }
}
