import Glibc

/// The process's standard streams.
enum Terminal {
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Colour: on terminals only, and not where `NO_COLOR` is set to anything (no-color.org) or the terminal is dumb.
    static func style(_ descriptor: Int32, environment: [String: String]) -> Style {
        let isUnwanted = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
        return Style(isOn: !isUnwanted && isTerminal(descriptor))
    }

    /// Writes all of `bytes`, however long that takes.
    ///
    /// - Returns: 0, or the error number.
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        bytes.withUnsafeBytes { buffer in
            var sent = 0
            while sent < buffer.count {
                let count = Glibc.write(descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent)
                if count >= 0 {
                    sent += count
                } else if errno == EAGAIN {
                    // Somebody who shares the stream has made it non-blocking.
                    var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = Glibc.poll(&poll, 1, 1_000)
                } else if errno != EINTR {
                    return errno
                }
            }
            return 0
        }
    }

    static func writeError(_ text: String) { _ = write([UInt8](text.utf8), to: STDERR_FILENO) }
}

/// Standard output with a buffer. Where nobody reads it any more, the process ends there and then, as others do by
/// SIGPIPE; where it cannot be written, with a message.
final class OutputStream {
    private var buffer: [UInt8] = []
    private static let bufferBytes = 65_536
    /// What shells show for a process that SIGPIPE ended.
    private static let brokenPipeExitCode: Int32 = 141

    func write(_ bytes: [UInt8]) {
        buffer.append(contentsOf: bytes)
        if buffer.count >= OutputStream.bufferBytes { flush() }
    }

    func flush() {
        guard !buffer.isEmpty else { return }
        let error = Terminal.write(buffer, to: STDOUT_FILENO)
        buffer.removeAll(keepingCapacity: true)
        guard error != 0 else { return }
        if error == EPIPE { _exit(OutputStream.brokenPipeExitCode) }
        Terminal.writeError("\(Product.name): cannot write to standard output: \(String(cString: strerror(error)))\n")
        _exit(ExitCode.localFile.rawValue)
    }
}
