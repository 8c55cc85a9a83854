import TupleCore

/// What is going to happen in a world, and when: a binary heap. What is due at the same instant happens in the order in
/// which it was put in.
struct EventQueue {
    enum Event {
        /// What is on its way in this direction of a link has arrived.
        case arrival(Link, side: Int)
        /// A server's loop has come to the end of its turn.
        case turnEnds(ServerHost, life: Int)
        case serverTick(ServerHost, life: Int)
        case proxyTick(life: Int)
        /// Anything that happens less often.
        case call(() -> Void)
    }

    private struct Entry {
        var time: Int64
        var order: UInt64
        var event: Event
    }

    private var heap: [Entry] = []
    private var lastOrder: UInt64 = 0

    var nextTime: Instant? { heap.first.map { Instant(nanoseconds: $0.time) } }

    /// - Complexity: O(log n).
    mutating func add(_ event: Event, at time: Instant) {
        lastOrder += 1
        heap.append(Entry(time: time.nanoseconds, order: lastOrder, event: event))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// - Precondition: the queue is not empty.
    mutating func pop() -> Event {
        heap.swapAt(0, heap.count - 1)
        let first = heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { break }
            heap.swapAt(parent, least)
            parent = least
        }
        return first.event
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        heap[a].time != heap[b].time ? heap[a].time < heap[b].time : heap[a].order < heap[b].order
    }
}
