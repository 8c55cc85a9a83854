import Glibc
import Synchronization
import TupleCore

/// A thread for one kind of disk work, which is done in order. Unlike libuv's pool it is never busy with something else:
/// a sync does not wait behind a search, nor a heartbeat's name resolution behind a disk that hangs.
package final class DiskThread {
    private typealias Job = @Sendable () -> Void

    /// What is shared with the thread.
    private final class Mailbox: Sendable {
        private let jobs = Mutex<[Job]>([])
        private let isEnded = Atomic<Bool>(false)
        private let semaphore: Semaphore

        init() { semaphore = Semaphore() }

        func put(_ job: @escaping Job) {
            jobs.withLock { $0.append(job) }
            semaphore.signal()
        }

        func end() {
            isEnded.store(true, ordering: .releasing)
            semaphore.signal()
        }

        func serve() {
            while true {
                semaphore.wait()
                let next = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
                guard let next else {
                    if isEnded.load(ordering: .acquiring) { return }
                    continue
                }
                next()
            }
        }
    }

    private let loop: EventLoop
    private let mailbox = Mailbox()

    package init(on loop: EventLoop) {
        self.loop = loop
        var thread = pthread_t()
        let context = Unmanaged.passRetained(mailbox).toOpaque()
        let status = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Mailbox>.fromOpaque(context).takeRetainedValue().serve() }
                return nil
            }, context)
        precondition(status == 0, "a thread cannot be made: \(SystemError.reason(status))")
        pthread_detach(thread)
    }

    deinit { mailbox.end() }

    /// Runs `work` on the thread, after what it was given before, then `then` on the loop's thread with the result.
    package func perform<T: Sendable>(_ work: @escaping @Sendable () -> T, then: @escaping (T) -> Void) {
        let then = LoopBound(then, on: loop)
        let inbox = loop.inbox
        mailbox.put {
            let result = work()
            inbox.post { then.value(result) }
        }
    }
}

/// A counting semaphore (`sem_t`).
final class Semaphore: @unchecked Sendable {
    // Sendable although it holds a pointer: POSIX semaphores are made for several threads, and the memory lives as long
    // as this object.
    private let raw = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(raw, 0, 0) }

    deinit {
        sem_destroy(raw)
        raw.deallocate()
    }

    func signal() { sem_post(raw) }
    func wait() { while sem_wait(raw) != 0 {} }

    /// Waits for so long at most, by looking each millisecond.
    ///
    /// - Returns: false where nothing was signalled.
    func wait(atMost limit: Duration) -> Bool {
        for _ in 0..<max(0, limit.wholeMilliseconds) {
            if sem_trywait(raw) == 0 { return true }
            usleep(1_000)
        }
        return sem_trywait(raw) == 0
    }
}
