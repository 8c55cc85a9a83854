import Replication
import TupleCore

/// How a simulated server keeps its journal: sizes small enough that a short run comes through everything.
package struct DiskSettings: Sendable {
    package var segmentBytes = 8_192
    package var retainedLogBytes = 8_192
    package var snapshotEveryBytes = 16_384
    package var pinnedBytes = ServerJournal.maximumPinnedBytes
    package var scrubInterval = Duration.milliseconds(600)
    package init() {}
}

/// One process of a server as its journal sees it. What it is asked for is forgotten when the process is gone, and waits
/// while it is frozen.
final class HostProcess: JournalProcess {
    private unowned let host: ServerHost
    private let life: Int
    /// When each lane is done with what it has been given.
    private var busyUntil: [DiskLane: Instant] = [:]

    init(_ host: ServerHost) {
        self.host = host
        life = host.life
    }

    var now: Instant { host.moment.instant }

    func after(_ duration: Duration, _ body: @escaping () -> Void) { host.later(duration, body) }

    func every(_ duration: Duration, _ body: @escaping () -> Void) {
        host.later(duration) { [weak self] in
            body()
            self?.every(duration, body)
        }
    }

    /// Nothing takes time here.
    func waiting<T, E: Error>(isKnown: Bool, _ work: () throws(E) -> T) throws(E) -> T { try work() }

    func perform<T: Sendable>(
        _ lane: DiskLane, _ work: @escaping @Sendable () -> T, then: @escaping (T) -> Void
    ) {
        guard life == host.life else { return }
        let begin = max(busyUntil[lane] ?? host.world.now, host.world.now)
        let end = begin.advanced(by: .nanoseconds(host.world.draw(host.world.weather.sync) * host.diskSlowness))
        busyUntil[lane] = end
        host.afterDisk(end.duration(since: host.world.now)) { [unowned host] in
            let life = host.life
            let result = work()
            guard !host.diesIfDiskCallWasLast() else { return }
            then(result)
            if life == host.life { _ = host.diesIfDiskCallWasLast() }
        }
    }
}
