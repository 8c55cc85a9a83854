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

    public init(
        cluster: ClusterID, epoch: Epoch, version: UInt64, active: NodeID, inSync: [NodeID], rule: ElementRule
    ) {
        self.cluster = cluster
        self.epoch = epoch
        self.version = version
        self.active = active
        self.inSync = inSync.sorted()
        self.rule = rule
    }
}
