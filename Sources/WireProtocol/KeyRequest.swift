public import TupleCore

/// A GET of one key, told from the request's bytes: its expression for the key is plain text, that for the value is `.*`.
/// It is answered by looking the key up, without a regular expression ever being made.
public struct KeyRequest {
    /// The packed key.
    public let key: [UInt8]

    /// Longer requests are read as a ``Request``.
    private static let maximumPayloadBytes = 2_048

    /// - Returns: nil where the payload is anything else, or where more than one key may match the text: one in which a
    ///   comma stands can be split into elements in several ways, unless the rule excludes commas from elements.
    /// - Complexity: O(bytes).
    public init?(request payload: ArraySlice<UInt8>, rule: ElementRule) {
        guard payload.count <= KeyRequest.maximumPayloadBytes else { return nil }
        let found: [UInt8]? = payload.withUnsafeBytes { bytes in
            var reader = PairReader(bytes: bytes, rule: rule)
            guard reader.expectsGet(), let key = reader.plainKey(), reader.expectsAnything(), reader.isAtEnd else {
                return nil
            }
            return key
        }
        guard let found else { return nil }
        key = found
    }
}

extension PairReader {
    /// The operator's name, and the list of two expressions.
    fileprivate mutating func expectsGet() -> Bool {
        guard bytes.count >= 6, bytes[0] == 3, bytes[1] == UInt8(ascii: "G"), bytes[2] == UInt8(ascii: "E"),
            bytes[3] == UInt8(ascii: "T"), bytes[4] == 5, bytes[5] == 2
        else { return false }
        at = 6
        return true
    }

    /// The expression `.*` for all elements together.
    fileprivate mutating func expectsAnything() -> Bool {
        guard bytes.count - at >= 4, bytes[at] == 4, bytes[at + 1] == 2, bytes[at + 2] == UInt8(ascii: "."),
            bytes[at + 3] == UInt8(ascii: "*")
        else { return false }
        at += 4
        return true
    }

    /// The one key that the expression, or the list of one for each element, matches.
    fileprivate mutating func plainKey() -> [UInt8]? {
        guard at < bytes.count else { return nil }
        let tag = bytes[at]
        at += 1
        if tag == 4 {
            guard let text = run(), isPlainText(text, mayHaveCommas: rule == .alphanumeric) else { return nil }
            return [UInt8](text)
        }
        guard tag == 5, let count = length(), count > 0 else { return nil }
        var key: [UInt8] = []
        for position in 0..<count {
            guard at < bytes.count, bytes[at] == 4 else { return nil }
            at += 1
            guard let text = run(), isPlainText(text, mayHaveCommas: false) else { return nil }
            if position > 0 { key.append(UInt8(ascii: ",")) }
            key.append(contentsOf: text)
        }
        return key
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

extension Answer {
    /// The payload of an answer of one pair of packed tuples.
    public static func payloadBytes(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> [UInt8] {
        var writer = ByteWriter()
        writer.bytes.reserveCapacity(key.count + value.count + 32)
        writer.byte(Status.ok.rawValue)
        writer.length(0)
        writer.length(0)
        writer.length(1)
        writer.tuple(key)
        writer.tuple(value)
        writer.length(0)
        return writer.bytes
    }
}
