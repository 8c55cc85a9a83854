/// Why a pattern is refused: what `re.compile` of CPython 3.11 would say, or a limit of this library.
public struct PythonRegexError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, in CPython's words, without the position.
    public let reason: String
    /// Where, in code points from the start of the pattern; nil where CPython gives no position.
    public let position: Int?
    /// Line and column, both from 1, where the pattern has more than one line.
    public let line: (number: Int, column: Int)?

    init(_ reason: String, at position: Int? = nil, line: (number: Int, column: Int)? = nil) {
        self.reason = reason
        self.position = position
        self.line = line
    }

    /// An error with its line and column, worked out as CPython does.
    init(_ reason: String, at position: Int, in pattern: [CodePoint]) {
        let newline: CodePoint = "\n"
        guard pattern.contains(newline) else {
            self.init(reason, at: position)
            return
        }
        let before = pattern.prefix(max(0, position))
        let number = before.count(where: { $0 == newline }) + 1
        let column = position - (before.lastIndex(of: newline) ?? -1)
        self.init(reason, at: position, line: (number, column))
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.reason == right.reason && left.position == right.position
    }

    /// The message as `str(re.error)` has it, for example `unterminated character set at position 0`.
    public var description: String {
        guard let position else { return reason }
        guard let line else { return "\(reason) at position \(position)" }
        return "\(reason) at position \(position) (line \(line.number), column \(line.column))"
    }
}
