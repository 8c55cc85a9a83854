import CLibUV
import Glibc
import Synchronization
package import TupleCore

/// Says it in the operator log when the event loop itself waits for a disk that does not answer: the loop cannot.
package final class DiskWatch: @unchecked Sendable {
    // Sendable although the logger is not: the thread uses it only under the lock and while the loop is in `watching`,
    // which the loop does not leave without the lock.
    private let logger: Logger
    private let server: NodeID
    private let patience: Duration
    private let state = Mutex(State())
    private let semaphore = Semaphore()

    private struct State {
        /// Since when the loop waits, by `uv_hrtime`; nil where it does not.
        var since: UInt64?
        var isTold = false
        var isEnded = false
    }

    /// How often is looked while the loop waits.
    private static let pauseMicroseconds: UInt32 = 20_000

    /// - Parameter patience: a wait that takes longer is told.
    /// - Throws: when the system gives no thread.
    package init(_ server: NodeID, logger: Logger, patience: Duration) throws(SystemError) {
        self.server = server
        self.logger = logger
        self.patience = patience
        var thread = pthread_t()
        // The process has one watch, which lives as long: no thread outlives what it uses.
        let context = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<DiskWatch>.fromOpaque(context).takeRetainedValue().serve() }
                return nil
            }, context.toOpaque())
        guard status == 0 else {
            context.release()
            throw SystemError(status, doing: "start a thread")
        }
        pthread_detach(thread)
    }

    /// The thread ends as soon as it can.
    package func stop() {
        state.withLock { $0.isEnded = true }
        semaphore.signal()
    }

    /// Does work on the loop's thread that waits for the disk.
    ///
    /// - Parameter isKnown: the operator knows already that the disk does not answer.
    package func watching<T, E: Error>(isKnown: Bool, _ work: () throws(E) -> T) throws(E) -> T {
        guard !isKnown else { return try work() }
        let begin = uv_hrtime()
        state.withLock { $0.since = begin }
        semaphore.signal()
        defer {
            let wasTold = state.withLock { state in
                defer {
                    state.since = nil
                    state.isTold = false
                }
                return state.isTold
            }
            if wasTold { logger.log(.alert, "disk-restored", [("server", server.name)]) }
        }
        return try work()
    }

    private func serve() {
        while true {
            semaphore.wait()
            while look() { usleep(DiskWatch.pauseMicroseconds) }
            if state.withLock({ $0.isEnded }) { return }
        }
    }

    /// - Returns: whether the loop waits.
    private func look() -> Bool {
        state.withLock { state in
            guard let since = state.since, !state.isEnded else { return false }
            if !state.isTold, uv_hrtime() - since > UInt64(patience.wholeNanoseconds) {
                state.isTold = true
                let reason =
                    "a record has not been written for \(patience.wholeMilliseconds) ms; the server stands still"
                logger.log(.alert, "disk", [("server", server.name), ("problem", "stuck"), ("reason", reason)])
            }
            return true
        }
    }
}
