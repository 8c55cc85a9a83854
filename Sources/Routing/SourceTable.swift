import TupleCore

/// How many connections each source has, and which has most: who gives way when all slots are taken.
///
/// A source stands for where connections come from: an IPv4 address, or an IPv6 network of 64 bits, as a number.
struct SourceTable: Sendable {
    private struct Source {
        var count = 0
        /// Sources with as many connections are linked with each other.
        var next: UInt32?
        var previous: UInt32?
        /// Its connections, those that were looked at last at the end; gone ones among them.
        var connections = FIFO<ConnectionIndicator>()
    }

    private var sources: [UInt32: Source] = [:]
    /// The first source that has so many connections.
    private var firstOf: [UInt32?] = [nil]
    /// What the source with most connections has.
    private(set) var most = 0

    /// Sources with a connection.
    var count: Int { sources.count }

    func connections(of source: UInt32) -> Int { sources[source]?.count ?? 0 }

    /// A source that has ``most`` connections; nil where there is none.
    var largest: UInt32? { firstOf[most] }

    /// - Complexity: O(1), amortised.
    mutating func add(_ id: ConnectionIndicator, of source: UInt32, isThere: (ConnectionIndicator) -> Bool) {
        let before = sources[source]?.count ?? 0
        if before > 0 { unlink(source, before) } else { sources[source] = Source() }
        sources[source]?.count = before + 1
        link(source, before + 1)
        sources[source]?.connections.append(id)
        // Two for one: gone ones do not gather.
        for _ in 0..<2 {
            guard let oldest = sources[source]?.connections.popFirst() else { break }
            if isThere(oldest) || oldest == id { sources[source]?.connections.append(oldest) }
        }
        most = max(most, before + 1)
    }

    /// - Complexity: O(1).
    mutating func remove(of source: UInt32) {
        guard let before = sources[source]?.count else { return }
        unlink(source, before)
        if before == 1 {
            sources[source] = nil
        } else {
            sources[source]?.count = before - 1
            link(source, before - 1)
        }
        // It had most alone: now it has one less, and still most.
        if firstOf[most] == nil { most -= 1 }
    }

    /// The next connections of a source to be looked at, `count` at most; each comes again after all the others.
    mutating func look(at count: Int, of source: UInt32, _ body: (ConnectionIndicator) -> (isThere: Bool, goesOn: Bool))
    {
        let rounds = min(count, sources[source]?.connections.count ?? 0)
        for _ in 0..<rounds {
            guard let id = sources[source]?.connections.popFirst() else { return }
            let (isThere, goesOn) = body(id)
            if isThere { sources[source]?.connections.append(id) }
            guard goesOn else { return }
        }
    }

    private mutating func link(_ source: UInt32, _ count: Int) {
        while firstOf.count <= count { firstOf.append(nil) }
        let next = firstOf[count]
        sources[source]?.next = next
        sources[source]?.previous = nil
        if let next { sources[next]?.previous = source }
        firstOf[count] = source
    }

    private mutating func unlink(_ source: UInt32, _ count: Int) {
        guard let entry = sources[source] else { return }
        if let previous = entry.previous { sources[previous]?.next = entry.next } else { firstOf[count] = entry.next }
        if let next = entry.next { sources[next]?.previous = entry.previous }
    }
}
