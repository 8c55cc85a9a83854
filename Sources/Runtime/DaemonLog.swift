import CLibUV
import Glibc
package import TupleCore

extension Logger {
    /// Writes a line that a core has asked for, unless it goes on and on: see ``LogFilter``.
    package func log(_ line: LogLine) {
        let now = Instant(nanoseconds: Int64(truncatingIfNeeded: uv_hrtime()))
        guard let line = filter.admit(line, at: now) else { return }
        let level: LogLevel =
            switch line.level {
            case .debug: .debug
            case .info: .info
            case .warn: .warning
            case .error: .error
            case .alert: .alert
            }
        log(level, line.event, line.fields.map { ($0.key, $0.value) })
    }
}

/// What both daemons do alike: their log options, and how they fail to start.
enum Daemon {
    static let logOptions = OptionsSpecification.Group(
        "Log",
        [
            Option(
                "log", .text(placeholder: "FILE"), help: "Write the operator log to FILE; standard error by default."),
            Option("log-format", .choice(["text", "json"]), default: "text", help: "How log lines are written."),
        ])

    /// How the event loop waits.
    static let busyPoll = Option(
        "busy-poll", .duration(.zero...Duration.milliseconds(1)), default: "0s",
        help:
            "For how long events are looked for before the process sleeps, while requests come fast; 0s to sleep at once."
    )

    static func logger(_ values: OptionValues, program: String) -> Logger {
        do throws(SystemError) {
            let destination = values.textIfAny("log").map { Logger.Destination.file($0) } ?? .standardError
            return try Logger(destination, format: values.text("log-format") == "json" ? .json : .text)
        } catch {
            fail(program, "--log: \(error)")
        }
    }

    /// Says why the program cannot start, and ends it.
    static func fail(_ program: String, _ message: String) -> Never {
        let text = Array("\(program): \(message)\n".utf8)
        _ = write(STDERR_FILENO, text, text.count)
        exit(1)
    }
}
