import TupleCore
import WireProtocol

/// What an import has come to.
struct ImportReport: Equatable {
    var operation: Operator
    /// Rows that were read, well formed or not.
    var rows = 0
    var imported = 0
    /// PUT: the key was there already.
    var exists = 0
    /// POST: the key was not there.
    var absent = 0
    var malformed = 0
    /// Rows of requests that had no `ok`.
    var errors = 0
    var longestPause = Duration.zero
    /// The first answer that was no `ok`.
    var failure: Answer?
    /// Why the file cannot be read to its end, or has not the columns that were asked for, and what that is as an exit code.
    var problem: String?
    var problemCode = ExitCode.malformed
    var isInterrupted = false
    /// Where an import that did not come to its end goes on: all rows before that line are answered.
    var nextLine: Int?

    init(operation: Operator) { self.operation = operation }

    mutating func count(_ reason: Reason) {
        switch reason {
        case .exists: exists += 1
        case .absent: absent += 1
        case .malformed: malformed += 1
        }
    }

    var exitCode: ExitCode {
        if let failure { return ExitCode(failure.status) }
        if problem != nil { return problemCode }
        if isInterrupted { return .interrupted }
        return exists + absent + malformed > 0 ? .givenBack : .done
    }

    /// One line for people.
    var text: String {
        let back = operation == .post ? "absent \(absent)" : "exists \(exists)"
        let failed = errors > 0 ? ", errors \(errors)" : ""
        return "imported \(imported), \(back), malformed \(malformed)\(failed), "
            + "longest pause \(longestPause.wholeMilliseconds) ms"
    }

    var json: Term {
        var members: [Term.Member] = []
        func add(_ name: String, _ value: Term) { members.append(.init(name: [UInt8](name.utf8), value: value)) }
        let status: Status = problem != nil ? .malformed : isInterrupted ? .unavailable : .ok
        add("status", .string((failure?.status ?? status).name))
        add("imported", .number("\(imported)"))
        add("exists", .number("\(exists)"))
        if operation == .post { add("absent", .number("\(absent)")) }
        add("malformed", .number("\(malformed)"))
        add("rows", .number("\(rows)"))
        add("longestPauseMilliseconds", .number("\(longestPause.wholeMilliseconds)"))
        add("errors", .number("\(errors)"))
        if let nextLine { add("nextLine", .number("\(nextLine)")) }
        let interruption = isInterrupted ? "interrupted" : nil
        if let message = failure?.message ?? problem ?? interruption { add("message", .string(message)) }
        return .object(members)
    }

    /// Which of the items that were given came back: the last way to read `rejected` as a part of `given`, since of
    /// equal items it is the first that is used.
    static func positions(of rejected: [Rejected], in given: [Term]) -> [(position: Int, reason: Reason)] {
        var found: [(position: Int, reason: Reason)] = []
        var at = given.count
        for item in rejected.reversed() {
            repeat { at -= 1 } while at >= 0 && given[at] != item.item
            guard at >= 0 else { break }
            found.append((at, item.reason))
        }
        return found.reversed()
    }
}

/// The longest time between two answers, as far as anything was waited for.
struct PauseMeter {
    private(set) var longest = Duration.zero
    private var outstanding = 0
    private var since = Instant(nanoseconds: 0)

    mutating func submitted(at now: Instant) {
        if outstanding == 0 { since = now }
        outstanding += 1
    }

    mutating func answered(at now: Instant) {
        longest = max(longest, now.duration(since: since))
        since = now
        outstanding -= 1
    }
}
