/// A pattern as a program for the module's own matcher, which runs what PCRE2 has no words for: references that
/// ignore case as CPython does, conditions about open groups, and counts beyond PCRE2's limits.
struct Program: Sendable {
    /// An index of an instruction.
    typealias Place = Int

    enum Instruction: Sendable {
        /// One code point of a set.
        case unit(UnitSet)
        /// As many as there are, from `minimum` to `maximum`, giving back one at a time.
        case units(UnitSet, minimum: Int, maximum: Int)
        case anchor(Anchor, multiline: Bool, ascii: Bool)
        /// Goes on behind itself; if that fails, at `other`.
        case split(other: Place)
        case jump(Place)
        case mark(slot: Int)
        case backreference(group: Int, Folding)
        /// Goes on behind itself if the group has matched, else at `otherwise`.
        case condition(group: Int, otherwise: Place)
        /// Begins to count; the test follows.
        case enterLoop(Int)
        /// Another round, or on at the loop's exit.
        case testLoop(Int)
        /// Another round after all, because what follows a lazy loop has failed.
        case continueLoop(Int)
        /// Remembers how far back there are choices.
        case open(register: Int)
        /// Forgets the choices since `open`; `rewinds` goes back to its position as well.
        case close(register: Int, rewinds: Bool)
        /// The body of a negative look has matched: fails as if nothing had been tried since `open`.
        case refuse(register: Int)
        /// So many code points back, or failure.
        case back(Int)
        /// Success, at the end of the subject only.
        case end
    }

    /// How characters are compared with what a group holds.
    enum Folding: Sendable { case none, ascii, unicode }

    struct Loop: Sendable {
        let minimum: Int
        let maximum: Int
        let isLazy: Bool
        var body: Place = 0
        var exit: Place = 0

        var isUnlimited: Bool { maximum == RegexLimits.maximumRepeat }
    }

    var instructions: [Instruction] = []
    var loops: [Loop] = []
    var registerCount = 0
    let slotCount: Int

    init(_ pattern: ParsedPattern) {
        slotCount = (pattern.groupCount + 1) * 2
        sequence(pattern.nodes, pattern.flags)
        instructions.append(.end)
    }

    // MARK: Writing

    private mutating func sequence(_ nodes: [Node], _ flags: Flags) {
        for node in nodes { self.node(node, flags) }
    }

    private mutating func node(_ node: Node, _ flags: Flags) {
        switch node {
        case .literal, .notLiteral, .any, .set: instructions.append(.unit(UnitSet(node, flags)))
        case .anchor(let anchor):
            instructions.append(
                .anchor(anchor, multiline: flags.contains(.multiline), ascii: flags.contains(.ascii)))
        case .branch(let alternatives): branch(alternatives, flags)
        case .group(let number, let adding, let removing, let body):
            if let number { instructions.append(.mark(slot: number * 2)) }
            sequence(body, flags.adding(adding, removing: removing))
            if let number { instructions.append(.mark(slot: number * 2 + 1)) }
        case .atomic(let body): atomic { $0.sequence(body, flags) }
        case .quantified(let quantifier, let minimum, let maximum, let body):
            quantified(quantifier, minimum, maximum, body, flags)
        case .look(let look, let body): self.look(look, body, flags)
        case .backreference(let group):
            let folding: Folding = flags.contains(.ascii) ? .ascii : .unicode
            instructions.append(
                .backreference(group: group, flags.contains(.ignoreCase) ? folding : .none))
        case .conditional(let group, _, let yes, let no):
            let condition = placeholder()
            sequence(yes, flags)
            let jump = placeholder()
            instructions[condition] = .condition(group: group, otherwise: instructions.count)
            sequence(no, flags)
            instructions[jump] = .jump(instructions.count)
        }
    }

    /// A place that is filled in later.
    private mutating func placeholder() -> Place {
        instructions.append(.end)
        return instructions.count - 1
    }

    private mutating func branch(_ alternatives: [[Node]], _ flags: Flags) {
        var jumps: [Place] = []
        for alternative in alternatives.dropLast() {
            let split = placeholder()
            sequence(alternative, flags)
            jumps.append(placeholder())
            instructions[split] = .split(other: instructions.count)
        }
        sequence(alternatives.last ?? [], flags)
        for jump in jumps { instructions[jump] = .jump(instructions.count) }
    }

    private mutating func atomic(_ body: (inout Program) -> Void) {
        let register = newRegister()
        instructions.append(.open(register: register))
        body(&self)
        instructions.append(.close(register: register, rewinds: false))
    }

    private mutating func newRegister() -> Int {
        registerCount += 1
        return registerCount - 1
    }

    private mutating func quantified(
        _ quantifier: Quantifier, _ minimum: Int, _ maximum: Int, _ body: [Node], _ flags: Flags
    ) {
        switch quantifier {
        case .possessive:
            // No way back into one round, not even from the next one.
            atomic { $0.loop(minimum, maximum, isLazy: false) { $0.atomic { $0.sequence(body, flags) } } }
        case .greedy where body.count == 1 && body[0].isUnit:
            instructions.append(.units(UnitSet(body[0], flags), minimum: minimum, maximum: maximum))
        case .greedy, .lazy:
            loop(minimum, maximum, isLazy: quantifier == .lazy) { $0.sequence(body, flags) }
        }
    }

    private mutating func loop(
        _ minimum: Int, _ maximum: Int, isLazy: Bool, _ body: (inout Program) -> Void
    ) {
        let number = loops.count
        loops.append(Loop(minimum: minimum, maximum: maximum, isLazy: isLazy))
        instructions.append(.enterLoop(number))
        let test = instructions.count
        instructions.append(.testLoop(number))
        instructions.append(.continueLoop(number))
        loops[number].body = instructions.count
        body(&self)
        instructions.append(.jump(test))
        loops[number].exit = instructions.count
    }

    private mutating func look(_ look: Look, _ body: [Node], _ flags: Flags) {
        let register = newRegister()
        instructions.append(.open(register: register))
        let isNegated: Bool
        var width = 0
        switch look {
        case .ahead(let negated): isNegated = negated
        case .behind(let negated, let fixed):
            isNegated = negated
            width = Int(clamping: fixed.minimum)
        }
        let split = isNegated ? placeholder() : nil
        if width > 0 { instructions.append(.back(width)) }
        sequence(body, flags)
        if let split {
            instructions.append(.refuse(register: register))
            instructions[split] = .split(other: instructions.count)
        } else {
            instructions.append(.close(register: register, rewinds: true))
        }
    }
}

/// The code points that one step takes: quick for ASCII, exact for all.
struct UnitSet: Sendable {
    private let low: UInt64
    private let high: UInt64
    private let members: CodePointSet

    /// - Parameter node: One that takes a single code point.
    init(_ node: Node, _ flags: Flags) {
        let members = Self.members(node, flags)
        self.members = members
        low = (UInt32(0)..<64).reduce(0) { members.contains($1) ? $0 | 1 << UInt64($1) : $0 }
        high = (UInt32(64)..<128).reduce(0) { members.contains($1) ? $0 | 1 << UInt64($1 - 64) : $0 }
    }

    private static func members(_ node: Node, _ flags: Flags) -> CodePointSet {
        switch node {
        case .literal(let point):
            guard flags.contains(.ignoreCase) else { return CodePointSet([point.value]) }
            return CaseFolding.variants(of: point.value, ascii: flags.contains(.ascii))
        case .notLiteral(let point): return members(.literal(point), flags).complement
        case .any: return flags.contains(.dotAll) ? .everything : CodePointSet([0x0A]).complement
        case .set(let negated, let items):
            let members = items.members(flags)
            return negated ? members.complement : members
        case .anchor, .branch, .group, .atomic, .quantified, .look, .backreference, .conditional:
            preconditionFailure("more than one code point")
        }
    }

    func contains(_ point: UInt32) -> Bool {
        if point < 64 { return low >> UInt64(point) & 1 == 1 }
        if point < 128 { return high >> UInt64(point - 64) & 1 == 1 }
        return members.contains(point)
    }
}
