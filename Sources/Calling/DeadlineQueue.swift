import TupleCore

/// Deadlines by number, the earliest first: a binary heap. A deadline that moves later, or whose number has gone, stays
/// until it comes up; what has gone is thrown out as a whole once it is the greater part.
struct DeadlineQueue {
    struct Item {
        var deadline: Instant
        var number: UInt64
    }

    private var items: [Item] = []
    /// Comparisons of two deadlines so far: what the work is measured in.
    private(set) var steps = 0

    var count: Int { items.count }

    /// The earliest of all, also of those that have gone.
    var first: Item? { items.first }

    /// - Complexity: O(log *n*).
    mutating func insert(_ item: Item) {
        items.append(item)
        var at = items.count - 1
        while at > 0 {
            let parent = (at - 1) / 2
            guard isEarlier(at, parent) else { break }
            items.swapAt(at, parent)
            at = parent
        }
    }

    /// - Complexity: O(log *n*).
    mutating func removeFirst() -> Item? {
        guard let first = items.first, let last = items.popLast() else { return nil }
        if !items.isEmpty {
            items[0] = last
            sink(0)
        }
        return first
    }

    /// Throws out what `isThere` says no of, where more than half of the items, and more than 64, can be such.
    ///
    /// - Parameter living: how many numbers there are.
    /// - Complexity: O(1) an insertion, amortized.
    mutating func tidy(living: Int, _ isThere: (UInt64) -> Bool) {
        guard items.count > 2 * living + 64 else { return }
        items.removeAll { !isThere($0.number) }
        for at in stride(from: items.count / 2 - 1, through: 0, by: -1) { sink(at) }
    }

    private mutating func sink(_ start: Int) {
        var at = start
        while true {
            var least = at
            for child in (2 * at + 1)...(2 * at + 2) where child < items.count && isEarlier(child, least) {
                least = child
            }
            guard least != at else { return }
            items.swapAt(at, least)
            at = least
        }
    }

    private mutating func isEarlier(_ a: Int, _ b: Int) -> Bool {
        steps += 1
        return items[a].deadline < items[b].deadline
    }
}
