import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

// Where a story must look into a server, or break it.

extension Wire {
    static func tuple(_ text: String) -> Tuple {
        guard let tuple = try? Tuple(elements: [[UInt8](text.utf8)], rule: .text) else {
            preconditionFailure("no tuple: \(text)")
        }
        return tuple
    }

    /// Memory or disk of a server rots: its copy changes without a log entry.
    func damage(_ name: String, _ effect: Effect) {
        let node = node(name)
        guard var state = node.replica?.state else { return }
        var space = state.space
        precondition(space.apply(effect))
        state = ReplicatedState(space: space, sessions: state.sessions, position: state.position, time: state.time)
        node.replica?.state = state
    }
}
