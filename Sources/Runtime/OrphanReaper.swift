import Glibc
import Synchronization

/// Process 1 inherits every process of its container whose parent has ended, such as what a fence command leaves behind,
/// and has to wait for them: or they stay in the table for ever.
///
/// The loop waits for the children that were started by ``ChildProcess`` itself; those are left alone here.
package final class OrphanReaper {
    private static let interval = Duration.seconds(1)
    private static let mostAtOnce = 64
    private static let ownChildren = Mutex<Set<Int32>>([])

    private let timer: Timer

    /// - Returns: nil in a process that inherits none.
    package convenience init?(ifNeededOn loop: EventLoop) {
        guard getpid() == 1 else { return nil }
        self.init(on: loop)
    }

    init(on loop: EventLoop) {
        timer = Timer(on: loop) { OrphanReaper.reap() }
        timer.schedule(after: Self.interval, repeatingEvery: Self.interval)
    }

    /// Starts a child of our own, which nobody may wait for before it is known as that.
    ///
    /// - Parameter start: gives its process number, 0 where it was not started.
    static func startingChild(_ start: () -> Int32) {
        ownChildren.withLock { children in
            let number = start()
            if number > 0 { children.insert(number) }
        }
    }

    /// The loop has waited for a child of our own.
    static func childEnded(_ number: Int32) { _ = ownChildren.withLock { $0.remove(number) } }

    /// Waits for those that have ended.
    ///
    /// - Returns: how many there were.
    @discardableResult
    static func reap() -> Int {
        ownChildren.withLock { children in
            for count in 0..<mostAtOnce {
                var found = siginfo_t()
                // Looked at first: it may be one of ours, whose status is the loop's to learn.
                guard waitid(P_ALL, 0, &found, WEXITED | WNOHANG | WNOWAIT) == 0 else { return count }
                let number = found._sifields._sigchld.si_pid
                guard number > 0, !children.contains(number), waitpid(number, nil, WNOHANG) == number else {
                    return count
                }
            }
            return mostAtOnce
        }
    }
}
