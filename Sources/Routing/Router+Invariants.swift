import TupleCore

/// What must hold of a router after every step. A simulation checks it; production does not pay for it.
extension Router {
    /// - Returns: what does not hold, in words; empty where all does.
    /// - Complexity: O(clients · log clients + requests + servers).
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
        checkClients(require)
        return broken
    }

    private func checkClients(_ require: (Bool, @autoclosure () -> String) -> Void) {
        let all = clients.all.map(\.value)
        func sum(_ part: (Client) -> Int) -> Int { all.reduce(0) { $0 + part($1) } }
        require(waitingBytes == sum { $0.requests.bytes }, "the bytes of waiting requests do not add up")
        require(parkedCount == sum { $0.requests.count }, "the unanswered requests do not add up")
        require(budget.charged == sum { $0.reserved + $0.unread }, "what answers are charged with does not add up")
        let present = all.filter { $0.generation == generation }
        require(
            inFlight == present.reduce(0) { $0 + $1.requests.passed }, "the requests in flight do not add up")
        require(
            passedBytes == present.reduce(0) { $0 + $1.requests.passedBytes }, "the bytes in flight do not add up")
        require(
            all.allSatisfy { $0.reserved >= 0 && $0.unread >= 0 && $0.unread >= $0.report?.covers ?? 0 },
            "a client is charged with less than nothing")
        require(
            roster.count == all.count
                && roster.enumerated().allSatisfy { clients[$0.element.number]?.rosterIndex == $0.offset },
            "the roster does not name the clients")
        require(
            Set(all.map(\.source)).allSatisfy { source in
                sources.connections(of: source) == all.count { $0.source == source }
            }, "the connections of a source do not add up")
        require(
            sources.most == Set(all.map(\.source)).map(sources.connections(of:)).max() ?? 0,
            "the source with most connections is another one")
        if suspects.isHolding, case .trying = suspects.phase {
            require(inFlight <= 1, "a suspect request is not alone")
        }
    }
}
