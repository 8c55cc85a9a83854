import TupleCore
import TupleStore

/// What must hold of a replica after every step. A simulation checks it; production does not pay for it.
extension Replica {
    /// - Returns: what does not hold, in words; empty where all does.
    /// - Complexity: O(servers).
    public func checkInvariants() -> [String] {
        var broken: [String] = []
        func require(_ condition: Bool, _ what: @autoclosure () -> String) {
            if !condition { broken.append(what()) }
        }
        require(active == nil || passive == nil, "it is active and passive at once")
        require(durable <= state.position.index, "more is durable than there is")
        if let first = unjournaled.first {
            require(
                first.position.index.number + UInt64(unjournaled.count) == state.position.index.number + 1,
                "entries that wait for the journal do not lead up to the state")
        }
        if let active {
            require(record?.active == name, "it is active, and the record names \(record?.active.name ?? "nobody")")
            require(record?.epoch == active.epoch, "it is active in an epoch that is not the record's")
            require(active.tail.last == state.position, "the log in memory does not end where the state is")
            require(active.commit <= state.position.index, "more is committed than there is")
            require(active.commit <= durable, "more is committed than is durable here")
            require(!isInstalling, "it is active while a peer's snapshot is installed")
            require(!isSuspect, "it is active, and its copy is suspect")
            broken += active.searches.checkInvariants()
            for member in (record?.inSync ?? []) + newcomersInDoubt {
                require(required.contains(member), "\(member) is or may be in sync and is not waited for")
            }
        }
        if let passive {
            require(passive.target.name != name, "it follows itself")
            require(
                record.map { $0.epoch >= passive.target.epoch } ?? false, "it follows an epoch that it does not know")
        }
        if case .changeInSync? = pendingSwitch?.kind { require(active != nil, "a passive server changes the set") }
        return broken
    }
}
