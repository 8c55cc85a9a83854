import PythonRegex
import TupleCore

/// A search on its way through a space.
struct SearchRun: ~Copyable {
    private let probe: PairProbe
    private let text: TextSearch?
    private let maximumBytes: Int
    private let cancellation: Cancellation?
    private(set) var budget: MatchBudget
    private(set) var result = SearchResult(ending: .complete)
    /// Pairs that the expressions were asked about.
    private(set) var asked = 0
    private var foundBytes = 0
    /// So many pages are looked through without a search for the text, because it was in too many of them.
    private var pagesWithoutText = 0
    private var restAfterCrowd = 1

    /// The most pairs of a page that may have the text; in a fuller one it is cheaper to ask about all.
    private static let maximumPlaces = 8
    private static let longestRest = 256

    init(_ search: Search, work: UInt64, _ cancellation: Cancellation?, using scratch: MatchScratch) {
        probe = PairProbe(search.expression, using: scratch)
        text = search.plan.text.map { TextSearch($0.text) }
        maximumBytes = search.maximumBytes
        budget = MatchBudget(work: work)
        self.cancellation = cancellation
    }

    /// Looks at one pair.
    ///
    /// - Returns: whether the search goes on.
    mutating func take(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        result.examined += 1
        return !isCancelled && ask(key, value)
    }

    /// Looks at the pairs of a page.
    ///
    /// - Returns: whether the search goes on.
    mutating func take(_ page: PackedMap.PageView, _ slots: Range<Int>) -> Bool {
        if isCancelled { return false }
        result.examined += slots.count
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
            slot &+= 1
            let matching = probe.matches(key: record.key, value: record.value, &budget)
            if case .noMatch = matching { continue }
            guard settle(matching, record.key, record.value) else { return false }
        }
        asked &+= slots.count
        return true
    }

    @inline(__always)
    private mutating func ask(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        asked &+= 1
        return settle(probe.matches(key: key, value: value, &budget), key, value)
    }

    private mutating func settle(
        _ matching: MatchResult, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) -> Bool {
        switch matching {
        case .noMatch: return true
        case .match: return keep(key, value)
        case .tooCostly:
            result.ending = .tooCostly
            return false
        }
    }

    private mutating func keep(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        foundBytes += key.count + value.count + 16
        guard foundBytes <= maximumBytes else {
            result.ending = .tooLarge
            return false
        }
        result.pairs.append(Pair(key: Tuple(trustedPacked: key), value: Tuple(trustedPacked: value)))
        return true
    }

    // MARK: The text that every match contains

    /// Asks only about the pairs that have the text somewhere, in key order.
    private mutating func search(_ text: TextSearch, _ page: PackedMap.PageView, _ slots: Range<Int>) -> Bool {
        let base = UnsafeRawPointer(page.base)
        let end = page.capacity
        guard budget.charge(UInt64((end &- page.recordStart) &>> 7)) else {
            result.ending = .tooCostly
            return false
        }
        var at = text.firstPlace(in: base, from: page.recordStart, to: end)
        if at == end {
            restAfterCrowd = 1
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
        return ask(&found, count, page)
    }

    private mutating func ask(_ slots: inout InlineArray<8, Int>, _ count: Int, _ page: PackedMap.PageView) -> Bool {
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
            guard ask(record.key, record.value) else { return false }
        }
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
    /// - Parameter work: the budget, in units of about ten nanoseconds; see ``Search/Work``.
    /// - Complexity: O(pairs in the plan's range), bounded by `work`.
    public func run(
        _ search: Search, in space: Space, work: UInt64, cancellation: Cancellation? = nil
    ) -> SearchResult {
        var run = SearchRun(search, work: work, cancellation, using: scratch)
        run.look(for: search, in: space.map)
        var result = run.result
        if search.isExplained { result.explanation = search.plan.account(of: run, in: space) }
        if result.ending != .complete { result.pairs = [] }
        result.work = work - run.budget.remaining
        return result
    }
}

extension SearchRun {
    mutating func look(for search: Search, in map: PackedMap) {
        if let keys = search.keys {
            for key in keys where !lookUp(key.packed, in: map) { return }
            return
        }
        if case .exact(let key) = search.plan.keys, !lookUp(key, in: map) { return }
        let range = search.plan.range
        guard let from = range.from, let below = range.below else {
            map.forEachPage(from: nil, below: nil) { take($0, $1) }
            return
        }
        from.withUnsafeBytes { from in
            below.withUnsafeBytes { map.forEachPage(from: from, below: $0) { take($0, $1) } }
        }
    }

    private mutating func lookUp(_ key: [UInt8], in map: PackedMap) -> Bool {
        key.withUnsafeBytes { key in map.withValue(forKey: key) { take(key, $0) } } ?? true
    }
}
