import Replication
import Routing
import TupleCore

// Replica and router both speak of events and actions; here they stand side by side.

typealias ReplicaEvent = Replication.Event
typealias ReplicaAction = Replication.Action
typealias RouterEvent = Routing.Event
typealias RouterAction = Routing.Action

extension Term {
    /// A tuple as a payload has it: `tuple("user", "42")`.
    static func tuple(_ elements: String...) -> Term { .list(elements.map { .string($0) }) }

    static func pair(_ key: String, _ value: String) -> Term { .list([.tuple(key), .tuple(value)]) }
}

extension Duration {
    static func ms(_ count: Int) -> Duration { .milliseconds(count) }
}

func nodeID(_ name: String) -> NodeID {
    guard let node = NodeID(name) else { preconditionFailure("\(name) is no server's name") }
    return node
}

extension SwitchRecord {
    /// `epoch 2 b [b,c]`: what a story says of the switch.
    var story: String { "epoch \(epoch.number) \(active) [\(inSync.map(\.name).joined(separator: ","))]" }
}

extension LogLine {
    /// `ALERT takeover server=b epoch=2`.
    var story: String {
        ([level.rawValue.uppercased(), event] + fields.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
    }
}
