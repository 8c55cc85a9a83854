extension Parser {
    /// What a backslash means outside of a set.
    @inline(never)
    mutating func parseEscape(_ point: CodePoint) throws(PythonRegexError) -> Node {
        if let anchor = Self.anchor(point) { return .anchor(anchor) }
        if let category = Self.category(point) { return .set(negated: false, items: [.category(category)]) }
        if let control = Self.control(point) { return .literal(control) }
        if let numbered = try parseCodePoint(point) { return .literal(numbered) }
        if point == "0" {
            let digits = try reader.take(upTo: 2, while: \.isOctalDigit)
            return .literal(CodePoint(digits.number(base: 8)))
        }
        if point.isASCIIDigit { return try parseOctalOrReference(point) }
        if point.isASCIILetter { throw badEscape([point]) }
        return .literal(point)
    }

    /// What a backslash means inside a set.
    mutating func parseSetEscape(_ point: CodePoint) throws(PythonRegexError) -> SetItem {
        if point == "b" { return .literal("\u{8}") }
        if let category = Self.category(point) { return .category(category) }
        if let control = Self.control(point) { return .literal(control) }
        if let numbered = try parseCodePoint(point) { return .literal(numbered) }
        if point.isOctalDigit {
            let digits = [point] + (try reader.take(upTo: 2, while: \.isOctalDigit))
            return .literal(try octal(digits))
        }
        if point.isASCIIDigit || point.isASCIILetter { throw badEscape([point]) }
        return .literal(point)
    }

    // MARK: Simple escapes

    private static func anchor(_ point: CodePoint) -> Anchor? {
        switch point {
        case "A": .beginningOfString
        case "Z": .endOfString
        case "b": .boundary
        case "B": .notBoundary
        default: nil
        }
    }

    private static func category(_ point: CodePoint) -> Category? {
        switch point {
        case "d": .digit
        case "D": .notDigit
        case "s": .space
        case "S": .notSpace
        case "w": .word
        case "W": .notWord
        default: nil
        }
    }

    private static func control(_ point: CodePoint) -> CodePoint? {
        switch point {
        case "a": "\u{7}"
        case "f": "\u{C}"
        case "n": "\n"
        case "r": "\r"
        case "t": "\t"
        case "v": "\u{B}"
        default: nil
        }
    }

    // MARK: Numbers and names

    /// `\x`, `\u`, `\U` and `\N`; nil for another letter.
    private mutating func parseCodePoint(_ point: CodePoint) throws(PythonRegexError) -> CodePoint? {
        switch point {
        case "x": return try parseHexadecimal(point, digits: 2)
        case "u": return try parseHexadecimal(point, digits: 4)
        case "U": return try parseHexadecimal(point, digits: 8)
        case "N": return try parseNamed()
        default: return nil
        }
    }

    private mutating func parseHexadecimal(
        _ point: CodePoint, digits count: Int
    ) throws(PythonRegexError) -> CodePoint {
        let digits = try reader.take(upTo: count, while: \.isHexDigit)
        let escape = [point] + digits
        guard digits.count == count else {
            throw reader.error("incomplete escape \\\(String(codePoints: escape))", back: escape.count + 1)
        }
        let value = digits.number(base: 16)
        guard value <= CodePoint.last.value else {
            // What `chr` says of a number that is too large even for C.
            if value > Int32.max { throw PythonRegexError("Python int too large to convert to C int") }
            throw badEscape(escape)
        }
        return CodePoint(value)
    }

    private mutating func parseNamed() throws(PythonRegexError) -> CodePoint {
        guard try reader.take("{") else { throw reader.error("missing {") }
        let name = try reader.take(until: "}", name: "character name")
        guard let scalar = CharacterNames.lookup(name) else {
            throw reader.error("undefined character name \(name.pythonRepresentation)", back: name.count + 4)
        }
        return CodePoint(scalar.value)
    }

    /// Three octal digits are a character; one or two digits are a group.
    private mutating func parseOctalOrReference(_ point: CodePoint) throws(PythonRegexError) -> Node {
        var digits = [point]
        digits += try reader.take(upTo: 1, while: \.isASCIIDigit)
        if digits.count == 2, digits.allSatisfy(\.isOctalDigit) {
            let third = try reader.take(upTo: 1, while: \.isOctalDigit)
            if !third.isEmpty { return .literal(try octal(digits + third)) }
        }
        let group = Int(digits.number(base: 10))
        guard group < groupWidths.count else {
            throw reader.error("invalid group reference \(group)", back: digits.count)
        }
        guard groupWidths[group] != nil else {
            throw reader.error("cannot refer to an open group", back: digits.count + 1)
        }
        try checkLookBehind(refersTo: group)
        return .backreference(group)
    }

    private func octal(_ digits: [CodePoint]) throws(PythonRegexError) -> CodePoint {
        let value = digits.number(base: 8)
        guard value <= 0o377 else {
            throw reader.error(
                "octal escape value \\\(String(codePoints: digits)) outside of range 0-0o377",
                back: digits.count + 1)
        }
        return CodePoint(value)
    }

    private func badEscape(_ escape: [CodePoint]) -> PythonRegexError {
        reader.error("bad escape \\\(String(codePoints: escape))", back: escape.count + 1)
    }

    /// A look behind may refer only to what was captured before it.
    @inline(never)
    func checkLookBehind(refersTo group: Int) throws(PythonRegexError) {
        guard let limit = groupsBeforeLookBehind else { return }
        guard group < groupWidths.count, groupWidths[group] != nil else {
            throw reader.error("cannot refer to an open group")
        }
        if group >= limit {
            throw reader.error("cannot refer to group defined in the same lookbehind subpattern")
        }
    }
}

extension [CodePoint] {
    /// The value of at most eight digits.
    func number(base: UInt32) -> UInt32 { reduce(0) { $0 &* base &+ $1.digitValue } }
}
