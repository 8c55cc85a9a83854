package import TupleCore
package import WireProtocol

/// A connection that carries frames. What is no frame ends it.
package final class FrameConnection {
    package let connection: Connection
    package var onFrame: ((Frame) -> Void)?
    /// In place of `onFrame`: what came in one read, as a run, unless it is very much.
    package var onRun: ((FrameRun) -> Void)?
    /// Once, with the reason in words.
    package var onClose: ((String) -> Void)?

    /// When the bytes came in which the present frame ended: one moment for all frames that came together.
    package private(set) var receivedAt = Instant(nanoseconds: 0)

    /// Frames in one run at most: so many more than a client may have on its way are taken from it before it is paused.
    private static let maximumRun = 128

    private let intake: Intake
    private var decoder: FrameDecoder
    private var failure: String?
    private var isClosed = false
    private var isPaused = false

    /// A frame that has begun to come.
    private struct Partial {
        /// Frames before it.
        let number: UInt64
        /// Since when it could have come.
        var began: Instant
        var reservation: IncomingBudget.Reservation?
        var isWaiting = false
        /// Its time was over when it was looked at last.
        var isLate = false
    }
    private var partial: Partial?
    private var watch: Timer?
    private var isWatching = false

    /// - Parameter allowsSource: see ``FrameDecoder/init(limits:allowsSource:)``.
    package init(_ connection: Connection, intake: Intake = .trusted, allowsSource: Bool = false) {
        self.connection = connection
        self.intake = intake
        decoder = FrameDecoder(limits: intake.limits, allowsSource: allowsSource)
        if intake.budget != nil { connection.readSize = Limits.unreservedFrameBytes }
        connection.onBytes = { [weak self] bytes in self?.received(bytes) }
        connection.onClose = { [weak self] reason in
            guard let self, !self.isClosed else { return }
            self.isClosed = true
            self.partial = nil
            self.watch = nil
            self.onClose?(self.failure ?? "\(reason)")
        }
    }

    /// Bytes of memory that are held for what has not been handed on.
    package var heldBytes: Int { decoder.heldBytes }

    package func send(_ frame: Frame) {
        guard !isClosed else { return }
        connection.send { frame.encode(into: &$0) }
    }

    package func send(_ run: FrameRun) {
        guard !isClosed else { return }
        run.withUnsafeBytes { connection.send($0) }
    }

    package func close() { connection.close() }

    /// Closes when what was sent has left; nothing more is taken in.
    package func closeAfterFlush() {
        onFrame = nil
        onRun = nil
        partial = nil
        watch = nil
        connection.closeAfterFlush()
    }

    /// While paused nothing is read, and what was read already waits.
    package func pause(_ paused: Bool) {
        guard paused != isPaused else { return }
        isPaused = paused
        updateReading()
        guard !paused else { return }
        // It was not the peer's fault that nothing came.
        partial?.began = connection.loop.now
        deliver()
        notePartial()
    }

    private func updateReading() {
        if isPaused || partial?.isWaiting == true { connection.pauseReading() } else { connection.resumeReading() }
    }

    private func received(_ bytes: UnsafeRawBufferPointer) {
        decoder.append(bytes)
        deliver()
        if decoder.pendingBytes > 0 || partial != nil { notePartial() }
    }

    private func deliver() {
        receivedAt = connection.loop.now
        defer { if decoder.frameCount > 0 { connection.isIdentified = true } }
        do throws(FrameError) {
            if onRun != nil {
                while !isClosed, !isPaused, let run = try decoder.nextRun(atMost: FrameConnection.maximumRun) {
                    onRun?(run)
                    connection.loop.handled(frames: run.count)
                }
            } else {
                while !isClosed, !isPaused, let frame = try decoder.next() { onFrame?(frame) }
            }
        } catch {
            end(saying: error.explanation)
        }
    }

    /// A client that speaks another version or another protocol is told why, as far as it can understand it.
    private func end(saying words: String) {
        failure = words
        connection.send { Refused(message: words).frame.encode(into: &$0) }
        closeAfterFlush()
    }

    // MARK: Frames that are not whole

    private func notePartial() {
        guard intake.isTimed, connection.isOpen else { return }
        if let partial, partial.number != decoder.frameCount {
            if partial.reservation != nil { connection.readSize = Limits.unreservedFrameBytes }
            self.partial = nil
        }
        guard decoder.pendingBytes > 0 else { return }
        if partial == nil { partial = Partial(number: decoder.frameCount, began: receivedAt) }
        if let budget = intake.budget, partial?.reservation == nil, !isPaused { reserve(of: budget) }
        keepWatch()
    }

    private func reserve(of budget: IncomingBudget) {
        guard let bytes = decoder.pendingFrameBytes, bytes > Limits.unreservedFrameBytes + Header.byteCount else {
            return
        }
        let me = LoopBound(WeakReference(self), on: connection.loop)
        let (reservation, isGranted) = budget.ask(bytes: bytes, from: connection.peer?.host ?? "") {
            me.post { $0.value?.granted() }
        }
        partial?.reservation = reservation
        if isGranted { return granted() }
        partial?.isWaiting = true
        updateReading()
    }

    /// There is room for the whole frame.
    private func granted() {
        guard partial?.reservation != nil, connection.isOpen else { return }
        partial?.isWaiting = false
        partial?.began = connection.loop.now
        decoder.reservePending()
        connection.readSize = EventLoop.readBufferSize
        updateReading()
        keepWatch()
    }

    /// Looks again later; where it is going to already, it is left at that.
    private func keepWatch() {
        guard !isWatching, let partial, !partial.isWaiting else { return }
        let bytes = decoder.pendingFrameBytes ?? 0
        let end = partial.began.advanced(by: Intake.time(forFrameOf: bytes))
        var pause = max(end.duration(since: connection.loop.now), .milliseconds(100))
        if partial.reservation != nil { pause = min(pause, Intake.stallTime) }
        let watch = self.watch ?? Timer(on: connection.loop) { [weak self] in self?.look() }
        self.watch = watch
        isWatching = true
        watch.schedule(after: pause)
    }

    private func look() {
        isWatching = false
        guard let partial, !partial.isWaiting, !isPaused, connection.isOpen else { return }
        let now = connection.loop.now
        let isOver = now.duration(since: partial.began) >= Intake.time(forFrameOf: decoder.pendingFrameBytes ?? 0)
        let last = max(partial.began, receivedAt)
        let isStalling =
            partial.reservation != nil && now.duration(since: last) >= Intake.stallTime
            && (intake.budget?.waitingCount ?? 0) > 0
        // What had arrived while this process was stopped has been read before the second look.
        if isOver || isStalling, partial.isLate { return end(saying: "a frame took too long") }
        self.partial?.isLate = isOver || isStalling
        keepWatch()
    }
}

/// For what is posted to somebody who may be gone by then.
private struct WeakReference<Object: AnyObject> {
    weak var value: Object?
    init(_ value: Object) { self.value = value }
}
