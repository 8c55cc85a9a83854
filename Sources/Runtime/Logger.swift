import Glibc
import TupleCore

/// The operators' log: one line an event, to standard error or a file. It never blocks and never fails: what cannot be
/// written is dropped and counted, and the count is logged as soon as writing works again.
package final class Logger {
    /// Where lines go.
    package enum Destination {
        case standardError
        /// Appended to; created where it is missing.
        case file(String)
        /// For tests: whole lines, with their line end.
        case function(([UInt8]) -> Void)
    }

    /// Bytes of a line beyond which its last fields are left out. As pipes take up to 4,096 bytes in one piece, lines
    /// of several processes do not mix.
    static let maximumLineBytes = 4096

    /// Lines below it are not written.
    package var minimumLevel = LogLevel.info
    /// Lines that could not be written, since the start.
    package private(set) var droppedLines = 0

    /// What the cores say passes it.
    var filter = LogFilter()

    private let format: LogFormat
    private let clock: () -> Int64
    private let destination: Destination
    private var descriptor: Int32
    private var unreportedDrops = 0
    private var line: [UInt8] = []

    /// - Parameter clock: wall-clock milliseconds since 1970.
    /// - Throws: when the file cannot be opened.
    package init(
        _ destination: Destination = .standardError, format: LogFormat = .text,
        clock: @escaping () -> Int64 = WallClock.milliseconds
    ) throws(SystemError) {
        Signal.ignoreBrokenPipes()
        self.destination = destination
        self.format = format
        self.clock = clock
        descriptor =
            switch destination {
            case .standardError: STDERR_FILENO
            case .file(let path): try Logger.open(path)
            case .function: -1
            }
    }

    deinit { closeFile() }

    /// Writes one line.
    ///
    /// - Parameters:
    ///   - event: a word such as `takeover`; documented words only, as scripts look for them.
    ///   - fields: in this order; values may hold anything.
    package func log(_ level: LogLevel, _ event: String, _ fields: [(String, String)] = []) {
        guard level >= minimumLevel else { return }
        if unreportedDrops > 0 {
            let count = unreportedDrops
            unreportedDrops = 0
            guard write(.warning, "log-lines-dropped", [("count", String(count))]) else {
                unreportedDrops += count
                drop()
                return
            }
        }
        if !write(level, event, fields) { drop() }
    }

    /// Closes the file and opens it again, as after it has been rotated away. Where that fails, the old one stays.
    package func reopen() {
        guard case .file(let path) = destination else { return }
        do {
            let fresh = try Logger.open(path)
            closeFile()
            descriptor = fresh
        } catch {
            log(.error, "log-reopen-failed", [("file", path), ("reason", error.reason)])
        }
    }

    private func drop() {
        droppedLines += 1
        unreportedDrops += 1
    }

    private func write(_ level: LogLevel, _ event: String, _ fields: [(String, String)]) -> Bool {
        let time = clock()
        var kept = fields[...]
        line.removeAll(keepingCapacity: true)
        format.appendLine(milliseconds: time, level: level, event: event, fields: fields, to: &line)
        while line.count > Logger.maximumLineBytes, kept.popLast() != nil {
            line.removeAll(keepingCapacity: true)
            format.appendLine(
                milliseconds: time, level: level, event: event, fields: kept + [("cut", "true")], to: &line)
        }
        if case .function(let function) = destination {
            function(line)
            return true
        }
        return line.withUnsafeBytes { writeAll($0) }
    }

    /// False where nothing, or not everything, could be written.
    private func writeAll(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            // A full pipe, its reader stuck, must not stop the server: hence no write without room for it. (Making it
            // non-blocking would do so for every process that shares it.)
            var query = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&query, 1, 0) == 1, Int32(query.revents) & POLLOUT != 0 else { return false }
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return true
    }

    private func closeFile() {
        if case .file = destination, descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    private static func open(_ path: String) throws(SystemError) -> Int32 {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw SystemError(errno, doing: "open the log file \(path)") }
        return descriptor
    }
}
