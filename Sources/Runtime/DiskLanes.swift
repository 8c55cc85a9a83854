package import Replication
package import TupleCore

/// The event loop as a server's journal sees it, with a thread for each lane of disk work.
package final class DiskLanes: JournalProcess {
    private let loop: EventLoop
    private let threads: [DiskLane: DiskThread]
    private let watch: DiskWatch?
    private var timers: [Timer] = []

    /// - Parameter watch: is told where the loop itself waits for the disk.
    package init(on loop: EventLoop, watch: DiskWatch? = nil) {
        self.loop = loop
        self.watch = watch
        var threads: [DiskLane: DiskThread] = [:]
        for lane in DiskLane.allCases { threads[lane] = DiskThread(on: loop) }
        self.threads = threads
    }

    package var now: Instant { loop.now }

    package func after(_ duration: Duration, _ body: @escaping () -> Void) {
        if duration == .zero { loop.soon(body) } else { loop.after(duration, body) }
    }

    package func every(_ duration: Duration, _ body: @escaping () -> Void) {
        let timer = Timer(on: loop, body)
        timer.schedule(after: duration, repeatingEvery: duration)
        timers.append(timer)
    }

    package func waiting<T, E: Error>(isKnown: Bool, _ work: () throws(E) -> T) throws(E) -> T {
        guard let watch else { return try work() }
        return try watch.watching(isKnown: isKnown, work)
    }

    package func perform<T: Sendable>(
        _ lane: DiskLane, _ work: @escaping @Sendable () -> T, then: @escaping (T) -> Void
    ) {
        guard let thread = threads[lane] else { preconditionFailure("every lane has its thread") }
        thread.perform(work, then: then)
    }
}
