import TupleCore

/// What the process ends with. Of several answers (`batch`, `import`, several commands in a row) the highest counts.
enum ExitCode: Int32, Comparable {
    case done = 0
    /// PUT or POST gave pairs back.
    case givenBack = 1
    /// The command line, or a file that it names, cannot be used.
    case usage = 2
    case malformed = 3
    case notImplemented = 4
    case refused = 5
    case unavailable = 6
    case unknown = 7
    /// Too costly or too large.
    case tooMuch = 8

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
        self = answer.status == .ok && !answer.rejected.isEmpty ? .givenBack : ExitCode(answer.status)
    }

    static func < (a: ExitCode, b: ExitCode) -> Bool { a.rawValue < b.rawValue }
}
