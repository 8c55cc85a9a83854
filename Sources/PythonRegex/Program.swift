/// A pattern as a program for the module's own matcher, which runs what PCRE2 has no words for: references that
/// ignore case as CPython does, conditions about open groups, and counts beyond PCRE2's limits.
struct Program: Sendable {
    /// An index of an instruction.
    typealias Place = Int

    enum Instruction: Sendable {
        /// One code point of a set.
        case unit(Int)
        /// As many as there are, from `minimum` to `maximum`, giving back one at a time.
        case units(Int, minimum: Int, maximum: Int, keepsMarks: Bool)
        case anchor(Anchor, multiline: Bool, ascii: Bool)
        /// Goes on behind itself; if that fails, at `other`.
        case split(other: Place, keepsMarks: Bool)
        /// Goes on behind itself; if that fails, puts back the marks.
        case keepMarks
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
        /// The body of a negative look has matched: fails, with no choices since `open`.
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
        let keepsMarks: Bool
        var body: Place = 0
        var exit: Place = 0

        var isUnlimited: Bool { maximum == RegexLimits.maximumRepeat }
    }

    private(set) var instructions: [Instruction] = []
    private(set) var loops: [Loop] = []
    private(set) var units: [UnitSet] = []
    private var unitNumbers: [UnitKey: Int] = [:]
    private(set) var registerCount = 0
    /// Inside the body of a greedy or lazy loop CPython puts back at each choice what groups have held; elsewhere it only forgets
    /// the groups that came later. It shows where a condition asks about an open group.
    private var isInLoop = false
    let slotCount: Int

    init(_ pattern: ParsedPattern) {
        slotCount = pattern.groupCount * 2
        sequence(pattern.nodes, pattern.flags)
        instructions.append(.end)
        unitNumbers = [:]
    }

    var byteCount: Int {
        instructions.count * MemoryLayout<Instruction>.stride + loops.count * MemoryLayout<Loop>.stride
            + units.reduce(0) { $0 + $1.byteCount }
    }

    /// What the program of a pattern may take, before it is made.
    static func byteCount(of pattern: ParsedPattern, translation: Translation.Result) -> Int {
        // Most nodes are one instruction and a small set; a large set is about as long as its translation.
        pattern.nodeCount * (2 * MemoryLayout<Instruction>.stride + 2 * MemoryLayout<UnitSet>.stride)
            + translation.text.count
    }

    // MARK: Writing

    private mutating func sequence(_ nodes: [Node], _ flags: Flags) {
        for node in nodes { self.node(node, flags) }
    }

    private mutating func node(_ node: Node, _ flags: Flags) {
        switch node {
        case .literal, .notLiteral, .any, .set: instructions.append(.unit(unit(node, flags)))
        case .anchor(let anchor):
            instructions.append(
                .anchor(anchor, multiline: flags.contains(.multiline), ascii: flags.contains(.ascii)))
        case .branch(let alternatives): branch(alternatives, flags)
        case .group(let number, let adding, let removing, let body):
            if let number { instructions.append(.mark(slot: number * 2 - 2)) }
            sequence(body, flags.adding(adding, removing: removing))
            if let number { instructions.append(.mark(slot: number * 2 - 1)) }
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

    /// The number of a set of characters, the same for the same ones.
    private mutating func unit(_ node: Node, _ flags: Flags) -> Int {
        let key = UnitKey(node, flags)
        if let key, let known = unitNumbers[key] { return known }
        if let key { unitNumbers[key] = units.count }
        units.append(UnitSet(node, flags))
        return units.count - 1
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
            instructions[split] = .split(other: instructions.count, keepsMarks: isInLoop)
        }
        if isInLoop { instructions.append(.keepMarks) }
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
        if quantifier == .greedy, let (node, flags) = Self.singleUnit(body, flags) {
            instructions.append(
                .units(unit(node, flags), minimum: minimum, maximum: maximum, keepsMarks: isInLoop))
            return
        }
        switch quantifier {
        case .possessive:
            // No way back into one round, not even from the next one.
            atomic { $0.loop(quantifier, minimum, maximum) { $0.atomic { $0.sequence(body, flags) } } }
        case .greedy, .lazy:
            loop(quantifier, minimum, maximum) { $0.sequence(body, flags) }
        }
    }

    /// The only thing that is repeated, if it takes one code point; a group that only sets flags may be around it.
    private static func singleUnit(_ body: [Node], _ flags: Flags) -> (Node, Flags)? {
        guard body.count == 1 else { return nil }
        if case .group(nil, let adding, let removing, let inner) = body[0] {
            return singleUnit(inner, flags.adding(adding, removing: removing))
        }
        return body[0].isUnit ? (body[0], flags) : nil
    }

    private mutating func loop(
        _ quantifier: Quantifier, _ minimum: Int, _ maximum: Int, _ body: (inout Program) -> Void
    ) {
        let number = loops.count
        let isLazy = quantifier == .lazy
        // A greedy loop always puts back the marks of the round that has failed.
        loops.append(
            Loop(minimum: minimum, maximum: maximum, isLazy: isLazy, keepsMarks: isInLoop || !isLazy))
        instructions.append(.enterLoop(number))
        let test = instructions.count
        instructions.append(.testLoop(number))
        instructions.append(.continueLoop(number))
        loops[number].body = instructions.count
        let wasInLoop = isInLoop
        // A possessive repeat is no loop in this sense: it keeps what was before a round, but the round itself does not.
        if quantifier != .possessive { isInLoop = true }
        body(&self)
        isInLoop = wasInLoop
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
            instructions[split] = .split(other: instructions.count, keepsMarks: isInLoop)
        } else {
            instructions.append(.close(register: register, rewinds: true))
        }
    }
}
