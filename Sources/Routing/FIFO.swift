/// A queue in one array: what has left its front is thrown away once it is the larger part.
struct FIFO<Element> {
    private var elements: [Element] = []
    private var head = 0

    /// What is thrown away at once at least, in elements.
    private static var slack: Int { 64 }

    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }

    /// - Complexity: O(1), amortised.
    mutating func append(_ element: Element) { elements.append(element) }

    /// - Complexity: O(1), amortised.
    @discardableResult
    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let first = elements[head]
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.capacity <= FIFO.slack)
            head = 0
        } else if head > FIFO.slack, head > elements.count / 2 {
            elements.removeSubrange(..<head)
            head = 0
        }
        return first
    }
}

extension FIFO: Sendable where Element: Sendable {}
