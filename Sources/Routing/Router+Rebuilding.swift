import TupleCore
import WireProtocol

/// A lost record of the switch: put together again from the servers, or decided by an operator (specs/0005, section 8).
extension Router {
    /// What the registered servers know of the record, and who has to be asked yet.
    private struct Knowledge {
        var newest: SwitchRecord
        /// Members of the newest set that have not registered with data of this cluster.
        var missing: [NodeID]
    }

    /// Nil where no registered server has a record.
    private var knowledge: Knowledge? {
        let known = servers.values.compactMap(\.record)
        // Of the same version the smallest set was the switch's own: an active server may bring a wider one, with those
        // that it has asked for. Nobody knows whether the switch took them in, so they are waited for, but need not count.
        // A server of release 0.1 brings it without incarnations.
        let newest = known.max {
            ($0.version, $1.inSync.count, $0.incarnations.count) < ($1.version, $0.inSync.count, $1.incarnations.count)
        }
        guard let newest else { return nil }
        // A server with a new data directory knows of no change: it does not count.
        let present = Set(servers.values.filter { $0.record?.cluster == newest.cluster }.compactMap(\.name))
        let equals = known.filter { $0.cluster == newest.cluster && $0.version == newest.version }
        return Knowledge(newest: newest, missing: Set(equals.flatMap(\.inSync)).subtracting(present).sorted())
    }

    /// The cluster of the newest record that servers bring.
    var newestKnownCluster: ClusterID? { knowledge?.newest.cluster }

    /// The newest record that a server has seen counts once every server of its in-sync set is here: each later change of
    /// the switch would be known to at least one of them.
    mutating func rebuild(after register: Register) {
        guard let knowledge else { return }
        let newest = knowledge.newest
        #if PLANTED_BUGS
            if PlantedBug.rebuildFromOne.isOn {
                isRebuilding = false
                change(to: newest)
                return
            }
        #endif
        guard knowledge.missing.isEmpty else {
            log(.warn, "rebuilding", [.init("waiting-for", Router.list(knowledge.missing))])
            if knowledge.missing.contains(register.name) {
                log(.alert, "copy-lost", [.init("server", register.name), .init("reason", rebuildingReason)])
            }
            return
        }
        isRebuilding = false
        var judged = newest
        for link in servers.keys.sorted() {
            guard servers[link]?.holdsCopy == true, let reason = contradiction(link, newest) else { continue }
            judge(stale: link, reason, &judged)
        }
        if judged != newest, !newest.isExhausted { judged.version += 1 }
        change(to: judged)
        log(.alert, "switch-record-rebuilt", [.init("epoch", newest.epoch.number), .init("active", newest.active)])
    }

    /// What a lost record waits for, and what an operator can do about it.
    var rebuildingReason: String {
        guard let missing = knowledge?.missing else { return "the switch's record is being rebuilt from the servers" }
        return "the switch's record is lost, and not rebuilt before \(Router.list(missing)) registers with its data; "
            + "where they are lost too, 'twinspace switchover --accept-data-loss NAME' makes NAME's copy the one that counts"
    }

    private static func list(_ names: [NodeID]) -> String { names.map(\.name).joined(separator: ",") }

    /// How much higher than all that is known epoch and version are after an operator's decision: higher than what the
    /// lost record may have come to since. An epoch must not be granted twice, nor an older record win.
    static let leap: UInt64 = 1_000_000

    /// An operator says whose copy counts, although a member that would know of a newer record is missing. The server
    /// asks for the switch itself then, as one that comes back.
    ///
    /// - Returns: nil where it was done, else why not.
    mutating func decideRebuilding(for wanted: NodeID?, acceptDataLoss: Bool) -> String? {
        guard let newest = knowledge?.newest, acceptDataLoss, let wanted else { return rebuildingReason }
        guard let (link, server) = servers.first(where: { $0.value.name == wanted }) else {
            return "\(wanted) is not registered"
        }
        guard server.record?.cluster == newest.cluster else { return "\(wanted) has no data of this cluster" }
        guard max(newest.epoch.number, newest.version) <= Limits.maximumNumber - Router.leap else {
            return "the record's epochs or versions are used up"
        }
        let decided = SwitchRecord(
            cluster: newest.cluster, epoch: Epoch(newest.epoch.number + Router.leap),
            version: newest.version + Router.leap, active: wanted, inSync: [wanted], rule: newest.rule,
            incarnations: newest.incarnations)
        isRebuilding = false
        if route != nil { routeLost(isLoss: false) }
        servers[link]?.isStale = false
        acknowledged = nil
        change(to: decided)
        log(
            .alert, "switchover",
            [
                .init("server", wanted), .init("from", newest.active), .init("epoch", decided.epoch.number),
                .init("dataLossAccepted", true),
            ])
        if !server.holdsCopy { act(.sendToServer(link, Frame(Header(.trust)))) }
        broadcast()
        return nil
    }
}
