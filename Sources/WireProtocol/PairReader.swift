import TupleCore

import func Glibc.memchr

/// Reads the few forms that the requests about one pair, and their entries, have.
struct PairReader {
    let bytes: UnsafeRawBufferPointer
    let rule: ElementRule
    var at = 0

    init(bytes: UnsafeRawBufferPointer, rule: ElementRule) {
        self.bytes = bytes
        self.rule = rule
    }

    var isAtEnd: Bool { at == bytes.count }

    /// One update of a ``PairEntry``.
    mutating func update() -> PackedPairUpdate? {
        func number(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at + offset, as: UInt64.self))
        }
        guard bytes.count - at >= 25, bytes[at + 24] <= 1 else { return nil }
        let (session, sequence, lowWater) = (number(0), number(8), number(16))
        let replaces = bytes[at + 24] == 1
        at += 25
        guard let key = run(), let value = run(), Tuple.isWellFormed(key), Tuple.isWellFormed(value) else { return nil }
        return PackedPairUpdate(
            session: SessionID(session), sequence: RequestSequence(sequence), lowWater: RequestSequence(lowWater),
            replaces: replaces, key: key, value: value)
    }

    mutating func expects(_ wanted: StaticBytes) -> Bool {
        guard bytes.count - at >= 4, bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self) == wanted.word else {
            return false
        }
        at += 4
        return true
    }

    /// Four bytes, as they follow each other.
    struct StaticBytes: ExpressibleByArrayLiteral {
        let word: UInt32
        init(arrayLiteral elements: UInt8...) {
            word = UInt32(littleEndian: elements.reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
    }

    /// PUT or POST: whether it is the latter.
    mutating func operatorName() -> Bool? {
        guard bytes.count >= 5 else { return nil }
        if bytes[0] == 3, bytes[1] == UInt8(ascii: "P"), bytes[2] == UInt8(ascii: "U"), bytes[3] == UInt8(ascii: "T") {
            at = 4
            return false
        }
        if bytes[0] == 4, bytes[1] == UInt8(ascii: "P"), bytes[2] == UInt8(ascii: "O"), bytes[3] == UInt8(ascii: "S"),
            bytes[4] == UInt8(ascii: "T")
        {
            at = 5
            return true
        }
        return nil
    }

    /// A length of at most three bytes, in its shortest form.
    mutating func length() -> Int? {
        guard at < bytes.count else { return nil }
        let low = Int(bytes[at])
        at += 1
        guard low >= 0x80 else { return low }
        guard at < bytes.count else { return nil }
        let middle = Int(bytes[at])
        at += 1
        guard middle >= 0x80 else { return middle > 0 ? low & 0x7F | middle << 7 : nil }
        guard at < bytes.count, bytes[at] < 0x80, bytes[at] > 0 else { return nil }
        at += 1
        return low & 0x7F | (middle & 0x7F) << 7 | Int(bytes[at - 1]) << 14
    }

    mutating func run() -> UnsafeRawBufferPointer? {
        guard let length = length(), length <= bytes.count - at else { return nil }
        at += length
        return UnsafeRawBufferPointer(rebasing: bytes[at - length..<at])
    }

    /// Packs a list of strings, behind its length.
    ///
    /// - Returns: where the packed tuple is.
    mutating func tuple(into out: UnsafeMutableRawBufferPointer, at begin: Int) -> Range<Int>? {
        guard at < bytes.count, bytes[at] == 5 else { return nil }
        at += 1
        guard let count = length(), count > 0, count <= Limits.maximumTupleElements else { return nil }
        let first = at
        var total = count - 1
        for _ in 0..<count {
            guard at < bytes.count, bytes[at] == 4 else { return nil }
            at += 1
            guard let element = run(), isPlain(element) else { return nil }
            total += element.count
        }
        guard total <= Limits.maximumTupleBytes else { return nil }
        var end = begin
        var rest = total
        while rest >= 0x80 {
            out[end] = UInt8(rest & 0x7F) | 0x80
            rest >>= 7
            end += 1
        }
        out[end] = UInt8(rest)
        end += 1
        let packed = end..<end + total
        at = first
        for position in 0..<count {
            at += 1
            guard let element = run() else { return nil }
            if position > 0 {
                out[end] = UInt8(ascii: ",")
                end += 1
            }
            UnsafeMutableRawBufferPointer(rebasing: out[end..<end + element.count]).copyMemory(from: element)
            end += element.count
        }
        return packed
    }

    /// Whether the element is allowed, and packs as it is.
    private func isPlain(_ element: UnsafeRawBufferPointer) -> Bool {
        guard element.count <= Limits.maximumElementBytes, rule.allows(element) else { return false }
        switch rule {
        case .alphanumeric: return true
        case .text:
            return element.baseAddress.map { memchr($0, Int32(UInt8(ascii: ",")), element.count) == nil } ?? true
        }
    }
}

extension PairReader {
    /// The operator's name, and the list of two expressions.
    mutating func expectsGet() -> Bool {
        guard bytes.count >= 6, bytes[0] == 3, bytes[1] == UInt8(ascii: "G"), bytes[2] == UInt8(ascii: "E"),
            bytes[3] == UInt8(ascii: "T"), bytes[4] == 5, bytes[5] == 2
        else { return false }
        at = 6
        return true
    }

    /// The expression `.*` for all elements together.
    mutating func expectsAnything() -> Bool {
        guard bytes.count - at >= 4, bytes[at] == 4, bytes[at + 1] == 2, bytes[at + 2] == UInt8(ascii: "."),
            bytes[at + 3] == UInt8(ascii: "*")
        else { return false }
        at += 4
        return true
    }

    /// Puts the one key that the expression, or the list of one for each element, matches to `out`, packed.
    ///
    /// - Returns: where it is.
    mutating func plainKey(into out: UnsafeMutableRawBufferPointer, at begin: Int) -> Range<Int>? {
        guard at < bytes.count else { return nil }
        let tag = bytes[at]
        at += 1
        var end = begin
        func put(_ text: UnsafeRawBufferPointer) {
            UnsafeMutableRawBufferPointer(rebasing: out[end..<end + text.count]).copyMemory(from: text)
            end += text.count
        }
        if tag == 4 {
            guard let text = run(), isPlainText(text, mayHaveCommas: rule == .alphanumeric) else { return nil }
            put(text)
            return begin..<end
        }
        guard tag == 5, let count = length(), count > 0 else { return nil }
        for position in 0..<count {
            guard at < bytes.count, bytes[at] == 4 else { return nil }
            at += 1
            guard let text = run(), isPlainText(text, mayHaveCommas: false) else { return nil }
            if position > 0 {
                out[end] = UInt8(ascii: ",")
                end += 1
            }
            put(text)
        }
        return begin..<end
    }

    /// Whether an expression means nothing but its own characters.
    private func isPlainText(_ text: UnsafeRawBufferPointer, mayHaveCommas: Bool) -> Bool {
        guard !text.isEmpty else { return false }
        for byte in text {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: ":"),
                UInt8(ascii: "/"), UInt8(ascii: "@"), UInt8(ascii: " "):
                continue
            case UInt8(ascii: ","):
                if mayHaveCommas { continue }
                return false
            default: return false
            }
        }
        return true
    }
}
