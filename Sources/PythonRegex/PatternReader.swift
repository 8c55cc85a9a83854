/// One step of reading a pattern: a code point, or a backslash with the code point behind it.
struct Token: Equatable, Sendable {
    let point: CodePoint
    let isEscape: Bool

    /// In code points.
    var length: Int { isEscape ? 2 : 1 }

    var codePoints: [CodePoint] { isEscape ? ["\\", point] : [point] }

    static func plain(_ point: CodePoint) -> Token { Token(point: point, isEscape: false) }

    /// Whether it is this code point, and not an escape of it.
    func isPlain(_ point: CodePoint) -> Bool { !isEscape && self.point == point }
}

/// Reads a pattern token by token, one ahead, so that errors have CPython's positions.
struct PatternReader {
    let pattern: [CodePoint]
    /// Behind `next`.
    private var index = 0
    /// What is read next; nil at the end.
    private(set) var next: Token?

    init(_ pattern: [CodePoint]) throws(PythonRegexError) {
        self.pattern = pattern
        try advance()
    }

    /// Where `next` begins.
    var position: Int { index - (next?.length ?? 0) }

    private mutating func advance() throws(PythonRegexError) {
        guard index < pattern.count else {
            next = nil
            return
        }
        let point = pattern[index]
        guard point == "\\" else {
            index += 1
            next = .plain(point)
            return
        }
        guard index + 1 < pattern.count else {
            throw PythonRegexError("bad escape (end of pattern)", at: pattern.count - 1, in: pattern)
        }
        next = Token(point: pattern[index + 1], isEscape: true)
        index += 2
    }

    /// The next token, and steps behind it.
    mutating func take() throws(PythonRegexError) -> Token? {
        let token = next
        try advance()
        return token
    }

    /// Steps behind `point` if it is next.
    mutating func take(_ point: CodePoint) throws(PythonRegexError) -> Bool {
        guard let next, next.isPlain(point) else { return false }
        try advance()
        return true
    }

    /// Up to `count` code points that hold.
    mutating func take(
        upTo count: Int, while holds: (CodePoint) -> Bool
    ) throws(PythonRegexError) -> [CodePoint] {
        var taken: [CodePoint] = []
        while taken.count < count, let token = next, !token.isEscape, holds(token.point) {
            taken.append(token.point)
            try advance()
        }
        return taken
    }

    /// What stands before `terminator`, and steps behind that; `name` says in errors what it is.
    mutating func take(
        until terminator: CodePoint, name: String
    ) throws(PythonRegexError) -> [CodePoint] {
        var taken: [CodePoint] = []
        while true {
            guard let token = try take() else {
                if taken.isEmpty { throw error("missing \(name)") }
                let closing = String(codePoints: [terminator])
                throw error("missing \(closing), unterminated name", back: taken.count)
            }
            if token.isPlain(terminator) {
                if taken.isEmpty { throw error("missing \(name)", back: 1) }
                return taken
            }
            taken += token.codePoints
        }
    }

    /// Goes back to where `position` was.
    mutating func seek(_ position: Int) throws(PythonRegexError) {
        index = position
        try advance()
    }

    /// An error `back` code points before what is read next.
    func error(_ reason: String, back: Int = 0) -> PythonRegexError {
        PythonRegexError(reason, at: position - back, in: pattern)
    }
}
