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

    private var decoder: FrameDecoder
    private var failure: String?
    private var isClosed = false
    private var isPaused = false

    /// - Parameter allowsSource: see ``FrameDecoder/init(allowsSource:)``.
    package init(_ connection: Connection, allowsSource: Bool = false) {
        self.connection = connection
        decoder = FrameDecoder(allowsSource: allowsSource)
        connection.onBytes = { [weak self] bytes in self?.received(bytes) }
        connection.onClose = { [weak self] reason in
            guard let self, !self.isClosed else { return }
            self.isClosed = true
            self.onClose?(self.failure ?? "\(reason)")
        }
    }

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
        connection.closeAfterFlush()
    }

    /// While paused nothing is read, and what was read already waits.
    package func pause(_ paused: Bool) {
        guard paused != isPaused else { return }
        isPaused = paused
        if paused {
            connection.pauseReading()
        } else {
            connection.resumeReading()
            deliver()
        }
    }

    private func received(_ bytes: UnsafeRawBufferPointer) {
        decoder.append(bytes)
        deliver()
    }

    private func deliver() {
        receivedAt = connection.loop.now
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
            failure = error.explanation
            // A client that speaks another version or another protocol is told why, as far as it can understand it.
            connection.send { Refused(message: error.explanation).frame.encode(into: &$0) }
            onFrame = nil
            onRun = nil
            connection.closeAfterFlush()
        }
    }
}
