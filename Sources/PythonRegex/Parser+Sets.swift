extension Parser {
    /// A set, behind its opening bracket.
    @inline(never)
    mutating func parseSet() throws(PythonRegexError) -> Node {
        let start = reader.position - 1
        let negated = try reader.take("^")
        var items: [SetItem] = []
        while true {
            let token = try takeMember(start: start)
            if token.isPlain("]"), !items.isEmpty { break }
            let first = try parseMember(token)
            guard try reader.take("-") else {
                items.append(first)
                continue
            }
            let end = try takeMember(start: start)
            if end.isPlain("]") {
                items += [first, .literal("-")]
                break
            }
            let second = try parseMember(end)
            guard case .literal(let low) = first, case .literal(let high) = second, low <= high else {
                let range = token.codePoints + ["-"] + end.codePoints
                throw reader.error("bad character range \(String(codePoints: range))", back: range.count)
            }
            items.append(.range(low, high))
        }
        items = items.withoutRepeats()
        if items.count == 1, case .literal(let point) = items[0] {
            return negated ? .notLiteral(point) : .literal(point)
        }
        return .set(negated: negated, items: items)
    }

    private mutating func takeMember(start: Int) throws(PythonRegexError) -> Token {
        guard let token = try reader.take() else {
            throw reader.error("unterminated character set", back: reader.position - start)
        }
        return token
    }

    private mutating func parseMember(_ token: Token) throws(PythonRegexError) -> SetItem {
        token.isEscape ? try parseSetEscape(token.point) : .literal(token.point)
    }
}
