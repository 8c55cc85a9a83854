import TupleCore

/// What must hold of a router after every step. A simulation checks it; production does not pay for it.
extension Router {
    /// - Returns: what does not hold, in words; empty where all does.
    /// - Complexity: O(clients + servers).
    public func checkInvariants() -> [String] {
        var broken: [String] = []
        func require(_ condition: Bool, _ what: @autoclosure () -> String) {
            if !condition { broken.append(what()) }
        }
        if let record {
            require(record.inSync.contains(record.active), "the active server is not in the in-sync set")
            require(Set(record.inSync).count == record.inSync.count, "the in-sync set names a server twice")
            require(record.epoch > .zero && record.version > 0, "the record has no epoch or version")
        }
        if let route {
            require(servers[route] != nil, "the route leads to a connection that is gone")
            require(servers[route]?.name == record?.active, "the route leads to another server than the active one")
        }
        if let probe { require(probe.askers.isEmpty == (probe.deadline == nil), "a probe that ends for nobody") }
        let names = servers.values.compactMap(\.name)
        require(Set(names).count == names.count, "two connections have the same name")
        require(
            waitingBytes == clients.all.reduce(0) { $0 + $1.value.requests.bytes },
            "the bytes of waiting requests do not add up")
        return broken
    }
}
