/// The text of a pattern for PCRE2, in what means the same in PCRE2 10.42 and in every newer release.
///
/// Nothing is left to PCRE2's own idea of case and, where its Unicode version is another than CPython 3.11's, of
/// character classes: those are written out as sets of code points.
struct Translation {
    /// What the installed PCRE2 agrees about with CPython.
    struct Dialect: Sendable {
        /// Whether `\w`, `\d` and `\b` are those of CPython 3.11.
        let hasSameClasses: Bool
    }

    private let dialect: Dialect
    private var text: [UInt8] = []
    private var isExpressible = true
    private var hasAtomicGroup = false
    /// How many groups of the text are open.
    private var depth = 0
    /// What was written for sets before: patterns often have the same one many times.
    private var written: [UnitKey: Range<Int>] = [:]

    private init(_ dialect: Dialect) { self.dialect = dialect }

    /// Text for PCRE2.
    struct Result {
        let text: [UInt8]
        /// PCRE2 10.42 makes a repeat in front of an optional atomic group possessive where it is not:
        /// `(?>a+(?>x)?+a|a)a` would match aa.
        let hasAtomicGroup: Bool
    }

    /// The translation; nil where PCRE2 has no words for it.
    static func translate(_ pattern: ParsedPattern, dialect: Dialect) -> Result? {
        if RepeatedRounds.matter(in: pattern) { return nil }
        var translation = Translation(dialect)
        translation.sequence(pattern.nodes, pattern.flags)
        // The end is asserted here; that the match begins at the start is an option.
        translation.write(#"\z"#)
        guard translation.isExpressible else { return nil }
        return Result(text: translation.text, hasAtomicGroup: translation.hasAtomicGroup)
    }

    private mutating func write(_ piece: String) {
        text += piece.utf8
        if text.count > RegexLimits.maximumTranslationBytes { isExpressible = false }
    }

    // MARK: Structure

    private mutating func sequence(_ nodes: [Node], _ flags: Flags) {
        for node in nodes {
            guard isExpressible else { return }
            self.node(node, flags)
        }
    }

    private mutating func node(_ node: Node, _ flags: Flags) {
        switch node {
        case .literal(let point) where point.isASCIIDigit || (point.isASCIILetter && !flags.contains(.ignoreCase)):
            character(point.value)
        case .literal(let point): once(node, flags) { $0.members(of: $0.literal(point, flags), negated: false) }
        case .notLiteral(let point): once(node, flags) { $0.members(of: $0.literal(point, flags), negated: true) }
        case .any: write(flags.contains(.dotAll) ? "." : #"[^\n]"#)
        case .set(let negated, let items): once(node, flags) { $0.set(items, negated: negated, flags) }
        case .anchor(let anchor): self.anchor(anchor, flags)
        case .branch(let alternatives): branch(alternatives, flags)
        case .group(let number, let adding, let removing, let body):
            enclose(number == nil ? "(?:" : "(", body, flags.adding(adding, removing: removing))
        case .atomic(let body): enclose("(?>", body, flags)
        case .quantified(let quantifier, let minimum, let maximum, let body):
            quantified(quantifier, minimum, maximum, body, flags)
        case .look(let look, let body): enclose(opening(of: look), body, flags)
        case .backreference(let group):
            // CPython compares lower case; PCRE2 has more characters alike.
            if flags.contains(.ignoreCase) { isExpressible = false }
            write("\\g{\(group)}")
        case .conditional(let group, let isOpen, let yes, let no):
            // Of an open group both know what it held before, yet not in the same cases.
            if isOpen { isExpressible = false }
            enclose("(?(\(group))", yes, flags, otherwise: no)
        }
    }

    private func opening(of look: Look) -> String {
        switch look {
        case .ahead(negated: false): "(?="
        case .ahead(negated: true): "(?!"
        case .behind(negated: false, _): "(?<="
        case .behind(negated: true, _): "(?<!"
        }
    }

    private mutating func enclose(_ opening: String, _ body: [Node], _ flags: Flags, otherwise: [Node] = []) {
        open(opening)
        sequence(body, flags)
        if !otherwise.isEmpty {
            write("|")
            sequence(otherwise, flags)
        }
        close()
    }

    private mutating func branch(_ alternatives: [[Node]], _ flags: Flags) {
        open("(?:")
        for (index, alternative) in alternatives.enumerated() {
            if index > 0 { write("|") }
            sequence(alternative, flags)
        }
        close()
    }

    /// PCRE2 compiles groups by recursion, in machine code's case with more than a kilobyte of stack for each.
    private mutating func open(_ opening: String) {
        if opening == "(?>" { hasAtomicGroup = true }
        depth += 1
        if depth > RegexLimits.maximumTranslationNesting { isExpressible = false }
        write(opening)
    }

    private mutating func close() {
        depth -= 1
        write(")")
    }

    private mutating func quantified(
        _ quantifier: Quantifier, _ minimum: Int, _ maximum: Int, _ body: [Node], _ flags: Flags
    ) {
        if maximum == 0 { return nothing(insteadOf: body) }
        let isUnlimited = maximum == RegexLimits.maximumRepeat
        if minimum > RegexLimits.maximumPCRE2Repeat || (!isUnlimited && maximum > RegexLimits.maximumPCRE2Repeat) {
            isExpressible = false
            return
        }
        let isUnit = body.count == 1 && body[0].isUnit
        // CPython never goes back into one round of a possessive repeat, not even for the next round.
        let isAtomic = quantifier == .possessive && !isUnit
        if isAtomic { open("(?>") }
        if isUnit || (!isAtomic && body.count == 1 && body[0].isEnclosed) {
            sequence(body, flags)
        } else {
            enclose(isAtomic ? "(?>" : "(?:", body, flags)
        }
        switch (minimum, isUnlimited ? nil : maximum) {
        case (0, nil): write("*")
        case (1, nil): write("+")
        case (0, 1): write("?")
        case (let count, nil): write("{\(count),}")
        case (let low, let high?): write("{\(low),\(high)}")
        }
        switch quantifier {
        case .greedy: break
        case .lazy: write("?")
        case .possessive where isAtomic: close()
        case .possessive: write("+")
        }
    }

    /// What is repeated no times is left out, for PCRE2 10.42 looks into it for what a match must begin with:
    /// `(?:|(?=b)a){0}a` would not match a. Its groups are there, so that the others keep their numbers.
    private mutating func nothing(insteadOf body: [Node]) {
        let groups = Self.groupCount(body)
        if groups > 0 { write("(?:" + String(repeating: "()", count: groups) + "){0}") }
    }

    private static func groupCount(_ nodes: [Node]) -> Int {
        nodes.reduce(0) { count, node in
            switch node {
            case .literal, .notLiteral, .any, .set, .anchor, .backreference: count
            case .branch(let alternatives): alternatives.reduce(count) { $0 + groupCount($1) }
            case .group(let number, _, _, let body): count + (number == nil ? 0 : 1) + groupCount(body)
            case .atomic(let body), .quantified(_, _, _, let body), .look(_, let body): count + groupCount(body)
            case .conditional(_, _, let yes, let no): count + groupCount(yes) + groupCount(no)
            }
        }
    }

    // MARK: Places

    private mutating func anchor(_ anchor: Anchor, _ flags: Flags) {
        switch anchor {
        case .beginning: write(flags.contains(.multiline) ? #"(?<![^\n])"# : #"\A"#)
        case .end: write(flags.contains(.multiline) ? #"(?![^\n])"# : #"(?=\n?\z)"#)
        case .beginningOfString: write(#"\A"#)
        case .endOfString: write(#"\z"#)
        case .boundary: boundary(negated: false, flags)
        case .notBoundary:
            // In CPython's view an empty subject has neither a boundary nor a place without one.
            write(#"(?!\A\z)"#)
            boundary(negated: true, flags)
        }
    }

    private mutating func boundary(negated: Bool, _ flags: Flags) {
        if dialect.hasSameClasses, !flags.contains(.ascii) {
            write(negated ? #"\B"# : #"\b"#)
            return
        }
        let (same, other) = negated ? ("(?=", "(?!") : ("(?!", "(?=")
        for (index, piece) in ["(?:(?<=", same, "|(?<!", other].enumerated() {
            write(piece)
            set([.category(.word)], negated: false, flags)
            write(")")
            if index == 3 { write(")") }
        }
    }

    // MARK: Characters

    /// Writes what a set of characters was translated to before, or translates it.
    private mutating func once(_ node: Node, _ flags: Flags, _ translate: (inout Translation) -> Void) {
        guard let key = UnitKey(node, flags) else { return translate(&self) }
        if let range = written[key] {
            text += text[range]
            if text.count > RegexLimits.maximumTranslationBytes { isExpressible = false }
            return
        }
        let start = text.count
        translate(&self)
        written[key] = start..<text.count
    }

    private func literal(_ point: CodePoint, _ flags: Flags) -> CodePointSet {
        guard flags.contains(.ignoreCase) else { return CodePointSet([point.value]) }
        return CaseFolding.variants(of: point.value, ascii: flags.contains(.ascii))
    }

    private mutating func set(_ items: [SetItem], negated: Bool, _ flags: Flags) {
        let ascii = flags.contains(.ascii)
        var classes = ""
        for case .category(let category) in items where isNative(category, ascii: ascii) {
            classes += category.escape
        }
        let rest = items.members(flags) { !isNative($0, ascii: ascii) }
        members(of: rest, classes: classes, negated: negated)
    }

    private func isNative(_ category: Category, ascii: Bool) -> Bool {
        switch category {
        case .word, .notWord, .digit, .notDigit: !ascii && dialect.hasSameClasses
        case .space, .notSpace: false
        }
    }

    /// One code point out of a set. PCRE2 does not take surrogates, and no subject has them.
    private mutating func members(of set: CodePointSet, classes: String = "", negated: Bool) {
        let ranges = set.withoutSurrogates.ranges
        if classes.isEmpty {
            if ranges.isEmpty || set == .everything {
                write(ranges.isEmpty == negated ? "." : #"[^\x{0}-\x{10ffff}]"#)
                return
            }
            if !negated, ranges.count == 1, ranges[0].count == 1 {
                character(ranges[0].lowerBound)
                return
            }
        }
        write(negated ? "[^" : "[")
        write(classes)
        for range in ranges {
            character(range.lowerBound)
            if range.count > 2 { write("-") }
            if range.count > 1 { character(range.upperBound) }
            guard isExpressible else { return }
        }
        write("]")
    }

    private mutating func character(_ value: UInt32) {
        let point = CodePoint(value)
        if point.isASCII, point.isASCIIDigit || point.isASCIILetter {
            text.append(UInt8(value))
        } else {
            write("\\x{\(String(value, radix: 16))}")
        }
    }
}

extension [SetItem] {
    /// What a set matches, before it is negated: its characters and ranges, and those categories that are wanted.
    func members(_ flags: Flags, where isWanted: (Category) -> Bool = { _ in true }) -> CodePointSet {
        let ascii = flags.contains(.ascii)
        var ranges: [ClosedRange<UInt32>] = []
        for item in self {
            switch item {
            case .literal(let point): ranges.append(point.value...point.value)
            case .range(let low, let high): ranges.append(low.value...high.value)
            case .category: break
            }
        }
        if flags.contains(.ignoreCase) { ranges = CaseFolding.fold(self, ascii: ascii) }
        for case .category(let category) in self where isWanted(category) {
            ranges += CharacterClasses.members(of: category, ascii: ascii).ranges
        }
        return CodePointSet(ranges)
    }
}

extension Category {
    fileprivate var escape: String {
        switch self {
        case .digit: #"\d"#
        case .notDigit: #"\D"#
        case .space: #"\s"#
        case .notSpace: #"\S"#
        case .word: #"\w"#
        case .notWord: #"\W"#
        }
    }
}

extension Node {
    /// Whether it takes exactly one code point.
    var isUnit: Bool {
        switch self {
        case .literal, .notLiteral, .any, .set: true
        case .anchor, .branch, .group, .atomic, .quantified, .look, .backreference, .conditional: false
        }
    }

    /// Whether its translation stands in parentheses that a quantifier may follow. PCRE2 would take one behind a look
    /// around, but shortens the count.
    fileprivate var isEnclosed: Bool {
        switch self {
        case .branch, .group, .atomic: true
        case .literal, .notLiteral, .any, .set, .anchor, .quantified, .look, .backreference, .conditional: false
        }
    }
}
