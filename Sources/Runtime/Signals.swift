import CLibUV
import Glibc

/// What the outside may signal to a daemon.
package enum Signal: Sendable, CaseIterable {
    /// SIGTERM: stop in good order.
    case terminate
    /// SIGINT: the same, from a terminal.
    case interrupt
    /// SIGHUP: open the log file again.
    case hangUp

    var number: Int32 {
        switch self {
        case .terminate: SIGTERM
        case .interrupt: SIGINT
        case .hangUp: SIGHUP
        }
    }
}

extension Signal {
    /// Has the process ignore SIGPIPE: a reader that goes away must cost an error code, not the process. Everything
    /// here that writes to sockets or pipes calls it; children get the default back.
    static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }
}

/// A handler of one signal, on the loop's thread as any other event; it stays until `close()`.
package final class SignalHandler: LoopHandle {
    private var handle: UnsafeMutablePointer<uv_signal_t>?
    private var callback: (() -> Void)?

    /// - Throws: when the handler cannot be installed.
    package init(on loop: EventLoop, _ signal: Signal, _ callback: @escaping () -> Void) throws(SystemError) {
        self.callback = callback
        let handle = UnsafeMutablePointer<uv_signal_t>.allocate(capacity: 1)
        super.init()
        let status = uv_signal_init(loop.raw, handle)
        guard status == 0 else {
            handle.deallocate()
            throw SystemError(status, doing: "handle signals")
        }
        handle.pointee.data = Unmanaged<LoopHandle>.passRetained(self).toOpaque()
        self.handle = handle
        let started = uv_signal_start(
            handle,
            { handle, _ in
                guard let data = handle?.pointee.data else { return }
                Unmanaged<SignalHandler>.fromOpaque(data).takeUnretainedValue().callback?()
            }, signal.number)
        guard started == 0 else {
            close()
            throw SystemError(started, doing: "handle signals")
        }
    }

    package func close() {
        callback = nil
        guard let handle else { return }
        self.handle = nil
        uv_close(handle.asHandle) { handle in
            guard let handle, let data = handle.pointee.data else { return }
            Unmanaged<LoopHandle>.fromOpaque(data).release()
            handle.deallocateHandle(uv_signal_t.self)
        }
    }

    override func loopIsClosing() { close() }
}

extension SignalHandler {
    /// What a daemon does on signals. A signal that cannot be handled is told: it then does what it does by default.
    static func ofDaemon(
        on loop: EventLoop, _ logger: Logger, reopening: @escaping () -> Void, ending: @escaping () -> Void
    ) -> [SignalHandler] {
        Signal.allCases.compactMap { signal in
            let callback =
                switch signal {
                case .terminate, .interrupt: ending
                case .hangUp: reopening
                }
            do throws(SystemError) { return try SignalHandler(on: loop, signal, callback) } catch {
                logger.log(.warning, "signal-not-handled", [("signal", "\(signal)"), ("reason", "\(error)")])
                return nil
            }
        }
    }
}
