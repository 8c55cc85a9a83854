import CLibUV
import Glibc
import Replication
import TupleStore

/// Where long searches run: on threads below the usual priority, apart from libuv's pool, whose threads sync files.
/// Belongs to the event loop's thread.
final class SearchThreads {
    /// The threads: no more than half of the processors, so that who wakes up finds a free one. The replica hands out no
    /// more than two searches at once.
    private static let count = max(1, min(2, sysconf(Int32(_SC_NPROCESSORS_ONLN)) / 2))
    /// On Linux a thread has a priority of its own.
    private static let niceness: Int32 = 10

    /// A search has ended; called on the loop's thread.
    var onEnd: ((SearchID, SearchOutcome) -> Void)?
    private let loop: EventLoop
    private let queue = Queue()
    private var cancellations: [SearchID: Cancellation] = [:]

    /// - Throws: when the system gives no thread.
    init(on loop: EventLoop) throws(SystemError) {
        self.loop = loop
        for _ in 0..<SearchThreads.count {
            let queue = Unmanaged.passRetained(queue)
            var thread = pthread_t()
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let queue = Unmanaged<Queue>.fromOpaque(argument).takeRetainedValue()
                    // 0 is the calling thread.
                    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, SearchThreads.niceness)
                    let matcher = Matcher()
                    while let job = queue.next() { job(matcher) }
                    return nil
                }, queue.toOpaque())
            guard status == 0 else {
                queue.release()
                stop()
                throw SystemError(status, doing: "start a thread")
            }
            pthread_detach(thread)
        }
    }

    deinit { stop() }

    func start(_ id: SearchID, _ task: SearchTask) {
        let cancellation = Cancellation()
        cancellations[id] = cancellation
        let me = LoopBound(self, on: loop)
        let inbox = loop.inbox
        queue.append { matcher in
            let begin = uv_hrtime()
            let outcome = task.run(
                matcher, cancellation: cancellation, microseconds: { Int((uv_hrtime() - begin) / 1_000) })
            inbox.post { me.value.ended(id, outcome) }
        }
    }

    /// Makes a search end soon; it is reported all the same.
    func cancel(_ id: SearchID) { cancellations[id]?.cancel() }

    /// The threads end as soon as they can; nothing is reported any more.
    func stop() {
        onEnd = nil
        for cancellation in cancellations.values { cancellation.cancel() }
        queue.close()
    }

    private func ended(_ id: SearchID, _ outcome: SearchOutcome) {
        cancellations[id] = nil
        onEnd?(id, outcome)
    }

    /// Sendable although it changes: all of it is guarded by its mutex.
    private final class Queue: @unchecked Sendable {
        typealias Job = @Sendable (Matcher) -> Void
        private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        private var jobs: [Job] = []
        private var isClosed = false

        init() {
            pthread_mutex_init(mutex, nil)
            pthread_cond_init(condition, nil)
        }

        deinit {
            pthread_cond_destroy(condition)
            pthread_mutex_destroy(mutex)
            condition.deallocate()
            mutex.deallocate()
        }

        func append(_ job: @escaping Job) {
            pthread_mutex_lock(mutex)
            jobs.append(job)
            pthread_cond_signal(condition)
            pthread_mutex_unlock(mutex)
        }

        func close() {
            pthread_mutex_lock(mutex)
            isClosed = true
            jobs = []
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }

        /// Waits for a job, for as long as it takes.
        ///
        /// - Returns: nil when there will be none any more.
        func next() -> Job? {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            while jobs.isEmpty, !isClosed { pthread_cond_wait(condition, mutex) }
            return isClosed ? nil : jobs.removeFirst()
        }
    }
}
