import TupleCore

/// Numbers in the order in which they were last moved to the end, as a doubly linked list whose links lie in a table.
///
/// Every operation looks at three numbers at most, however many there are.
struct RecencyOrder: Sendable {
    private struct Links: Sendable {
        /// 0 where there is none.
        var older: UInt64
        var newer: UInt64
    }

    private var links = ShardedMap<Links>()
    private(set) var oldest: UInt64?
    private(set) var newest: UInt64?

    init() {}

    var count: Int { links.count }

    func contains(_ number: UInt64) -> Bool { links.place(of: number) != nil }

    /// What follows a number, nil after the newest.
    ///
    /// - Parameter number: nil gives the oldest; one that is not there any more gives nil.
    func number(after number: UInt64?) -> UInt64? {
        guard let number else { return oldest }
        guard let place = links.place(of: number) else { return nil }
        let newer = links[at: place].newer
        return newer == 0 ? nil : newer
    }

    /// - Precondition: the number is not there.
    mutating func append(_ number: UInt64) {
        precondition(links.place(of: number) == nil, "a number has one place in the order")
        links[number] = Links(older: newest ?? 0, newer: 0)
        if let newest { setNewer(of: newest, number) } else { oldest = number }
        newest = number
    }

    /// Nothing happens where the number is not there.
    mutating func remove(_ number: UInt64) {
        guard let place = links.place(of: number) else { return }
        let found = links[at: place]
        links[number] = nil
        if found.older == 0 {
            oldest = found.newer == 0 ? nil : found.newer
        } else {
            setNewer(of: found.older, found.newer)
        }
        if found.newer == 0 {
            newest = found.older == 0 ? nil : found.older
        } else {
            setOlder(of: found.newer, found.older)
        }
    }

    mutating func moveToEnd(_ number: UInt64) {
        guard newest != number else { return }
        remove(number)
        append(number)
    }

    private mutating func setNewer(of number: UInt64, _ newer: UInt64) {
        guard let place = links.place(of: number) else { preconditionFailure("a link leads nowhere") }
        links[at: place].newer = newer
    }

    private mutating func setOlder(of number: UInt64, _ older: UInt64) {
        guard let place = links.place(of: number) else { preconditionFailure("a link leads nowhere") }
        links[at: place].older = older
    }
}
