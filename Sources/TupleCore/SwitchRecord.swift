/// The switch: the proxy's durable record of who is active and which servers hold every acknowledged write.
public struct SwitchRecord: Hashable, Sendable {
    public var cluster: ClusterID
    public var epoch: Epoch
    /// Grows by one with every change of the record, so that any two copies of it can be put in order.
    public var version: UInt64
    /// The server that was granted `epoch`.
    public var active: NodeID
    /// Sorted by name; `active` is always among them.
    public var inSync: [NodeID]
    public var rule: ElementRule
    /// The incarnation in which each server was seen last; none of a server that has never told one (release 0.1).
    public var incarnations: [NodeID: Incarnation]

    public init(
        cluster: ClusterID, epoch: Epoch, version: UInt64, active: NodeID, inSync: [NodeID], rule: ElementRule,
        incarnations: [NodeID: Incarnation] = [:]
    ) {
        self.cluster = cluster
        self.epoch = epoch
        self.version = version
        self.active = active
        self.inSync = inSync.sorted()
        self.rule = rule
        self.incarnations = incarnations
    }

    /// Whether its numbers leave no room for a change.
    public var isExhausted: Bool { max(epoch.number, version) >= Limits.maximumNumber }

    /// As release 0.1 knows it.
    public var withoutIncarnations: SwitchRecord {
        var plain = self
        plain.incarnations = [:]
        return plain
    }

    /// What no switch ever recorded, as the name of the field; nil where the record is valid.
    ///
    /// Records come from disks and from the network. None is acted upon before this is nil.
    public var invalidField: String? {
        if cluster == .none { return "cluster" }
        if !(1...Limits.maximumNumber).contains(epoch.number) { return "epoch" }
        if !(1...Limits.maximumNumber).contains(version) { return "version" }
        if !(1...Limits.maximumMembers).contains(inSync.count) { return "in-sync set" }
        if Set(inSync).count != inSync.count { return "in-sync set" }
        if !inSync.contains(active) { return "active server" }
        if incarnations.count > Limits.maximumMembers { return "incarnations" }
        let isCounted = incarnations.values.allSatisfy { (1...Limits.maximumNumber).contains($0.starts) }
        return isCounted ? nil : "incarnations"
    }
}
