/// Characters by name, as `unicodedata.lookup` of CPython 3.11 finds them.
enum CharacterNames {
    /// Names that are looked up by rule, and only in capitals.
    private static let ideograph = "CJK UNIFIED IDEOGRAPH-"
    private static let syllable = "HANGUL SYLLABLE "
    /// Names that CPython 3.11 does not know.
    private static let tangut = "TANGUT IDEOGRAPH-"

    /// The ideographs of Unicode 14 that have their code point for a name.
    private static let ideographs = CodePointSet([
        0x3400...0x4DBF, 0x4E00...0x9FFF, 0x20000...0x2A6DF, 0x2A700...0x2B738, 0x2B740...0x2B81D,
        0x2B820...0x2CEA1, 0x2CEB0...0x2EBE0, 0x30000...0x3134A,
    ])

    /// The planes in which characters have names.
    private static let named: [ClosedRange<UInt32>] = [0...0x1FFFF, 0x2F800...0x2FA1F, 0xE0000...0xE01EF]

    /// No name is longer.
    private static let maximumNameBytes = 128

    /// The scalar of a name, in any case of letters; nil where there is none. Sequences of several have none here.
    /// - Complexity: O(log *names*); the first call builds an index, which takes some ten milliseconds.
    static func lookup(_ name: [CodePoint]) -> Unicode.Scalar? {
        guard name.count <= maximumNameBytes, name.allSatisfy(\.isASCII) else { return nil }
        let text = String(codePoints: name)
        if text.hasPrefix(ideograph) { return lookupIdeograph(name.dropFirst(ideograph.utf8.count)) }
        let capitals = text.uppercased()
        if capitals.hasPrefix(syllable), !text.hasPrefix(syllable) { return nil }
        return aliases[capitals] ?? lookupIndexed(capitals)
    }

    private static func lookupIdeograph(_ digits: ArraySlice<CodePoint>) -> Unicode.Scalar? {
        guard digits.count == 4 || digits.count == 5 else { return nil }
        guard digits.allSatisfy({ $0.isHexDigit && $0 < "a" }) else { return nil }
        let value = Array(digits).number(base: 16)
        return ideographs.contains(value) ? Unicode.Scalar(value) : nil
    }

    // MARK: The index

    private struct Entry {
        let hash: UInt64
        let scalar: Unicode.Scalar
    }

    private static let index: [Entry] = {
        var entries: [Entry] = []
        for range in named {
            for value in range {
                guard let scalar = Unicode.Scalar(value), let name = name(of: scalar) else { continue }
                entries.append(Entry(hash: hash(name), scalar: scalar))
            }
        }
        return entries.sorted { ($0.hash, $0.scalar.value) < ($1.hash, $1.scalar.value) }
    }()

    private static let aliases: [String: Unicode.Scalar] = {
        var result: [String: Unicode.Scalar] = [:]
        for (name, value) in AliasTable.entries { result[name] = Unicode.Scalar(value) }
        return result
    }()

    /// The name, for a character that Unicode 14 has.
    private static func name(of scalar: Unicode.Scalar) -> String? {
        guard let age = scalar.properties.age, age.major <= 14, let name = scalar.properties.name else { return nil }
        return name.hasPrefix(ideograph) || name.hasPrefix(tangut) ? nil : name
    }

    private static func lookupIndexed(_ name: String) -> Unicode.Scalar? {
        let wanted = hash(name)
        var low = 0
        var high = index.count
        while low < high {
            let middle = (low + high) / 2
            if index[middle].hash < wanted { low = middle + 1 } else { high = middle }
        }
        while low < index.count, index[low].hash == wanted {
            if index[low].scalar.properties.name == name { return index[low].scalar }
            low += 1
        }
        return nil
    }

    /// FNV-1a, which needs no seed and so is the same in each process.
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
