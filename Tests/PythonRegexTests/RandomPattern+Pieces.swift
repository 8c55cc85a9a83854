extension RandomPattern {
    /// Characters that have something to do with one another; a pattern is written with those of one or two pools.
    static let pools: [[Unicode.Scalar]] = [
        ["a", "b", "c"], ["a", "b", "1", "_", " "], ["a", "A", "b", "B"], ["k", "K", "\u{212A}", "s", "S", "ſ"],
        ["i", "I", "İ", "ı", "\u{307}"], ["ß", "ẞ", "s", "S"], ["µ", "μ", "Μ", "a"], ["σ", "ς", "Σ"],
        ["\u{345}", "ι", "Ι", "\u{1FBE}"], ["\u{10400}", "\u{10428}", "x"], ["é", "É", "e", "\u{301}"],
        ["٣", "3", "\u{1D7D9}", "a"], ["\n", "a", "\r", "\u{85}"], [" ", "\u{1C}", "\u{A0}", "\u{180E}", "\u{2028}"],
        ["\0", "a", "\u{7F}"], ["{", "}", ",", "1", "a"], ["[", "]", "-", "^"], ["\\", "(", ")", "|"],
        ["ﬁ", "f", "i"], ["ﬅ", "ﬆ", "t"], ["\u{FFFF}", "\u{10000}", "\u{10FFFF}"], ["ა", "Ა", "ꭰ", "Ꭰ"],
        ["ǅ", "Ǆ", "ǆ"], ["\u{1C80}", "в", "В"], ["a", ".", "$", "#", " "], ["漢", "字", "_", "-"],
        ["θ", "ϑ", "ϴ", "Θ"], ["å", "Å", "\u{212B}"], ["ω", "Ω", "\u{2126}"], ["ᾳ", "ᾼ", "α"], ["ŉ", "ʼ", "n"],
        ["\u{2028}", "\u{2029}", "\n", "\u{B}", "\u{C}"], ["ͅ", "ͅ", "ΐ", "\u{1FD3}"], ["\u{1E9B}", "ṡ", "Ṡ"],
        // Where Unicode 14 and later versions differ: what CPython 3.11 does not know yet.
        ["\u{A7CB}", "\u{264}", "\u{10D50}", "\u{10D70}"], ["\u{1B132}", "\u{1DF2B}", "\u{10EFD}", "\u{11F50}"],
        // What Unicode 14 brought.
        ["\u{10570}", "\u{10597}", "\u{2C2F}", "\u{2C5F}"], ["\u{1E900}", "\u{1E922}", "\u{118A0}", "\u{118C0}"],
    ]

    /// Where case means something, all of them.
    private static let cased: [Unicode.Scalar] = (UInt32(0x80)...0x1E943).compactMap(Unicode.Scalar.init).filter {
        $0.properties.isCased || $0.properties.changesWhenCaseMapped
    }

    /// A few scalars, and what they are in another case.
    mutating func randomPool() -> [Unicode.Scalar] {
        var pool: [Unicode.Scalar] = []
        for _ in 0...below(2) {
            if chance(70) {
                let scalar = pick(Self.cased)
                pool.append(scalar)
                let properties = scalar.properties
                for mapped in [properties.lowercaseMapping, properties.uppercaseMapping, properties.titlecaseMapping] {
                    pool += mapped.unicodeScalars
                }
            } else if let scalar = Unicode.Scalar(UInt32(below(chance(70) ? 0x3000 : 0x110000))) {
                pool.append(scalar)
            }
        }
        return pool.isEmpty ? ["a"] : pool
    }

    static let syntax: [Unicode.Scalar] = Array(
        "()[]{}*+?|^$.\\-:<>=!#P,0128iamsxuLtdDsSwWbBAZNxuU& \n".unicodeScalars)

    static let tokens = [
        "(", ")", "(?:", "(?P<n>", "(?P<m>", "(?P=n)", "(?P>n)", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?(1)", "(?(n)",
        "(?(2)", "(?i)", "(?x)", "(?a:", "(?u)", "(?-i:", "(?s-i:", "(?L)", "(?t)", "(?ax)", "(?#", "(?R)", "(?1)",
        "(?&n)", "(?|", "(?'n'", "(?<n>", "(*FAIL)", "(?C1)", "(?^)", "[", "[^", "]", "[:alpha:]", "[]", "-", "\\",
        "\\d", "\\w", "\\s", "\\b", "\\B", "\\A", "\\Z", "\\z", "\\h", "\\R", "\\K", "\\Q", "\\E", "\\e", "\\g1",
        "\\k<n>", "\\N", "\\N{DIGIT ONE}", "\\N{U+41}", "\\N{nosuch}", "\\N{", "\\N{}", "\\p{L}", "\\X", "\\x4",
        "\\x41", "\\x{41}", "\\u0061", "\\u00e", "\\U0001F600", "\\U00110000", "\\Uffffffff", "\\ud800", "\\0", "\\01",
        "\\1", "\\2", "\\8", "\\11", "\\101", "\\400", "\\777", "\\119", "{", "}", "{1}", "{1,2}", "{,2}", "{,}",
        "{2,}", "{2,1}", "{99999999999}", "{4294967295}", "{4294967294}", "*", "+", "?", "*?", "+?", "??", "*+", "++",
        "?+", "{1}+", "{,3}?", "|", "^", "$", ".", " ", "\n", "#", "a", "b", "é", "K", "_", "1", "&&", "--", "~~",
        "||", "\u{85}", "\u{2028}", "\0", "(?( 1 )", "(?(+1)", "(?(٣)", "(?(1_0)", "(?(-1)", "(?(0)", "(?P<é>",
        "(?P<1>", "(?P<n", "(?P=", "(?P", "(?", "(?<", "(?(", "(?(1", "(?i", "(?-", "(?i-", "(?i-i:", "(?a-i:",
        "(?-a:", "(?au)", "(?au:", "(?aL:", "(?z)", "(?iz)", "(?i-z:", "(?i-x:", "(?m)", "(?s)", "(?x:", "(?-x:",
        "(?ims)", "(?u:", "[a-\\d]", "[\\d-a]", "[b-a]", "[\\b]", "[\\B]", "[\\1]", "[\\8]", "[\\400]",
        "(?#c)", "\\\n", "\\é", "\\_", "\\ ", "\\😀", "(?é)", "(?P<漢>", "(?P<a b>", "(?P<'>", "(?P<\">",
    ]

    mutating func chaos() -> String {
        (0...below(8)).map { _ in pick(Self.tokens) }.joined()
    }

    // MARK: Characters

    mutating func literal() -> Piece {
        let scalar = pick(letters)
        let samples = [String(scalar), String(scalar), pick(letters).description]
        return .fixed(chance(70) ? escaped(scalar) : escape(scalar), samples: samples)
    }

    /// Some way to write a character as an escape, where there is one.
    private mutating func escape(_ scalar: Unicode.Scalar) -> String {
        switch below(6) {
        case 0 where scalar.value <= 0xFF: return "\\x" + hex(scalar.value, 2)
        case 1 where scalar.value <= 0xFFFF: return "\\u" + hex(scalar.value, 4)
        case 2: return "\\U" + hex(scalar.value, 8)
        case 3 where scalar.value <= 0o377:
            let digits = String(scalar.value, radix: 8)
            let width = scalar.value <= 0o77 && chance(30) ? below(2) : 3
            let zeros = String(repeating: "0", count: max(0, width - digits.count))
            // Fewer than three digits are a character only behind a zero.
            return "\\" + (width < 3 ? "0" : "") + zeros + digits
        case 4:
            if let age = scalar.properties.age, age.major <= 14, let name = scalar.properties.name {
                return "\\N{" + (chance(50) ? name : name.lowercased()) + "}"
            }
            return escaped(scalar)
        default: return escaped(scalar)
        }
    }

    private func hex(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    func escaped(_ scalar: Unicode.Scalar) -> String {
        let isSpecial = "()[]{}*+?|^$.\\#- \n".unicodeScalars.contains(scalar)
        return isSpecial ? "\\" + String(scalar) : String(scalar)
    }

    mutating func set() -> Piece {
        var text = chance(25) ? "[^" : "["
        if chance(5) { text += "]" }
        for _ in 0...below(3) {
            switch below(10) {
            case 0: text += pick(["\\d", "\\w", "\\s", "\\D", "\\W", "\\S"])
            case 1, 2:
                let ends = [pick(letters), pick(letters)].sorted()
                text += (chance(30) ? escape(ends[0]) : escaped(ends[0])) + "-" + escaped(ends[1])
            case 3:
                text += pick([
                    "a-z", "A-Z", "0-9", "\\0-\\x7f", "à-ö", "\\u0100-\\u02ff", "\\uffff-\\U00010450", "[", ".",
                    "\\ud7ff-\\ue000", "\\U00010400-\\U0010ffff", "Ā-\\uffff", "\\0-\\U0010ffff", "Α-Ω", "\\b",
                ])
            case 4 where chance(40):
                text += pick([
                    "[:alpha:]", "[a]", "&&", "--", "~~", "||", "\\d-", "-\\d", "-", "^", "\\-", "a-\\w", "\\w-z", "#",
                    " ",
                    "\\ud800", "\\udfff-\\U00010000",
                ])
            case 5: text += escape(pick(letters))
            default: text += escaped(pick(letters))
            }
        }
        return .fixed(text + "]", samples: letters.map { String($0) })
    }
}
