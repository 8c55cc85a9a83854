extension Parser {
    /// What an opening parenthesis can lead to.
    enum Parenthesis {
        case item(Item)
        case comment
        /// `(?i)`: the flags are in `flags` already.
        case globalFlags
    }

    /// What stands between a parenthesis and the contents of the group.
    private enum Opening {
        case capture(number: Int)
        case plain
        case atomic
        case flags(adding: Flags, removing: Flags)
        case lookAhead(negated: Bool)
        case lookBehind(negated: Bool)
        case condition(group: Int, isOpen: Bool)
        /// These three have no contents.
        case reference(Int)
        case comment
        case globalFlags
    }

    /// A group, behind its opening parenthesis and up to its closing one.
    mutating func parseGroup(
        verbose: Bool, depth: Int, mayTakeGlobalFlags: Bool
    ) throws(PythonRegexError) -> Parenthesis {
        let start = reader.position - 1
        let opening = try parseOpening(start: start, mayTakeGlobalFlags: mayTakeGlobalFlags)
        var verbose = verbose
        var beginsLookBehind = false
        switch opening {
        case .capture, .plain, .atomic, .lookAhead: break
        case .flags(let adding, let removing):
            verbose = (verbose || adding.contains(.verbose)) && !removing.contains(.verbose)
        case .lookBehind: beginsLookBehind = groupsBeforeLookBehind == nil
        case .condition(let group, let isOpen):
            return try parseConditional(group, isOpen: isOpen, verbose: verbose, depth: depth, start: start)
        case .reference(let group): return .item(.node(.backreference(group)))
        case .comment: return .comment
        case .globalFlags: return .globalFlags
        }
        if beginsLookBehind { groupsBeforeLookBehind = groupWidths.count }
        let body = try parseAlternatives(verbose: verbose, depth: depth + 1)
        if beginsLookBehind { groupsBeforeLookBehind = nil }
        try takeClosing(start: start)
        return .item(close(opening, body))
    }

    @inline(never)
    private mutating func close(_ opening: Opening, _ body: [Node]) -> Item {
        switch opening {
        case .capture(let number):
            groupWidths[number] = Width.of(body, groups: groupWidths)
            return .node(.group(number: number, adding: [], removing: [], body: body))
        case .flags(let adding, let removing) where !adding.isEmpty || !removing.isEmpty:
            return .node(.group(number: nil, adding: adding, removing: removing, body: body))
        case .atomic: return .node(.atomic(body))
        case .lookAhead(let negated): return .node(.look(.ahead(negated: negated), body: body))
        case .lookBehind(let negated):
            let width = Width.of(body, groups: groupWidths)
            return .node(.look(.behind(negated: negated, width: width), body: body))
        case .plain, .flags, .condition, .reference, .comment, .globalFlags: return .plainGroup(body)
        }
    }

    @inline(never)
    private mutating func parseConditional(
        _ group: Int, isOpen: Bool, verbose: Bool, depth: Int, start: Int
    ) throws(PythonRegexError) -> Parenthesis {
        if depth >= RegexLimits.maximumNesting { throw tooDeep() }
        let yes = try parseSequence(verbose: verbose, depth: depth + 1, isFirst: false)
        var no: [Node] = []
        if try reader.take("|") {
            no = try parseSequence(verbose: verbose, depth: depth + 1, isFirst: false)
            if let next = reader.next, next.isPlain("|") {
                throw reader.error("conditional backref with more than two branches")
            }
        }
        try takeClosing(start: start)
        return .item(.node(.conditional(group: group, isOpen: isOpen, yes: yes, no: no)))
    }

    @inline(never)
    func tooDeep() -> PythonRegexError {
        reader.error("groups nested deeper than \(RegexLimits.maximumNesting)")
    }

    @inline(never)
    private mutating func takeClosing(start: Int) throws(PythonRegexError) {
        guard try reader.take(")") else {
            throw reader.error("missing ), unterminated subpattern", back: reader.position - start)
        }
    }

    // MARK: Openings

    @inline(never)
    private mutating func parseOpening(
        start: Int, mayTakeGlobalFlags: Bool
    ) throws(PythonRegexError) -> Opening {
        guard try reader.take("?") else { return .capture(number: try openGroup(name: nil)) }
        guard let token = try reader.take() else { throw reader.error("unexpected end of pattern") }
        if token.isEscape { throw unknownExtension("?", token) }
        switch token.point {
        case "P": return try parsePythonExtension()
        case ":": return .plain
        case "#":
            try skipComment(start: start)
            return .comment
        case "=": return .lookAhead(negated: false)
        case "!": return .lookAhead(negated: true)
        case "<":
            guard let token = try reader.take() else { throw reader.error("unexpected end of pattern") }
            guard token.isPlain("=") || token.isPlain("!") else { throw unknownExtension("?<", token) }
            return .lookBehind(negated: token.isPlain("!"))
        case "(": return try parseCondition()
        case ">": return .atomic
        default:
            guard token.point == "-" || Flags.named(token.point) != nil else { throw unknownExtension("?", token) }
            if let change = try parseFlags(token.point) {
                return .flags(adding: change.adding, removing: change.removing)
            }
            if mayTakeGlobalFlags { return .globalFlags }
            throw reader.error("global flags not at the start of the expression", back: reader.position - start)
        }
    }

    private func unknownExtension(_ prefix: String, _ token: Token) -> PythonRegexError {
        let text = String(codePoints: token.codePoints)
        return reader.error("unknown extension \(prefix)\(text)", back: token.length + prefix.count)
    }

    /// Behind `(?P`.
    private mutating func parsePythonExtension() throws(PythonRegexError) -> Opening {
        if try reader.take("<") {
            let name = try reader.take(until: ">", name: "group name")
            try checkName(name)
            return .capture(number: try openGroup(name: name))
        }
        if try reader.take("=") {
            let name = try reader.take(until: ")", name: "group name")
            try checkName(name)
            guard let number = groupNumbers[name] else { throw unknownName(name) }
            guard groupWidths[number] != nil else {
                throw reader.error("cannot refer to an open group", back: name.count + 1)
            }
            try checkLookBehind(refersTo: number)
            return .reference(number)
        }
        guard let token = try reader.take() else { throw reader.error("unexpected end of pattern") }
        throw unknownExtension("?P", token)
    }

    /// Behind `(?(`.
    private mutating func parseCondition() throws(PythonRegexError) -> Opening {
        let name = try reader.take(until: ")", name: "group name")
        let group: Int
        if name.isIdentifier {
            guard let number = groupNumbers[name] else { throw unknownName(name) }
            group = number
        } else {
            group = try groupNumber(name)
        }
        let isOpen = group < groupWidths.count && groupWidths[group] == nil
        try checkLookBehind(refersTo: group)
        return .condition(group: group, isOpen: isOpen)
    }

    private mutating func openGroup(name: [CodePoint]?) throws(PythonRegexError) -> Int {
        let number = groupWidths.count
        groupWidths.append(nil)
        guard number < RegexLimits.maximumGroups else {
            throw reader.error("too many groups", back: (name?.count ?? 0) + 1)
        }
        guard let name else { return number }
        if let known = groupNumbers[name] {
            throw reader.error(
                "redefinition of group name \(name.pythonRepresentation) as group \(number); was group \(known)",
                back: name.count + 1)
        }
        groupNumbers[name] = number
        return number
    }

    private mutating func skipComment(start: Int) throws(PythonRegexError) {
        while let token = try reader.take() {
            if token.isPlain(")") { return }
        }
        throw reader.error("missing ), unterminated comment", back: reader.position - start)
    }

    // MARK: Names

    private func checkName(_ name: [CodePoint]) throws(PythonRegexError) {
        guard name.isIdentifier else { throw badName(name) }
    }

    private func badName(_ name: [CodePoint]) -> PythonRegexError {
        reader.error("bad character in group name \(name.pythonRepresentation)", back: name.count + 1)
    }

    private func unknownName(_ name: [CodePoint]) -> PythonRegexError {
        reader.error("unknown group name \(name.pythonRepresentation)", back: name.count + 1)
    }

    private mutating func groupNumber(_ name: [CodePoint]) throws(PythonRegexError) -> Int {
        guard let number = name.pythonInteger(limit: RegexLimits.maximumGroups) else { throw badName(name) }
        if number == 0 { throw reader.error("bad group number", back: name.count + 1) }
        if number >= RegexLimits.maximumGroups {
            let digits = name.pythonIntegerDigits ?? ""
            throw reader.error("invalid group reference \(digits)", back: name.count + 1)
        }
        if conditionGroups.insert(number).inserted {
            conditionPositions.append((number, reader.position - name.count - 1))
        }
        return number
    }

    // MARK: Flags

    /// The flags of `(?i)`, which go to `flags` (the result is nil), or those of `(?i-s:`.
    private mutating func parseFlags(
        _ first: CodePoint
    ) throws(PythonRegexError) -> (adding: Flags, removing: Flags)? {
        var adding: Flags = []
        var terminator = first
        if first != "-" { (adding, terminator) = try parseAddedFlags(first) }
        if terminator == ")" {
            flags.formUnion(adding)
            return nil
        }
        if !adding.isDisjoint(with: .globals) {
            throw reader.error("bad inline flags: cannot turn on global flag", back: 1)
        }
        let removing = try terminator == "-" ? parseRemovedFlags() : []
        if !removing.isDisjoint(with: .globals) {
            throw reader.error("bad inline flags: cannot turn off global flag", back: 1)
        }
        if !adding.isDisjoint(with: removing) {
            throw reader.error("bad inline flags: flag turned on and off", back: 1)
        }
        return (adding, removing)
    }

    private mutating func parseAddedFlags(
        _ first: CodePoint
    ) throws(PythonRegexError) -> (Flags, terminator: CodePoint) {
        var added: Flags = []
        var letter = first
        while true {
            guard let flag = Flags.named(letter) else { return (added, letter) }
            if flag == .locale {
                throw reader.error("bad inline flags: cannot use 'L' flag with a str pattern")
            }
            added.insert(flag)
            if !flag.isDisjoint(with: .types), added.intersection(.types) != flag {
                throw reader.error("bad inline flags: flags 'a', 'u' and 'L' are incompatible")
            }
            guard let token = try reader.take() else { throw reader.error("missing -, : or )") }
            if token.isPlain(")") || token.isPlain("-") || token.isPlain(":") { return (added, token.point) }
            try requireFlag(token, otherwise: "missing -, : or )")
            letter = token.point
        }
    }

    private mutating func parseRemovedFlags() throws(PythonRegexError) -> Flags {
        var removed: Flags = []
        guard var token = try reader.take() else { throw reader.error("missing flag") }
        try requireFlag(token, otherwise: "missing flag")
        while true {
            guard let flag = Flags.named(token.point) else { return removed }
            if !flag.isDisjoint(with: .types) {
                throw reader.error("bad inline flags: cannot turn off flags 'a', 'u' and 'L'")
            }
            removed.insert(flag)
            guard let next = try reader.take() else { throw reader.error("missing :") }
            if next.isPlain(":") { return removed }
            try requireFlag(next, otherwise: "missing :")
            token = next
        }
    }

    private func requireFlag(_ token: Token, otherwise message: String) throws(PythonRegexError) {
        if !token.isEscape, Flags.named(token.point) != nil { return }
        let isLetter = !token.isEscape && CharacterClasses.isAlphabetic(token.point)
        throw reader.error(isLetter ? "unknown flag" : message, back: token.length)
    }
}
