import CLibUV
import Glibc

/// A child process. Its input is empty; its output and errors go to our standard error. It is waited for by the loop.
package final class ChildProcess: LoopHandle {
    /// How it ended.
    package enum Ending: Hashable, Sendable, CustomStringConvertible {
        case exited(status: Int32)
        case killed(signal: Int32)
        /// It was killed by us, because it took longer than allowed.
        case timedOut

        /// It exited with status 0.
        package var isSuccess: Bool { self == .exited(status: 0) }

        package var description: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .killed(let signal): "killed by signal \(signal)"
            case .timedOut: "killed after its time was over"
            }
        }
    }

    package private(set) var processID: Int32 = 0
    private var handle: UnsafeMutablePointer<uv_process_t>?
    private var onExit: ((Ending) -> Void)?
    private var deadline: Timer?
    private var hasTimedOut = false
    private let ownsGroup: Bool

    /// Starts `arguments[0]`, found through PATH where it has no slash.
    ///
    /// - Parameters:
    ///   - arguments: the program and its arguments; at least one.
    ///   - environment: of the child, complete; nil gives it ours.
    ///   - isDetached: it leads a session of its own: it outlives us, signals from our terminal do not reach it, and
    ///     `kill` reaches its children too.
    ///   - timeout: after which it is killed; nil waits for ever.
    ///   - onExit: called once, unless the loop is closed before.
    /// - Throws: when it cannot be started.
    package init(
        on loop: EventLoop, _ arguments: [String], environment: [String: String]? = nil, isDetached: Bool = true,
        timeout: Duration? = nil, onExit: @escaping (Ending) -> Void
    ) throws(SystemError) {
        precondition(!arguments.isEmpty, "a program is needed")
        self.onExit = onExit
        ownsGroup = isDetached
        let handle = UnsafeMutablePointer<uv_process_t>.allocate(capacity: 1)
        handle.initialize(to: uv_process_t())
        super.init()
        self.handle = handle
        handle.pointee.data = Unmanaged<LoopHandle>.passRetained(self).toOpaque()
        var status: Int32 = 0
        OrphanReaper.startingChild {
            status = ChildProcess.spawn(loop, handle, arguments, environment, isDetached)
            return status == 0 ? handle.pointee.pid : 0
        }
        guard status == 0 else {
            // Even a failed uv_spawn leaves a handle that must be closed.
            close()
            throw SystemError(status, doing: "start \(arguments[0])")
        }
        processID = handle.pointee.pid
        if let timeout {
            let deadline = Timer(on: loop) { [weak self] in
                self?.hasTimedOut = true
                self?.kill()
            }
            deadline.schedule(after: timeout)
            self.deadline = deadline
        }
    }

    /// Sends it `signal`, and where it is detached, all of its session's processes that have not left its group.
    package func kill(_ signal: Int32 = SIGKILL) {
        guard processID > 0, handle != nil else { return }
        _ = Glibc.kill(ownsGroup ? -processID : processID, signal)
    }

    private func exited(_ status: Int64, _ signal: Int32) {
        let ending: Ending =
            hasTimedOut
            ? .timedOut : signal != 0 ? .killed(signal: signal) : .exited(status: Int32(truncatingIfNeeded: status))
        let callback = onExit
        OrphanReaper.childEnded(processID)
        close()
        callback?(ending)
    }

    private func close() {
        onExit = nil
        deadline = nil
        guard let handle else { return }
        self.handle = nil
        uv_close(handle.asHandle) { handle in
            guard let handle, let data = handle.pointee.data else { return }
            Unmanaged<LoopHandle>.fromOpaque(data).release()
            handle.deallocateHandle(uv_process_t.self)
        }
    }

    override func loopIsClosing() { close() }

    private static func spawn(
        _ loop: EventLoop, _ handle: UnsafeMutablePointer<uv_process_t>, _ arguments: [String],
        _ environment: [String: String]?, _ isDetached: Bool
    ) -> Int32 {
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        // Sorted, so that a child's environment is the same each time.
        let pairs = environment.map { $0.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" } }
        var variables: [UnsafeMutablePointer<CChar>?] = (pairs ?? []).map { strdup($0) } + [nil]
        defer { for string in argv + variables { free(string) } }
        return argv.withUnsafeMutableBufferPointer { argv in
            variables.withUnsafeMutableBufferPointer { variables in
                shim_spawn(
                    loop.raw, handle,
                    { handle, status, signal in
                        guard let data = handle?.pointee.data else { return }
                        Unmanaged<ChildProcess>.fromOpaque(data).takeUnretainedValue().exited(status, signal)
                    }, argv.baseAddress, pairs == nil ? nil : variables.baseAddress, isDetached ? 1 : 0)
            }
        }
    }
}
