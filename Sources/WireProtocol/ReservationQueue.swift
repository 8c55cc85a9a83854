/// A budget of bytes that many share, such as what half-sent frames may take: whoever finds no room waits.
///
/// Those of one source wait in the order in which they came; sources take turns, so that one with many connections does
/// not keep the others out. Nobody overtakes the one whose turn it is: what is large is not starved by what is small.
public struct ReservationQueue<Source: Hashable & Sendable>: Sendable {
    public let capacity: Int
    /// What is given out.
    public private(set) var used = 0

    private var granted: [UInt64: Int] = [:]
    private var waiting: [UInt64: (source: Source, bytes: Int)] = [:]
    /// By source, in order; those who have given up are among them.
    private var queues: [Source: Queue<UInt64>] = [:]
    /// Whose turn it is: each source that has a queue, once.
    private var turns = Queue<Source>()

    public init(capacity: Int) { self.capacity = capacity }

    public var waitingCount: Int { waiting.count }

    /// Asks for `bytes`; more than the whole budget counts as the whole budget.
    ///
    /// - Parameter id: of nobody who has asked and not ended yet.
    /// - Returns: whether they are given; otherwise they are when ``end(_:)`` says so.
    public mutating func ask(_ id: UInt64, bytes: Int, from source: Source) -> Bool {
        precondition(granted[id] == nil && waiting[id] == nil, "one reservation at a time")
        let bytes = min(max(0, bytes), capacity)
        if waiting.isEmpty, used + bytes <= capacity {
            used += bytes
            granted[id] = bytes
            return true
        }
        waiting[id] = (source, bytes)
        if queues[source] == nil { turns.append(source) }
        queues[source, default: Queue()].append(id)
        return false
    }

    /// Gives back what was given to `id`, or withdraws its question.
    ///
    /// - Returns: to whom bytes are given now.
    /// - Complexity: amortised O(1) for each question.
    public mutating func end(_ id: UInt64) -> [UInt64] {
        if let bytes = granted.removeValue(forKey: id) {
            used -= bytes
        } else if let (source, _) = waiting.removeValue(forKey: id) {
            forget(source)
        } else {
            return []
        }
        return grant()
    }

    /// Those who have given up do not pile up behind somebody who waits for long.
    private mutating func forget(_ source: Source) {
        guard var queue = queues[source], queue.count > 2 * waiting.count + 16 else { return }
        queue.removeAll { waiting[$0] == nil }
        queues[source] = queue
    }

    private mutating func grant() -> [UInt64] {
        var fortunate: [UInt64] = []
        while let source = turns.first {
            while let id = queues[source]?.first, waiting[id] == nil { queues[source]?.removeFirst() }
            guard let id = queues[source]?.first, let bytes = waiting[id]?.bytes else {
                queues[source] = nil
                turns.removeFirst()
                continue
            }
            guard used + bytes <= capacity else { break }
            used += bytes
            granted[id] = bytes
            waiting[id] = nil
            queues[source]?.removeFirst()
            fortunate.append(id)
            turns.removeFirst()
            turns.append(source)
        }
        return fortunate
    }
}

/// First in, first out.
private struct Queue<Element: Sendable>: Sendable {
    private var elements: [Element] = []
    private var begin = 0

    var count: Int { elements.count - begin }
    var first: Element? { begin < elements.count ? elements[begin] : nil }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func removeFirst() {
        begin += 1
        if begin == elements.count || begin >= 64 && begin > elements.count / 2 {
            elements.removeSubrange(..<begin)
            begin = 0
        }
    }

    mutating func removeAll(where isGone: (Element) -> Bool) {
        elements = elements[begin...].filter { !isGone($0) }
        begin = 0
    }
}
