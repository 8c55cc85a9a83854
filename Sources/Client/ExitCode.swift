import TupleCore

/// What the process ends with. Of several answers (`batch`, `import`, several commands in a row) the highest counts.
enum ExitCode: Int32, Comparable {
    case done = 0
    /// PUT or POST gave pairs back.
    case givenBack = 1
    /// The command line cannot be used.
    case usage = 2
    /// A request, a line or an expression.
    case malformed = 3
    case notImplemented = 4
    case refused = 5
    case unavailable = 6
    case unknown = 7
    /// Too costly or too large.
    case tooMuch = 8
    /// A local file could not be read or written, or this machine gave no descriptor.
    case localFile = 12
    /// SIGINT ended the command; as shells show it.
    case interrupted = 130

    init(_ status: Status) {
        self =
            switch status {
            case .ok: .done
            case .malformed: .malformed
            case .notImplemented: .notImplemented
            case .tooCostly, .tooLarge: .tooMuch
            case .refused: .refused
            case .unavailable: .unavailable
            case .unknown: .unknown
            }
    }

    init(_ answer: Answer) {
        switch answer.status {
        case .ok where !answer.warning.isEmpty:
            // The answer of a malformed expression stays an empty list; whoever looks at the exit code is told.
            self = .malformed
        case .ok where !answer.rejected.isEmpty: self = .givenBack
        case .ok, .malformed, .notImplemented, .tooCostly, .tooLarge, .refused, .unavailable, .unknown:
            self = ExitCode(answer.status)
        }
    }

    static func < (a: ExitCode, b: ExitCode) -> Bool { a.rawValue < b.rawValue }
}
