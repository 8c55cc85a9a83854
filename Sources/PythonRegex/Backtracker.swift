/// Runs a program over a subject, going back without recursion: its memory is a stack of its own, which is bounded.
struct Backtracker {
    /// What to do on the way back, the newest last.
    enum Entry {
        /// Go on here.
        case choice(Program.Place, position: Int)
        /// Give back one code point at a time, down to `least`, and go on.
        case units(Program.Place, least: Int, position: Int)
        case mark(slot: Int, old: Int)
        case loop(Int, old: LoopState)
    }

    struct LoopState {
        var count = 0
        /// Where the latest round began that was not required: a round without progress ends the loop.
        var last = -1
    }

    /// Where an atomic group or a look began.
    struct Register {
        var height = 0
        var position = 0
    }

    /// Working memory, kept between matches.
    struct Memory {
        var stack: [Entry] = []
        var marks: [Int] = []
        var loops: [LoopState] = []
        var registers: [Register] = []

        fileprivate mutating func prepare(for program: Program) {
            stack.removeAll(keepingCapacity: true)
            marks.refill(with: -1, count: program.slotCount)
            loops.refill(with: LoopState(), count: program.loops.count)
            registers.refill(with: Register(), count: program.registerCount)
        }
    }

    private let program: Program
    private let subject: UnsafeRawBufferPointer
    private var memory: Memory
    private var position = 0
    private var place: Program.Place = 0
    private var work: UInt64
    private let maximumStack: Int
    private var isExhausted = false

    /// What a run gave, and how much work of the allowed is left.
    struct Outcome {
        var result: PCRE2Code.Outcome
        var remainingWork: UInt64
    }

    /// - Parameters:
    ///   - subject: Valid UTF-8.
    ///   - work: How many steps it may take.
    static func match(
        _ program: Program, _ subject: UnsafeRawBufferPointer, work: UInt64, heapKiB: UInt32, memory: inout Memory
    ) -> Outcome {
        var taken = Memory()
        swap(&taken, &memory)
        taken.prepare(for: program)
        var run = Backtracker(program, subject, taken, work, heapKiB)
        let matched = run.run()
        swap(&run.memory, &memory)
        return Outcome(result: run.isExhausted ? .limit : matched ? .match : .noMatch, remainingWork: run.work)
    }

    private init(
        _ program: Program, _ subject: UnsafeRawBufferPointer, _ memory: Memory, _ work: UInt64, _ heapKiB: UInt32
    ) {
        self.program = program
        self.subject = subject
        self.memory = memory
        self.work = work
        maximumStack = Int(heapKiB) * 1_024 / MemoryLayout<Entry>.stride
    }

    // MARK: The run

    private mutating func run() -> Bool {
        while true {
            guard spend(1) else { return false }
            let instruction = program.instructions[place]
            place += 1
            if case .end = instruction, position == subject.count { return true }
            if !step(instruction), !goBack() { return false }
            if isExhausted { return false }
        }
    }

    /// Takes work; false, and the end of the run, where there is none left.
    private mutating func spend(_ amount: Int) -> Bool {
        guard work >= UInt64(amount) else {
            work = 0
            isExhausted = true
            return false
        }
        work -= UInt64(amount)
        return true
    }

    private mutating func push(_ entry: Entry) {
        if memory.stack.count >= maximumStack { isExhausted = true }
        memory.stack.append(entry)
    }

    private mutating func step(_ instruction: Program.Instruction) -> Bool {
        switch instruction {
        case .unit(let set):
            guard let (point, next) = decode(position), set.contains(point) else { return false }
            position = next
            return true
        case .units(let set, let minimum, let maximum): return takeUnits(set, minimum, maximum)
        case .anchor(let anchor, let multiline, let ascii): return holds(anchor, multiline, ascii)
        case .split(let other): push(.choice(other, position: position))
        case .jump(let target): place = target
        case .mark(let slot): setMark(slot, position)
        case .backreference(let group, let folding): return takeReference(group, folding)
        case .condition(let group, let otherwise): if !hasMatched(group) { place = otherwise }
        case .enterLoop(let loop): setLoop(loop, LoopState())
        case .testLoop(let loop): testLoop(loop)
        case .continueLoop(let loop): return continueLoop(loop)
        case .open(let register):
            memory.registers[register] = Register(height: memory.stack.count, position: position)
        case .close(let register, let rewinds):
            let opened = memory.registers[register]
            forgetChoices(since: opened.height)
            if rewinds { position = opened.position }
        case .refuse(let register):
            undo(to: memory.registers[register].height)
            return false
        case .back(let count): return goBack(codePoints: count)
        case .end: return false
        }
        return true
    }

    // MARK: Going back

    /// To the latest choice; false where there is none.
    private mutating func goBack() -> Bool {
        while let entry = memory.stack.popLast() {
            guard spend(1) else { return false }
            switch entry {
            case .choice(let target, let old):
                place = target
                position = old
                return true
            case .units(let target, let least, let old):
                position = before(old)
                place = target
                if position > least { memory.stack.append(.units(target, least: least, position: position)) }
                return true
            case .mark(let slot, let old): memory.marks[slot] = old
            case .loop(let loop, let old): memory.loops[loop] = old
            }
        }
        return false
    }

    /// Drops all entries above `height`, putting back what they remember.
    private mutating func undo(to height: Int) {
        while memory.stack.count > height, let entry = memory.stack.popLast() {
            guard spend(1) else { return }
            switch entry {
            case .choice, .units: break
            case .mark(let slot, let old): memory.marks[slot] = old
            case .loop(let loop, let old): memory.loops[loop] = old
            }
        }
    }

    /// Drops the choices above `height`, keeping what has to be put back later.
    private mutating func forgetChoices(since height: Int) {
        var kept = height
        for index in height..<memory.stack.count {
            guard spend(1) else { return }
            switch memory.stack[index] {
            case .choice, .units: break
            case .mark, .loop:
                memory.stack[kept] = memory.stack[index]
                kept += 1
            }
        }
        memory.stack.removeLast(memory.stack.count - kept)
    }

    private mutating func setMark(_ slot: Int, _ value: Int) {
        push(.mark(slot: slot, old: memory.marks[slot]))
        memory.marks[slot] = value
    }

    private mutating func setLoop(_ loop: Int, _ state: LoopState) {
        push(.loop(loop, old: memory.loops[loop]))
        memory.loops[loop] = state
    }

    // MARK: Loops

    private mutating func testLoop(_ number: Int) {
        let loop = program.loops[number]
        let state = memory.loops[number]
        if state.count < loop.minimum {
            setLoop(number, LoopState(count: state.count + 1, last: state.last))
            place = loop.body
        } else if loop.isLazy {
            push(.choice(loop.body - 1, position: position))
            place = loop.exit
        } else if mayGoOn(loop, state) {
            push(.choice(loop.exit, position: position))
            setLoop(number, LoopState(count: state.count + 1, last: position))
            place = loop.body
        } else {
            place = loop.exit
        }
    }

    private mutating func continueLoop(_ number: Int) -> Bool {
        let loop = program.loops[number]
        let state = memory.loops[number]
        guard mayGoOn(loop, state) else { return false }
        setLoop(number, LoopState(count: state.count + 1, last: position))
        place = loop.body
        return true
    }

    private func mayGoOn(_ loop: Program.Loop, _ state: LoopState) -> Bool {
        (loop.isUnlimited || state.count < loop.maximum) && position != state.last
    }

    private mutating func takeUnits(_ set: UnitSet, _ minimum: Int, _ maximum: Int) -> Bool {
        var count = 0
        var least = position
        let isUnlimited = maximum == RegexLimits.maximumRepeat
        while isUnlimited || count < maximum, let (point, next) = decode(position), set.contains(point) {
            guard spend(1) else { return false }
            position = next
            count += 1
            if count == minimum { least = position }
        }
        guard count >= minimum else { return false }
        if position > least { push(.units(place, least: least, position: position)) }
        return true
    }

    // MARK: Characters

    /// The code point at a place, and the place behind it; nil at the end.
    private func decode(_ place: Int) -> (UInt32, Int)? {
        guard place < subject.count else { return nil }
        let first = UInt32(subject[place])
        if first < 0x80 { return (first, place + 1) }
        let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard place + length <= subject.count else { return nil }
        var point = first & (0x7F >> UInt32(length))
        for offset in 1..<length { point = point << 6 | UInt32(subject[place + offset] & 0x3F) }
        return (point, place + length)
    }

    /// The start of the code point in front of a place, which is not the start of the subject.
    private func before(_ place: Int) -> Int {
        var place = place - 1
        while place > 0, subject[place] & 0xC0 == 0x80 { place -= 1 }
        return place
    }

    private mutating func goBack(codePoints count: Int) -> Bool {
        for _ in 0..<count {
            guard position > 0, spend(1) else { return false }
            position = before(position)
        }
        return true
    }

    private func hasMatched(_ group: Int) -> Bool {
        let (start, end) = (memory.marks[group * 2], memory.marks[group * 2 + 1])
        return start >= 0 && end >= start
    }

    private mutating func takeReference(_ group: Int, _ folding: Program.Folding) -> Bool {
        guard hasMatched(group) else { return false }
        var from = memory.marks[group * 2]
        let end = memory.marks[group * 2 + 1]
        while from < end {
            guard spend(1), let (wanted, nextFrom) = decode(from), let (found, next) = decode(position),
                Self.fold(wanted, folding) == Self.fold(found, folding)
            else { return false }
            from = nextFrom
            position = next
        }
        return true
    }

    private static func fold(_ point: UInt32, _ folding: Program.Folding) -> UInt32 {
        switch folding {
        case .none: point
        case .ascii: CaseFolding.lower(ascii: point)
        case .unicode: CaseFolding.lower(point)
        }
    }

    private func holds(_ anchor: Anchor, _ multiline: Bool, _ ascii: Bool) -> Bool {
        let newline: UInt8 = 0x0A
        switch anchor {
        case .beginningOfString: return position == 0
        case .endOfString: return position == subject.count
        case .beginning: return position == 0 || (multiline && subject[position - 1] == newline)
        case .end:
            if position == subject.count { return true }
            return subject[position] == newline && (multiline || position == subject.count - 1)
        case .boundary: return isBoundary(ascii)
        // In CPython's view an empty subject has neither a boundary nor a place without one.
        case .notBoundary: return !subject.isEmpty && !isBoundary(ascii)
        }
    }

    private func isBoundary(_ ascii: Bool) -> Bool {
        let set = ascii ? CharacterClasses.asciiWord : CharacterClasses.word
        let isWordBefore = position > 0 && (decode(before(position)).map { set.contains($0.0) } ?? false)
        let isWordBehind = decode(position).map { set.contains($0.0) } ?? false
        return isWordBefore != isWordBehind
    }
}

extension Array {
    /// `count` times the same, in the memory that there is.
    fileprivate mutating func refill(with element: Element, count: Int) {
        removeAll(keepingCapacity: true)
        append(contentsOf: repeatElement(element, count: count))
    }
}
