import CLibUV
import Glibc
import Synchronization
package import TupleCore

/// A single-threaded event loop on libuv. Everything that belongs to it (timers, connections, listeners…) is created,
/// used and released on one thread, the one that makes the loop and calls `run()`; only its `inbox` may be used from
/// others.
///
/// One iteration: timers, then whatever the kernel reported (reads, accepts, finished work), then what other threads have
/// posted, then the `afterEvents` callbacks, then one flush of every connection that has something to send; only then
/// does it sleep, or first look for events for a moment (``BusyPolling``). Batching (journal appends, answers) belongs in
/// `afterEvents`.
package final class EventLoop {
    /// How many bytes one read takes at most; the buffer is one for the whole loop.
    package static let readBufferSize = 256 * 1024
    /// How many frames are handled before what came of them leaves. Fewer cost system calls, more have the next process
    /// wait with nothing to do.
    private static let framesPerFlush = 128
    /// How many connections are written to before the loop looks for what has arrived: a write to a client takes longer
    /// than all else that is done for it, and whoever the next request is for waits meanwhile.
    private static let connectionsPerFlush = 25

    let raw: UnsafeMutablePointer<uv_loop_t>
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: EventLoop.readBufferSize, alignment: 16)
    /// The way in for other threads.
    package let inbox: Inbox

    private let prepare = UnsafeMutablePointer<uv_prepare_t>.allocate(capacity: 1)
    private let check = UnsafeMutablePointer<uv_check_t>.allocate(capacity: 1)
    private let idle = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)
    private var afterEventsCallbacks: [(_ isEarly: Bool) -> Void] = []
    private var soonCallbacks: [() -> Void] = []
    /// Which iteration this is.
    private(set) var iteration: UInt64 = 0
    private var meter = TurnMeter()
    /// When the running turn began, in the loop's own time; nil before anything of it has run.
    private var turnBegan: UInt64?
    let busyPolling: Duration
    private var polling: BusyPolling
    /// Since when there has been nothing to do.
    private var waitingSince: Int64?
    private var unflushedFrames = 0
    private var unflushed: [Connection] = []
    private var flushing: [Connection] = []
    private enum Life { case open, closing, closed }
    private var life = Life.open
    private let threadID = pthread_self()

    /// The calling thread is the loop's from now on. Also sets the process to ignore SIGPIPE.
    ///
    /// - Parameter busyPolling: for how long events are looked for, where that pays, before it sleeps.
    /// - Throws: when the kernel gives no descriptor for the loop.
    package init(busyPolling: Duration = .zero) throws(SystemError) {
        self.busyPolling = busyPolling
        polling = BusyPolling(window: busyPolling)
        Signal.ignoreBrokenPipes()
        let async = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
        raw = .allocate(capacity: 1)
        inbox = Inbox(Inbox.WakeUp(handle: async))
        var status = uv_loop_init(raw)
        if status == 0 {
            status = uv_async_init(raw, async) { handle in
                guard let data = handle?.pointee.data else { return }
                Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue().inbox.deliver()
            }
        }
        guard status == 0 else { throw SystemError(status, doing: "create an event loop") }
        uv_prepare_init(raw, prepare)
        uv_check_init(raw, check)
        uv_idle_init(raw, idle)
        let me = Unmanaged.passUnretained(self).toOpaque()
        async.pointee.data = me
        prepare.pointee.data = me
        check.pointee.data = me
        idle.pointee.data = me
        uv_prepare_start(prepare) { handle in
            guard let data = handle?.pointee.data else { return }
            Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue().finishIteration()
        }
        uv_unref(prepare.asHandle)
        uv_check_start(check) { handle in
            guard let data = handle?.pointee.data else { return }
            Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue().hasWokenUp()
        }
        uv_unref(check.asHandle)
    }

    deinit {
        close()
        readBuffer.deallocate()
        raw.deallocate()
        prepare.deallocate()
        check.deallocate()
        idle.deallocate()
    }

    // MARK: Clocks

    /// The monotonic clock, read afresh.
    package var now: Instant { Instant(nanoseconds: Int64(truncatingIfNeeded: uv_hrtime())) }

    /// Milliseconds since 1970 UTC; it may jump.
    package func wallClockMilliseconds() -> Int64 { WallClock.milliseconds() }

    /// How long everybody else has waited for one turn at most, since the start and of late: with an error of two
    /// milliseconds upwards.
    package var longestTurn: (ever: Duration, ofLate: Duration) { (meter.longest, meter.longestOfLate(at: now)) }

    /// To be called before the loop's own time is set forward in the middle of a turn.
    func willUpdateTime() {
        if turnBegan == nil { turnBegan = uv_now(raw) }
    }

    private func turnEnds() {
        guard let began = turnBegan else { return }
        turnBegan = nil
        meter.turned(from: Instant(nanoseconds: Int64(truncatingIfNeeded: began &* 1_000_000)), to: now)
    }

    // MARK: Running

    /// Runs until `stop()` is called. What was sent before that is flushed as far as the kernel takes it.
    package func run() {
        precondition(life == .open, "the event loop is closed")
        precondition(isOnItsThread, "the event loop runs on the thread that made it")
        uv_run(raw, UV_RUN_DEFAULT)
        flush(isEarly: false)
        // There is no iteration to come for those that it has left out.
        flushConnections(atMost: .max)
    }

    /// Makes `run()` return after the current iteration; before `run()`, makes it return at once.
    package func stop() { uv_stop(raw) }

    /// True on the thread that owns the loop.
    package var isOnItsThread: Bool { pthread_equal(threadID, pthread_self()) != 0 }

    /// Runs `closure` on the loop's thread. Callable from any thread through `inbox`; after `close()` it is dropped.
    package func post(_ closure: @escaping @Sendable () -> Void) { inbox.post(closure) }

    /// Runs `callback` in the next iteration, without sleeping before it: for slicing long work.
    package func soon(_ callback: @escaping () -> Void) {
        guard life != .closed else { return }
        soonCallbacks.append(callback)
        startIdling()
    }

    /// Runs `callback` once an iteration, when all events of that iteration have been handled and before anything is
    /// flushed; and, with `isEarly`, each time that very many frames have been. Callbacks run in the order they were
    /// added, and stay until the loop is closed.
    package func afterEvents(_ callback: @escaping (_ isEarly: Bool) -> Void) { afterEventsCallbacks.append(callback) }

    /// Runs `work` on a thread of libuv's pool (four, unless `UV_THREADPOOL_SIZE` says otherwise; name resolution
    /// uses the same pool), then `then` on the loop's thread with its result.
    package func offload<T: Sendable>(_ work: @escaping @Sendable () -> T, then: @escaping (T) -> Void) {
        let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)
        request.pointee.data = Unmanaged<OffloadedWork>.passRetained(TypedWork(work, then)).toOpaque()
        let status = uv_queue_work(
            raw, request,
            { request in
                guard let data = request?.pointee.data else { return }
                Unmanaged<OffloadedWork>.fromOpaque(data).takeUnretainedValue().run()
            },
            { request, _ in
                guard let request, let data = request.pointee.data else { return }
                let work = Unmanaged<OffloadedWork>.fromOpaque(data).takeRetainedValue()
                request.deallocate()
                work.finish()
            })
        precondition(status == 0, "uv_queue_work fails only without a work function")
    }

    /// Closes everything that lives on the loop, running its last callbacks (`onClose` of each connection among
    /// them), and gives its descriptors back. Waits for offloaded work. The loop cannot run again.
    package func close() {
        guard life == .open else { return }
        life = .closing
        if let wakeUp = inbox.shut() {
            uv_close(wakeUp.handle.asHandle) { $0?.deallocateHandle(uv_async_t.self) }
        }
        uv_close(prepare.asHandle, nil)
        uv_close(check.asHandle, nil)
        uv_close(idle.asHandle, nil)
        // Closing runs callbacks of owners, which may open something new: hence as often as it takes.
        repeat {
            uv_walk(
                raw,
                { handle, _ in
                    guard let handle, uv_is_closing(handle) == 0, let data = handle.pointee.data else { return }
                    Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue().loopIsClosing()
                }, nil)
            uv_run(raw, UV_RUN_ONCE)
            let late = soonCallbacks
            soonCallbacks = []
            for callback in late { callback() }
        } while uv_loop_alive(raw) != 0 || !soonCallbacks.isEmpty
        life = .closed
        afterEventsCallbacks = []
        unflushed = []
        let status = uv_loop_close(raw)
        assert(status == 0, "a handle was left on the loop")
    }

    // MARK: The end of an iteration

    /// Has `connection` flushed before the loop sleeps.
    func needsFlush(_ connection: Connection) { unflushed.append(connection) }

    /// Counts frames that this iteration has handled. When they are many, what came of them leaves before the others are
    /// handled: whoever waits for it can go on meanwhile.
    func handled(frames: Int) {
        unflushedFrames += frames
        if unflushedFrames >= EventLoop.framesPerFlush { flush(isEarly: true) }
    }

    private func finishIteration() {
        inbox.deliverWhileAwake()
        flush(isEarly: false)
        turnEnds()
        if polling.window > 0, uv_is_active(idle.asHandle) == 0 { lookForEvents() }
        if !inbox.fallsAsleep() { startIdling() }
        iteration &+= 1
    }

    private static func monotonicNanoseconds() -> Int64 { Int64(truncatingIfNeeded: uv_hrtime()) }

    /// Returns when there is something to do, and when the polling's window is over. Timers and what libuv has not told the
    /// kernel yet are late by that much.
    private func lookForEvents() {
        let begin = EventLoop.monotonicNanoseconds()
        waitingSince = begin
        guard polling.pays(at: begin) else { return }
        var events = pollfd(fd: uv_backend_fd(raw), events: Int16(POLLIN), revents: 0)
        while poll(&events, 1, 0) == 0, !inbox.seemsFull {
            let offer = EventLoop.monotonicNanoseconds()
            sched_yield()
            guard polling.goesOn(from: begin, offer: offer, to: EventLoop.monotonicNanoseconds()) else { return }
        }
    }

    private func hasWokenUp() {
        willUpdateTime()
        inbox.hasWokenUp()
        guard let since = waitingSince else { return }
        waitingSince = nil
        polling.waited(for: EventLoop.monotonicNanoseconds() - since)
    }

    private func flush(isEarly: Bool) {
        unflushedFrames = 0
        for callback in afterEventsCallbacks { callback(isEarly) }
        flushConnections()
        if !unflushed.isEmpty { startIdling() }
    }

    /// Has what was sent so far leave at once: for an `afterEvents` callback that has something longer to do.
    func flushConnections(atMost limit: Int = EventLoop.connectionsPerFlush) {
        // What a flush sends in its turn (a producer that hears of drained bytes) waits for the next iteration, lest
        // one fast reader keep everyone else from being served.
        swap(&unflushed, &flushing)
        var left = limit
        for connection in flushing where connection.isFlushedFirst { connection.flushFromLoop() }
        for connection in flushing where !connection.isFlushedFirst {
            if left > 0 {
                left -= 1
                connection.flushFromLoop()
            } else {
                unflushed.append(connection)
            }
        }
        flushing.removeAll(keepingCapacity: true)
    }

    private func startIdling() {
        guard life == .open else { return }
        uv_idle_start(idle) { handle in
            guard let data = handle?.pointee.data else { return }
            Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue().idled()
        }
    }

    private func idled() {
        uv_idle_stop(idle)
        let callbacks = soonCallbacks
        soonCallbacks = []
        for callback in callbacks { callback() }
    }
}

extension EventLoop {
    /// The loop's mailbox, for other threads: closures come out on the loop's thread, in the order they were posted.
    package final class Inbox: Sendable {
        /// Sendable although it is a pointer: it is used under the lock only, by the one call of libuv that is safe on
        /// any thread, and by the loop once it has been taken out.
        fileprivate struct WakeUp: @unchecked Sendable {
            let handle: UnsafeMutablePointer<uv_async_t>
        }
        private struct State: Sendable {
            var closures: [@Sendable () -> Void] = []
            var wakeUp: WakeUp?
        }
        private let state: Mutex<State>
        /// The loop is about to sleep, or sleeps, or has not begun to run: it must be woken up. Set under the lock while there
        /// is no closure; whoever finds it unset can leave the waking to the loop, which looks under the lock before it sleeps.
        private let isAsleep = Atomic<Bool>(true)
        /// Whether a look is worth a lock.
        private let hasClosures = Atomic<Bool>(false)

        fileprivate init(_ wakeUp: WakeUp) { state = Mutex(State(wakeUp: wakeUp)) }

        package func post(_ closure: @escaping @Sendable () -> Void) {
            state.withLock { state in
                // The wake-up is sent inside the lock so that the loop cannot close the handle in between.
                guard let wakeUp = state.wakeUp else { return }
                state.closures.append(closure)
                guard state.closures.count == 1 else { return }
                hasClosures.store(true, ordering: .relaxed)
                // A wake-up is two system calls here and two there.
                if isAsleep.load(ordering: .relaxed) { uv_async_send(wakeUp.handle) }
            }
        }

        /// From now on, what is posted is dropped.
        fileprivate func shut() -> WakeUp? {
            state.withLock { state in
                let wakeUp = state.wakeUp
                state = State()
                return wakeUp
            }
        }

        fileprivate func deliver() {
            let closures = state.withLock { state in
                let closures = state.closures
                state.closures = []
                hasClosures.store(false, ordering: .relaxed)
                return closures
            }
            for closure in closures { closure() }
        }

        fileprivate var seemsFull: Bool { hasClosures.load(ordering: .relaxed) }

        /// What came while the loop was busy: nobody sent a wake-up for it.
        fileprivate func deliverWhileAwake() {
            if hasClosures.load(ordering: .relaxed) { deliver() }
        }

        /// Says that the loop is going to sleep.
        ///
        /// - Returns: false where there is something to do instead.
        fileprivate func fallsAsleep() -> Bool {
            state.withLock { state in
                guard state.closures.isEmpty else { return false }
                isAsleep.store(true, ordering: .relaxed)
                return true
            }
        }

        fileprivate func hasWokenUp() { isAsleep.store(false, ordering: .relaxed) }
    }
}

/// Carries something of the loop's thread through other threads and back; it can be looked at on the loop's thread only.
package final class LoopBound<Value>: @unchecked Sendable {
    // Sendable although `Value` may not be: `value` traps on any thread but the loop's.
    private let loop: EventLoop
    private let wrapped: Value

    package init(_ value: Value, on loop: EventLoop) {
        self.loop = loop
        wrapped = value
    }

    /// Answers on any thread.
    package var isOnLoopsThread: Bool { loop.isOnItsThread }

    /// Has `body` run with the value on the loop's thread; callable on any. After the loop is closed it is dropped.
    package func post(_ body: @escaping @Sendable (Value) -> Void) {
        loop.inbox.post { body(self.value) }
    }

    /// - Precondition: called on the loop's thread.
    package var value: Value {
        precondition(loop.isOnItsThread, "a value of the loop was touched on another thread")
        return wrapped
    }
}

private class OffloadedWork {
    func run() {}
    func finish() {}
}

private final class TypedWork<T: Sendable>: OffloadedWork {
    private let work: @Sendable () -> T
    private let then: (T) -> Void
    private var result: T?

    init(_ work: @escaping @Sendable () -> T, _ then: @escaping (T) -> Void) {
        self.work = work
        self.then = then
    }

    override func run() { result = work() }
    override func finish() { if let result { then(result) } }
}
