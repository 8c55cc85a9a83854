internal import func Glibc.memcmp

/// A pattern so simple that telling whether it matches needs no engine: a text, and behind it nothing or anything.
struct Shortcut: Sendable {
    enum Rest: Sendable {
        case nothing
        /// Anything but line feeds: `.*`, or `.+`.
        case line
        /// Anything at all: the same with the flag `s`.
        case text
    }

    let text: [UInt8]
    let rest: Rest
    /// Bytes of the rest at least: 1 for `.+`, since every character has one.
    let minimumRest: Int

    /// nil where the pattern is not so simple.
    init?(_ pattern: ParsedPattern, _ literals: RequiredLiterals) {
        if let exact = literals.exact {
            text = exact
            rest = .nothing
            minimumRest = 0
            return
        }
        guard let last = pattern.nodes.last, let tail = Shortcut.tail(last, pattern.flags),
            let text = RequiredLiterals.plainText(pattern.nodes.dropLast(), pattern.flags)
        else { return nil }
        self.text = text
        (rest, minimumRest) = tail
    }

    /// What a dot that is repeated without limit stands for. It is the last: how greedy it is makes no difference.
    private static func tail(_ node: Node, _ flags: Flags) -> (Rest, Int)? {
        switch node {
        case .group(_, let adding, let removing, let body):
            guard body.count == 1 else { return nil }
            return tail(body[0], flags.adding(adding, removing: removing))
        case .atomic(let body): return body.count == 1 ? tail(body[0], flags) : nil
        case .quantified(_, let minimum, let maximum, let body):
            guard minimum <= 1, maximum == RegexLimits.maximumRepeat, body.count == 1, case .any = body[0] else {
                return nil
            }
            return (flags.contains(.dotAll) ? .text : .line, minimum)
        case .literal, .notLiteral, .any, .set, .anchor, .branch, .look, .backreference, .conditional: return nil
        }
    }

    /// In units of work.
    @inline(__always)
    static func cost(of subject: UnsafeRawBufferPointer) -> UInt64 {
        1 &+ UInt64(truncatingIfNeeded: subject.count &>> 7)
    }

    func matches(_ subject: UnsafeRawBufferPointer) -> Bool {
        text.withUnsafeBytes { Shortcut.matches(subject, $0, rest, minimumRest) }
    }

    /// The same with everything at hand, so that nothing is counted or looked up.
    @inline(__always)
    static func matches(
        _ subject: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer, _ rest: Rest, _ minimumRest: Int
    ) -> Bool {
        let left = subject.count &- text.count
        switch rest {
        case .nothing: guard left == 0 else { return false }
        case .line, .text: guard left >= minimumRest else { return false }
        }
        if text.count > 0 {
            guard let here = subject.baseAddress, let there = text.baseAddress, memcmp(here, there, text.count) == 0
            else { return false }
        }
        switch rest {
        case .nothing, .text: return true
        case .line: return !hasLineFeed(subject, from: text.count)
        }
    }

    /// Eight bytes at a time: most subjects are too short for a call to pay.
    @inline(__always)
    private static func hasLineFeed(_ subject: UnsafeRawBufferPointer, from start: Int) -> Bool {
        guard let base = subject.baseAddress else { return false }
        let ones: UInt64 = 0x0101_0101_0101_0101
        var at = start
        while at &+ 8 <= subject.count {
            let differences = base.loadUnaligned(fromByteOffset: at, as: UInt64.self) ^ (ones &* 0x0A)
            // A byte that is 0 borrows from its high bit.
            if (differences &- ones) & ~differences & (ones &<< 7) != 0 { return true }
            at &+= 8
        }
        while at < subject.count {
            if base.load(fromByteOffset: at, as: UInt8.self) == 0x0A { return true }
            at &+= 1
        }
        return false
    }
}
