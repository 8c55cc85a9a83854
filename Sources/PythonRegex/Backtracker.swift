/// Runs a program over a subject, going back without recursion: its memory is a stack of its own, which is bounded.
struct Backtracker {
    /// What to do on the way back, the newest last. Positions are offsets in bytes.
    enum Entry {
        /// Go on here.
        case choice(place: Int32, position: Int32, Marks)
        /// Give back one code point at a time, down to `least`, and go on.
        case units(place: Int32, least: Int32, position: Int32, Marks)
        /// Put back the marks, and go further back.
        case marks(Marks)
        case loop(Int32, old: LoopState)
    }

    /// The latest mark at the time of a choice, and whether the marks up to it are kept in `Memory.keptMarks`.
    struct Marks {
        let last: Int32
        let areKept: Bool
    }

    struct LoopState {
        var count: UInt32 = 0
        /// Where the latest round began that was not required: a round without progress ends the loop.
        var last: Int32 = -1
    }

    /// Where an atomic group or a look began.
    struct Register {
        var height = 0
        var keptMarks = 0
        var position = 0
    }

    /// Working memory, kept between matches.
    struct Memory {
        var stack: [Entry] = []
        /// Where groups begin and end, in turn; -1 for what was never there. Going back does not clear a mark, it
        /// only counts as unset again: as in CPython, where a condition about an open group can tell.
        var marks: [Int32] = []
        /// The highest mark that counts.
        var lastMark: Int32 = -1
        var keptMarks: [Int32] = []
        var loops: [LoopState] = []
        var registers: [Register] = []

        fileprivate mutating func prepare(for program: Program) {
            stack.removeAll(keepingCapacity: true)
            keptMarks.removeAll(keepingCapacity: true)
            lastMark = -1
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
    ///   - subject: Valid UTF-8 of less than 2 GiB; a longer one is over the limit.
    ///   - work: How many steps it may take.
    static func match(
        _ program: Program, _ subject: UnsafeRawBufferPointer, work: UInt64, heapKiB: UInt32, memory: inout Memory
    ) -> Outcome {
        guard subject.count < Int32.max else { return Outcome(result: .limit, remainingWork: work) }
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
        if memory.stack.count + memory.keptMarks.count / 4 >= maximumStack { isExhausted = true }
        memory.stack.append(entry)
    }

    private mutating func step(_ instruction: Program.Instruction) -> Bool {
        switch instruction {
        case .unit(let set):
            guard let (point, next) = decode(position), program.units[set].contains(point) else { return false }
            position = next
            return true
        case .units(let set, let minimum, let maximum, let keepsMarks):
            return takeUnits(program.units[set], minimum, maximum, keepsMarks)
        case .anchor(let anchor, let multiline, let ascii): return holds(anchor, multiline, ascii)
        case .split(let other, let keepsMarks): pushChoice(other, keepsMarks)
        case .keepMarks: push(.marks(marksNow(true)))
        case .jump(let target): place = target
        case .mark(let slot): setMark(slot)
        case .backreference(let group, let folding): return takeReference(group, folding)
        case .condition(let group, let otherwise): if !hasMatched(group) { place = otherwise }
        case .enterLoop(let loop): setLoop(loop, LoopState())
        case .testLoop(let loop): testLoop(loop)
        case .continueLoop(let loop): return continueLoop(loop)
        case .open(let register):
            memory.registers[register] = Register(
                height: memory.stack.count, keptMarks: memory.keptMarks.count, position: position)
        case .close(let register, let rewinds):
            let opened = memory.registers[register]
            forgetChoices(since: opened)
            if rewinds { position = opened.position }
        case .refuse(let register):
            dropAll(since: memory.registers[register])
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
            case .choice(let target, let old, let marks):
                putBack(marks, keep: false)
                place = Int(target)
                position = Int(old)
                return true
            case .units(let target, let least, let old, let marks):
                position = before(Int(old))
                place = Int(target)
                if position > Int(least) {
                    putBack(marks, keep: true)
                    memory.stack.append(.units(place: target, least: least, position: Int32(position), marks))
                } else {
                    putBack(marks, keep: marks.areKept)
                    if marks.areKept { memory.stack.append(.marks(marks)) }
                }
                return true
            case .marks(let marks): putBack(marks, keep: false)
            case .loop(let loop, let old): memory.loops[Int(loop)] = old
            }
        }
        return false
    }

    private mutating func dropAll(since opened: Register) {
        while memory.stack.count > opened.height, let entry = memory.stack.popLast() {
            guard spend(1) else { return }
            if case .loop(let loop, let old) = entry { memory.loops[Int(loop)] = old }
        }
        memory.keptMarks.removeLast(memory.keptMarks.count - opened.keptMarks)
    }

    /// Drops the choices, keeping what has to be put back later.
    private mutating func forgetChoices(since opened: Register) {
        var kept = opened.height
        for index in opened.height..<memory.stack.count {
            guard spend(1) else { return }
            if case .loop = memory.stack[index] {
                memory.stack[kept] = memory.stack[index]
                kept += 1
            }
        }
        memory.stack.removeLast(memory.stack.count - kept)
        memory.keptMarks.removeLast(memory.keptMarks.count - opened.keptMarks)
    }

    private mutating func pushChoice(_ target: Program.Place, _ keepsMarks: Bool) {
        push(.choice(place: Int32(target), position: Int32(position), marksNow(keepsMarks)))
    }

    private mutating func setLoop(_ loop: Int, _ state: LoopState) {
        push(.loop(Int32(loop), old: memory.loops[loop]))
        memory.loops[loop] = state
    }

    // MARK: Marks

    private mutating func setMark(_ slot: Int) {
        if slot > Int(memory.lastMark) {
            for skipped in Int(memory.lastMark + 1)..<slot { memory.marks[skipped] = -1 }
            memory.lastMark = Int32(slot)
        }
        memory.marks[slot] = Int32(position)
    }

    private mutating func marksNow(_ keeps: Bool) -> Marks {
        let last = memory.lastMark
        if keeps, last >= 0 {
            memory.keptMarks += memory.marks[...Int(last)]
            _ = spend(Int(last) + 1)
        }
        return Marks(last: last, areKept: keeps)
    }

    private mutating func putBack(_ marks: Marks, keep: Bool) {
        memory.lastMark = marks.last
        let count = Int(marks.last) + 1
        guard marks.areKept, count > 0, spend(count) else { return }
        let start = memory.keptMarks.count - count
        for slot in 0..<count { memory.marks[slot] = memory.keptMarks[start + slot] }
        if !keep { memory.keptMarks.removeLast(count) }
    }

    private func hasMatched(_ group: Int) -> Bool {
        let slot = group * 2 - 2
        guard slot < Int(memory.lastMark) else { return false }
        let (start, end) = (memory.marks[slot], memory.marks[slot + 1])
        return start >= 0 && end >= start
    }

    // MARK: Loops

    private mutating func testLoop(_ number: Int) {
        let loop = program.loops[number]
        let state = memory.loops[number]
        if Int(state.count) < loop.minimum {
            setLoop(number, LoopState(count: state.count + 1, last: state.last))
            place = loop.body
        } else if loop.isLazy {
            pushChoice(loop.body - 1, loop.keepsMarks)
            place = loop.exit
        } else if mayGoOn(loop, state) {
            pushChoice(loop.exit, loop.keepsMarks)
            beginRound(number, loop, state)
        } else {
            place = loop.exit
        }
    }

    private mutating func continueLoop(_ number: Int) -> Bool {
        let loop = program.loops[number]
        let state = memory.loops[number]
        guard mayGoOn(loop, state) else { return false }
        beginRound(number, loop, state)
        return true
    }

    private mutating func beginRound(_ number: Int, _ loop: Program.Loop, _ state: LoopState) {
        // Counting on would overflow only after more work than is ever allowed.
        setLoop(number, LoopState(count: state.count &+ 1, last: Int32(position)))
        place = loop.body
    }

    private func mayGoOn(_ loop: Program.Loop, _ state: LoopState) -> Bool {
        (loop.isUnlimited || Int(state.count) < loop.maximum) && position != Int(state.last)
    }

    private mutating func takeUnits(
        _ set: UnitSet, _ minimum: Int, _ maximum: Int, _ keepsMarks: Bool
    ) -> Bool {
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
        if position > least {
            let marks = marksNow(keepsMarks)
            push(.units(place: Int32(place), least: Int32(least), position: Int32(position), marks))
        } else if keepsMarks {
            push(.marks(marksNow(true)))
        }
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

    private mutating func takeReference(_ group: Int, _ folding: Program.Folding) -> Bool {
        guard hasMatched(group) else { return false }
        var from = Int(memory.marks[group * 2 - 2])
        let end = Int(memory.marks[group * 2 - 1])
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
