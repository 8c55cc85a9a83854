/// Random numbers from a seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Writes random patterns, most of them proper ones, and subjects that have a chance to match.
struct RandomPattern {
    private var random: SeededGenerator
    private(set) var letters: [Unicode.Scalar] = []
    private var groups: [String?] = []
    private var openGroups: Set<Int> = []
    private var isVerbose = false

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

    /// A pattern and subjects for it.
    mutating func question(subjects: Int) -> Oracle.Question {
        letters = chance(15) ? randomPool() : pick(Self.pools)
        if chance(30) { letters += pick(Self.pools) }
        groups = []
        openGroups = []
        isVerbose = false
        switch below(10) {
        case 0: return Oracle.Question(pattern: chaos(), subjects: (0..<subjects).map { _ in text() })
        case 1:
            let proper = self.proper()
            return Oracle.Question(pattern: mutated(proper.text), subjects: (0..<subjects).map { _ in text() })
        default:
            let proper = self.proper()
            let subjects = (0..<subjects).map { _ in subject(of: proper) }
            return Oracle.Question(pattern: proper.text, subjects: subjects)
        }
    }

    private mutating func subject(of piece: Piece) -> String {
        switch below(8) {
        case 0: return ""
        case 1: return text()
        case 2, 3: return mutated(sample(piece))
        default: return sample(piece)
        }
    }

    private mutating func text() -> String {
        String(String.UnicodeScalarView((0..<below(7)).map { _ in pick(letters) }))
    }

    private mutating func mutated(_ text: String) -> String {
        var scalars = Array(text.unicodeScalars)
        for _ in 0...below(2) {
            let place = below(scalars.count + 1)
            switch below(4) {
            case 0 where place < scalars.count: scalars.remove(at: place)
            case 1 where place < scalars.count: scalars[place] = pick(letters)
            case 2 where place < scalars.count: scalars.insert(scalars[place], at: place)
            default: scalars.insert(chance(60) ? pick(letters) : pick(Self.syntax), at: place)
            }
        }
        return String(String.UnicodeScalarView(scalars))
    }

    // MARK: Proper patterns

    /// A piece of a pattern, with ways to write what it may match.
    indirect enum Piece {
        case fixed(String, samples: [String])
        case sequence([Piece])
        case alternatives([Piece], opening: String, closing: String)
        case quantified(Piece, String, Int, Int)

        var text: String {
            switch self {
            case .fixed(let text, _): text
            case .sequence(let pieces): pieces.map(\.text).joined()
            case .alternatives(let pieces, let opening, let closing):
                opening + pieces.map(\.text).joined(separator: "|") + closing
            case .quantified(let piece, let text, _, _): piece.text + text
            }
        }
    }

    private mutating func sample(_ piece: Piece) -> String {
        switch piece {
        case .fixed(_, let samples): return samples.isEmpty ? "" : pick(samples)
        case .sequence(let pieces): return pieces.map { sample($0) }.joined()
        case .alternatives(let pieces, _, _): return sample(pick(pieces))
        case .quantified(let piece, _, let low, let high):
            return (0..<(low + below(high - low + 1))).map { _ in sample(piece) }.joined()
        }
    }

    private mutating func proper() -> Piece {
        var opening = ""
        if chance(45) {
            opening = pick([
                "(?i)", "(?i)", "(?i)", "(?ai)", "(?a)", "(?m)", "(?s)", "(?x)", "(?im)", "(?u)", "(?ims)", "(?xi)",
                "(?i)(?m)", "(?ixms)",
            ])
            isVerbose = opening.contains("x")
        }
        return .sequence([.fixed(opening, samples: []), alternatives(depth: below(4), opening: "", closing: "")])
    }

    private mutating func alternatives(depth: Int, opening: String, closing: String) -> Piece {
        let count = chance(depth == 0 ? 15 : 40) ? 2 + below(2) : 1
        return .alternatives((0..<count).map { _ in sequence(depth: depth) }, opening: opening, closing: closing)
    }

    private mutating func sequence(depth: Int) -> Piece {
        let count = chance(8) ? 0 : 1 + below(depth == 0 ? 4 : 3)
        var pieces: [Piece] = []
        for _ in 0..<count {
            if chance(2) { pieces.append(.fixed("(?#\(pick(letters)))", samples: [""])) }
            if isVerbose, chance(40) { pieces.append(space()) }
            pieces.append(quantified(depth: depth))
        }
        return .sequence(pieces)
    }

    /// What verbose mode skips.
    private mutating func space() -> Piece {
        .fixed(pick([" ", "\n", "\t", "\r", "\u{B}", " #a\n", "#(\n", "#\n#[\n", "  "]), samples: [""])
    }

    private mutating func quantified(depth: Int) -> Piece {
        let atom = self.atom(depth: depth)
        guard chance(30) else { return atom }
        if chance(2) {
            let text = pick(["{0,70000}", "{,65535}", "{65536}", "{0,4294967294}", "{100}", "{20,}", "{,300}", "{3,1}"])
            return .quantified(atom, text + pick(["", "?", "+"]), 0, 3)
        }
        let (text, low, high) = pick([
            ("*", 0, 3), ("+", 1, 3), ("?", 0, 1), ("{2}", 2, 2), ("{1,2}", 1, 2), ("{,2}", 0, 2), ("{1,}", 1, 3),
            ("{0}", 0, 0), ("{0,1}", 0, 1), ("*", 0, 2), ("+", 1, 2), ("{3}", 3, 3), ("{2,3}", 2, 3), ("{,}", 0, 2),
        ])
        return .quantified(atom, text + pick(["", "", "", "?", "?", "+"]), low, high)
    }

    private mutating func atom(depth: Int) -> Piece {
        let kind = below(depth >= 4 ? 60 : 100)
        switch kind {
        case 0..<38: return literal()
        case 38..<42: return .fixed(".", samples: letters.map { String($0) })
        case 42..<50: return set()
        case 50..<55:
            let escape = pick(["\\d", "\\D", "\\w", "\\W", "\\s", "\\S"])
            return .fixed(escape, samples: ["1", "a", " ", "٣", "é", "-", "\u{1C}"] + letters.map { String($0) })
        case 55..<58: return .fixed(pick(["^", "$", "\\b", "\\B", "\\A", "\\Z"]), samples: [""])
        case 58..<60: return reference()
        case 60..<75: return capture(depth: depth)
        case 75..<85: return alternatives(depth: depth + 1, opening: "(?:", closing: ")")
        case 85..<88: return alternatives(depth: depth + 1, opening: "(?>", closing: ")")
        case 88..<93: return look(depth: depth)
        case 93..<96: return conditional(depth: depth)
        default:
            let flags = pick([
                "(?i:", "(?i:", "(?-i:", "(?a:", "(?s:", "(?m:", "(?u:", "(?i-s:", "(?ai:", "(?x:", "(?-x:", "(?-m:",
                "(?ix-ms:", "(?-s:", "(?ui-x:",
            ])
            let wasVerbose = isVerbose
            if let dash = flags.firstIndex(of: "-"), flags[dash...].contains("x") {
                isVerbose = false
            } else if flags.contains("x") {
                isVerbose = true
            }
            let body = alternatives(depth: depth + 1, opening: flags, closing: ")")
            isVerbose = wasVerbose
            return body
        }
    }

    private mutating func capture(depth: Int) -> Piece {
        let number = groups.count + 1
        let name = chance(25) ? "g\(number)" : nil
        groups.append(name)
        openGroups.insert(number)
        let body = alternatives(depth: depth + 1, opening: name.map { "(?P<\($0)>" } ?? "(", closing: ")")
        openGroups.remove(number)
        return body
    }

    private mutating func reference() -> Piece {
        // References to open groups and to none are refused; a few are enough.
        let known = groups.indices.map { $0 + 1 }.filter { chance(2) || !openGroups.contains($0) }
        guard !known.isEmpty || chance(5) else { return literal() }
        let number = known.isEmpty || chance(1) ? groups.count + 1 : pick(known)
        let samples = letters.map { String($0) } + [""]
        if number <= groups.count, let name = groups[number - 1], chance(50) {
            return .fixed("(?P=\(name))", samples: samples)
        }
        return .fixed(
            pick(["(?:\\\(number))", "\\\(number)", "(?i:\\\(number))", "(?ia:\\\(number))"]), samples: samples)
    }

    private mutating func look(depth: Int) -> Piece {
        if chance(50) {
            return .quantified(
                alternatives(depth: depth + 1, opening: chance(50) ? "(?=" : "(?!", closing: ")"), "", 0, 1)
        }
        // Most bodies of a fixed width, since others are refused.
        let body = (0..<below(3)).map { _ in chance(70) ? literal() : set() }
        let opening = chance(50) ? "(?<=" : "(?<!"
        if chance(20) { return .quantified(alternatives(depth: depth + 1, opening: opening, closing: ")"), "", 0, 1) }
        return .quantified(.alternatives([.sequence(body)], opening: opening, closing: ")"), "", 0, 1)
    }

    private mutating func conditional(depth: Int) -> Piece {
        guard !groups.isEmpty || chance(5) else { return literal() }
        let number = 1 + below(groups.count + (chance(3) ? 2 : groups.isEmpty ? 1 : 0))
        let name = (number <= groups.count ? groups[number - 1] : nil) ?? String(number)
        let yes = sequence(depth: depth + 1)
        var branches = chance(60) ? [yes, sequence(depth: depth + 1)] : [yes]
        if chance(1) { branches.append(yes) }
        return .alternatives(branches, opening: "(?(\(name))", closing: ")")
    }
}
