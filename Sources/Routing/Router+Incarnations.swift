import TupleCore
import WireProtocol

/// Whether a server that registers brings what it is recorded to hold (specs/0005, section 6).
extension Router {
    /// The cluster that servers must be of; nil where any may found or rebuild one.
    var clusterOfRecord: ClusterID? { knownCluster ?? newestKnownCluster }

    /// Holds the record against the one that a server brought, and against what it stands on.
    mutating func reconcile(_ register: Register, _ link: ServerLink) {
        if let theirs = register.record, theirs.version > record?.version ?? 0 {
            if !isRebuilding {
                log(
                    .alert, "switch-record-lost",
                    [.init("server", register.name), .init("version", theirs.version)])
            }
            isRebuilding = true
            record = nil
            acknowledged = nil
            // Who is active is to be found out anew.
            if route != nil { routeLost(isLoss: false) }
        }
        if isRebuilding { rebuild(after: register) }
        guard let known = record else { return }
        var judged = known
        if !register.holdsCopy {
            judge(blank: register.name, &judged)
        } else if let reason = contradiction(link, known) ?? shortfall(link, known) {
            judge(stale: link, reason, &judged)
        }
        judged = withIncarnations(judged)
        guard judged != known, !known.isExhausted else { return }
        judged.version += 1
        change(to: judged)
    }

    /// Its data directory is new, or damaged: it does not hold what it is recorded to hold.
    private mutating func judge(blank name: NodeID, _ record: inout SwitchRecord) {
        guard name != unconfirmedFounder, record.inSync.contains(name) else { return }
        #if PLANTED_BUGS
            if PlantedBug.promoteEmptyCopies.isOn { return }
        #endif
        log(.alert, "copy-lost", [.init("server", name)])
        // The set has to name the active server; another member may take over.
        if name != record.active { record.inSync.removeAll { $0 == name } }
    }

    /// It stands on another directory than the one that is recorded, on an older copy of it, or has lost some of it.
    mutating func judge(stale link: ServerLink, _ reason: String, _ record: inout SwitchRecord) {
        guard let name = servers[link]?.name else { return }
        log(.alert, "copy-stale", [.init("server", name), .init("reason", reason)])
        servers[link]?.isStale = true
        if name != record.active { record.inSync.removeAll { $0 == name } }
    }

    /// Why a member of the in-sync set does not continue the incarnation that is recorded; nil where it does, or where
    /// nothing rests on it.
    func contradiction(_ link: ServerLink, _ record: SwitchRecord) -> String? {
        #if PLANTED_BUGS
            if PlantedBug.trustAnyIncarnation.isOn { return nil }
        #endif
        guard let server = servers[link], !server.isStale, let name = server.name, record.inSync.contains(name),
            name != unconfirmedFounder, let known = record.incarnations[name]
        else { return nil }
        return server.lineage?.contradiction(of: known)
    }

    /// Why a member of the in-sync set holds less than was acknowledged; nil where it holds it, as far as is known.
    private func shortfall(_ link: ServerLink, _ record: SwitchRecord) -> String? {
        #if PLANTED_BUGS
            if PlantedBug.trustAnyIncarnation.isOn { return nil }
        #endif
        guard let server = servers[link], !server.isStale, let name = server.name, record.inSync.contains(name),
            name != unconfirmedFounder, let acknowledged
        else { return nil }
        // A process that went on has lost nothing: it only registers anew, and may have done so before it confirmed what the
        // active server has told of since.
        if let life = server.lineage?.incarnation.life, life == record.incarnations[name]?.life { return nil }
        let end = server.position
        let holds = (end.epoch.number, end.index.number) >= (acknowledged.epoch.number, acknowledged.index.number)
        guard !holds else { return nil }
        return "its log ends with entry \(end.index.number) of epoch \(end.epoch.number), and it had confirmed entry "
            + "\(acknowledged.index.number) of epoch \(acknowledged.epoch.number)"
    }

    /// What the active server says is held by every member of the in-sync set.
    mutating func noteAcknowledged(_ commit: LogIndex, in epoch: Epoch) {
        guard epoch == record?.epoch, commit > .zero else { return }
        if let known = acknowledged, known.epoch == epoch, known.index >= commit { return }
        acknowledged = LogPosition(epoch: epoch, index: commit)
    }

    /// The record with the incarnations of all that are registered, but for members that do not hold what they are recorded
    /// to hold: should the right directory come back, it must be known.
    func withIncarnations(_ record: SwitchRecord) -> SwitchRecord {
        var updated = record
        for server in servers.values {
            guard let name = server.name, let lineage = server.lineage,
                server.isEligible || !record.inSync.contains(name)
            else { continue }
            updated.incarnations[name] = lineage.incarnation
        }
        guard updated.incarnations.count > Limits.maximumMembers else { return updated }
        let present = Set(servers.values.compactMap(\.name)).union(record.inSync)
        let others = updated.incarnations.keys.filter { !present.contains($0) }.sorted()
        for name in others.prefix(updated.incarnations.count - Limits.maximumMembers) {
            updated.incarnations[name] = nil
        }
        return updated
    }

    /// Where a member with a stale copy is what is there, and nobody else: what an operator can do.
    func staleReason(_ record: SwitchRecord) -> String? {
        let stale = servers.values.filter(\.isStale).compactMap(\.name).sorted()
        guard let first = stale.first, record.inSync.contains(first) else { return nil }
        return "\(first) stands on a data directory that lacks acknowledged writes: start it on the right one, or let "
            + "'twinspace switchover --accept-data-loss \(first)' make its copy the one that counts"
    }
}
