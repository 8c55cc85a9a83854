import CLibUV

/// A timer on a loop, one-shot or repeating, that can be scheduled again and again. It never fires early; how late is
/// up to the loop's other work. A timer that its owner lets go of is cancelled.
package final class Timer: LoopHandle {
    private var handle: UnsafeMutablePointer<uv_timer_t>?
    private let loop: EventLoop
    private let callback: () -> Void

    /// An idle timer; `schedule` starts it.
    package init(on loop: EventLoop, _ callback: @escaping () -> Void) {
        self.loop = loop
        self.callback = callback
        let handle = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)
        self.handle = handle
        super.init()
        uv_timer_init(loop.raw, handle)
        handle.pointee.data = Unmanaged<LoopHandle>.passUnretained(self).toOpaque()
    }

    deinit { close() }

    /// Fires once after `delay`, then every `period` where one is given. What was scheduled before is forgotten.
    /// A `delay` of zero or less fires in the next iteration. Resolution: one millisecond.
    package func schedule(after delay: Duration, repeatingEvery period: Duration? = nil) {
        guard let handle else { return }
        // The loop's own clock is as old as the current iteration, and is cut to milliseconds: hence the two fixes.
        loop.willUpdateTime()
        uv_update_time(loop.raw)
        let repetition = period.map { max(1, Timer.milliseconds($0)) } ?? 0
        let initial = delay <= .zero ? 0 : Timer.milliseconds(delay) + 1
        uv_timer_start(
            handle,
            { handle in
                guard let data = handle?.pointee.data else { return }
                let timer = Unmanaged<Timer>.fromOpaque(data).takeUnretainedValue()
                timer.callback()
            }, initial, repetition)
    }

    /// Stops it; it can be scheduled again.
    package func cancel() {
        guard let handle else { return }
        uv_timer_stop(handle)
    }

    /// True from `schedule` until it has fired for the last time or was cancelled.
    package var isScheduled: Bool { handle.map { uv_is_active($0.asHandle) != 0 } ?? false }

    override func loopIsClosing() { close() }

    private func close() {
        guard let handle else { return }
        self.handle = nil
        handle.pointee.data = nil
        uv_close(handle.asHandle) { $0?.deallocateHandle(uv_timer_t.self) }
    }

    /// Rounded up, so as never to be early; at most a year, which nobody waits for.
    private static func milliseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        guard seconds >= 0 else { return 0 }
        guard seconds < 366 * 86_400 else { return 366 * 86_400_000 }
        return UInt64(seconds) * 1000 + UInt64((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}

extension EventLoop {
    /// Runs `callback` once, after `delay`. The timer keeps itself until then; `cancel()` it to be rid of it.
    @discardableResult
    package func after(_ delay: Duration, _ callback: @escaping () -> Void) -> OneShot {
        OneShot(on: self, delay, callback)
    }

    /// A single call in the future.
    package final class OneShot {
        private var timer: Timer?

        fileprivate init(on loop: EventLoop, _ delay: Duration, _ callback: @escaping () -> Void) {
            // The timer's closure and this object hold each other until it fires or is cancelled.
            timer = Timer(on: loop) {
                self.cancel()
                callback()
            }
            timer?.schedule(after: delay)
        }

        package func cancel() { timer = nil }
    }
}
