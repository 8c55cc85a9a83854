/// What CPython 3.11 takes a character for. The tables are of Unicode 14, whatever newer version PCRE2 and Swift know.
enum CharacterClasses {
    static let word = CodePointSet(pairs: ClassTables.word)
    static let digit = CodePointSet(pairs: ClassTables.digit)
    static let space = CodePointSet(pairs: ClassTables.space)
    private static let alphabetic = CodePointSet(pairs: ClassTables.alphabetic)
    private static let printable = CodePointSet(pairs: ClassTables.printable)
    private static let identifierStart = CodePointSet(pairs: ClassTables.identifierStart)
    private static let identifierPart = CodePointSet(pairs: ClassTables.identifierPart)

    static let asciiWord = CodePointSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let asciiDigit = CodePointSet([0x30...0x39])
    static let asciiSpace = CodePointSet([0x09...0x0D, 0x20...0x20])

    static func isSpace(_ point: CodePoint) -> Bool { space.contains(point.value) }
    static func isAlphabetic(_ point: CodePoint) -> Bool { alphabetic.contains(point.value) }
    static func isPrintable(_ point: CodePoint) -> Bool { printable.contains(point.value) }
    static func isIdentifierStart(_ point: CodePoint) -> Bool { identifierStart.contains(point.value) }
    static func isIdentifierPart(_ point: CodePoint) -> Bool { identifierPart.contains(point.value) }

    /// What a decimal digit of any script is worth. Digits come in runs of ten, from zero to nine.
    static func decimalValue(_ point: CodePoint) -> Int? {
        guard let range = digit.ranges.first(where: { $0.contains(point.value) }) else { return nil }
        return Int((point.value - range.lowerBound) % 10)
    }

    private static let notWord = word.complement
    private static let notDigit = digit.complement
    private static let notSpace = space.complement
    private static let asciiNotWord = asciiWord.complement
    private static let asciiNotDigit = asciiDigit.complement
    private static let asciiNotSpace = asciiSpace.complement

    /// What a category holds, with or without the ASCII flag.
    static func members(of category: Category, ascii: Bool) -> CodePointSet {
        switch category {
        case .digit: ascii ? asciiDigit : digit
        case .notDigit: ascii ? asciiNotDigit : notDigit
        case .space: ascii ? asciiSpace : space
        case .notSpace: ascii ? asciiNotSpace : notSpace
        case .word: ascii ? asciiWord : word
        case .notWord: ascii ? asciiNotWord : notWord
        }
    }
}
