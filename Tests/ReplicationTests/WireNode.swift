import Replication
import TupleCore
import TupleStore
import WireProtocol

/// A server's process, where it runs, and its disk.
final class Node {
    let settings: ReplicaSettings
    var name: String { String(settings.address.dropLast(2)) }
    var disk = Disk()
    var replica: Replica?
    var isFrozen = false
    /// How far its wall clock is off.
    var wallOffsetMilliseconds: Int64 = 0
    /// While set, nothing becomes durable.
    var isDiskHeld = false
    var needsFlush = false
    /// Written, not yet durable.
    var unsynced: [JournalEntry] = []
    var installing: ReplicatedState?
    /// Searches that run elsewhere, and those of them that nobody wants any more.
    var searches: [(id: SearchID, task: SearchTask)] = []
    var cancelled: Set<SearchID> = []
    /// While set, no search ends.
    var areSearchesHeld = false
    var connectAt: Instant?
    var tickAt = Instant(nanoseconds: 0)
    /// How the process ended by itself.
    var ended: Ending?

    init(_ settings: ReplicaSettings) { self.settings = settings }

    var runs: Bool { replica != nil && !isFrozen }
    var role: String { replica?.status.role ?? "down" }
    var state: String { replica?.status.state ?? "down" }
    var value: (String) -> String? {
        { [replica] key in
            guard let tuple = try? Tuple(elements: [[UInt8](key.utf8)], rule: .text) else { return nil }
            return replica?.state.space.value(of: tuple)?.elements.first.map { String(decoding: $0, as: UTF8.self) }
        }
    }
}

/// What a data directory holds durably.
struct Disk {
    var record: SwitchRecord?
    var isSuspect = false
    private(set) var state: ReplicatedState?
    /// The entries since the last snapshot, and its position.
    private var log: [JournalEntry] = []
    private var base = LogPosition.zero
    private(set) var problem: String?
    /// Whether it is a new one: nothing was ever made durable on it.
    var isWiped: Bool { state == nil && record == nil }

    mutating func take(_ entries: ArraySlice<JournalEntry>) {
        for entry in entries {
            do {
                let decoded = try LogEntry(decoding: entry.bytes[...])
                if state == nil { state = ReplicatedState(rule: .text) }
                try state?.apply(decoded)
                log.append(entry)
            } catch { problem = "entry \(entry.position.index.number): \(error)" }
        }
    }

    mutating func install(_ snapshot: ReplicatedState) {
        state = snapshot
        base = snapshot.position
        log = []
    }

    /// What it has of the log after `position`.
    func run(after position: LogPosition) -> JournalRun {
        if position == base { return .entries(log) }
        guard let known = log.firstIndex(where: { $0.position == position }) else { return .lacking(common: nil) }
        return .entries(Array(log[(known + 1)...]))
    }

    /// The state as it is read back, through the snapshot's own format.
    func recovered(_ rule: ElementRule) -> ReplicatedState {
        guard let state else { return ReplicatedState(rule: record?.rule ?? rule) }
        var encoder = SnapshotEncoder(state)
        var decoder = SnapshotDecoder()
        var read: ReplicatedState?
        while let chunk = encoder.next() {
            do { read = try decoder.append(chunk) } catch { preconditionFailure("a snapshot cannot be read: \(error)") }
        }
        guard let read else { preconditionFailure("a snapshot without an end") }
        guard read.space.rule != rule, state.space.rule == .text else { return read }
        // Entries do not carry the rule; a journal without a snapshot takes it from the record.
        var space = Space(rule: record?.rule ?? rule)
        read.space.forEachPair { space.apply(.added($0)) }
        return ReplicatedState(space: space, sessions: read.sessions, position: read.position, time: read.time)
    }
}
