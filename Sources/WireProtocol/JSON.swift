public import TupleCore

/// JSON (RFC 8259) to terms and back. Strict in what it reads; numbers stay the text they were, members of objects keep
/// their order, and what is written is safe to show on a terminal.
public enum JSON {
    /// The term that `bytes` say, white space around it allowed.
    ///
    /// - Throws: ``JSONError``, with the place: also where it nests deeper than ``Limits/maximumTermDepth`` or is more
    ///   than ``Limits/maximumTermsPerPayload`` terms.
    /// - Complexity: O(bytes).
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> Term { try parse(bytes[...]) }

    /// As above, for a part of a larger text; the places in errors count from the part's beginning.
    public static func parse(_ bytes: ArraySlice<UInt8>) throws(JSONError) -> Term {
        var parser = JSONParser(bytes)
        return try parser.document()
    }

    /// The term as JSON without white space, in UTF-8.
    ///
    /// - Complexity: O(bytes).
    public static func text(_ term: Term) -> [UInt8] {
        var output: [UInt8] = []
        write(term, to: &output)
        return output
    }

    /// Appends the term as JSON. Control characters (C0, DEL and C1), and those that reorder a line or end it
    /// (``Invisible``), are escaped; bytes of a string that are not UTF-8
    /// become U+FFFD; a number whose text is none (a peer may send that) becomes a string.
    public static func write(_ term: Term, to output: inout [UInt8]) {
        switch term {
        case .null: output.append(contentsOf: "null".utf8)
        case .boolean(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
        case .number(let text):
            if Term.isNumber(text.utf8) {
                output.append(contentsOf: text.utf8)
            } else {
                write(string: [UInt8](text.utf8), to: &output)
            }
        case .string(let bytes): write(string: bytes, to: &output)
        case .list(let items):
            output.append(UInt8(ascii: "["))
            for (position, item) in items.enumerated() {
                if position > 0 { output.append(UInt8(ascii: ",")) }
                write(item, to: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let members):
            output.append(UInt8(ascii: "{"))
            for (position, member) in members.enumerated() {
                if position > 0 { output.append(UInt8(ascii: ",")) }
                write(string: member.name, to: &output)
                output.append(UInt8(ascii: ":"))
                write(member.value, to: &output)
            }
            output.append(UInt8(ascii: "}"))
        }
    }

    private static func write(string bytes: [UInt8], to output: inout [UInt8]) {
        guard UTF8Check.isValid(bytes) else {
            return write(string: [UInt8](String(decoding: bytes, as: UTF8.self).utf8), to: &output)
        }
        output.append(UInt8(ascii: "\""))
        var at = 0
        while at < bytes.count {
            let byte = bytes[at]
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): output.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case 0x0A: output.append(contentsOf: "\\n".utf8)
            case 0x0D: output.append(contentsOf: "\\r".utf8)
            case 0x09: output.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7F: escape(UInt16(byte), to: &output)
            case 0x80...:
                if let found = Invisible.at(at, of: bytes) {
                    escape(found.code, to: &output)
                    at += found.count - 1
                } else {
                    output.append(byte)
                }
            default: output.append(byte)
            }
            at += 1
        }
        output.append(UInt8(ascii: "\""))
    }

    /// Appends `\u` and the four digits.
    public static func escape(_ code: UInt16, to output: inout [UInt8]) {
        let digits = [UInt8]("0123456789abcdef".utf8)
        output.append(contentsOf: "\\u".utf8)
        for shift in [12, 8, 4, 0] { output.append(digits[Int(code >> UInt16(shift)) & 15]) }
    }
}

/// Characters beyond ASCII that a terminal, or whoever reads a line, would act on without showing them: the controls C1,
/// those that reorder text (Unicode's Bidi_Control), and the line and paragraph separators.
public enum Invisible {
    /// The code of such a character that begins at `at`, and its bytes; nil where there is none.
    public static func at(_ at: Int, of bytes: [UInt8]) -> (code: UInt16, count: Int)? {
        guard at + 1 < bytes.count else { return nil }
        let (first, second) = (bytes[at], bytes[at + 1])
        if first == 0xC2 { return second < 0xA0 ? (UInt16(second), 2) : nil }
        // U+061C.
        if first == 0xD8 { return second == 0x9C ? (0x061C, 2) : nil }
        guard first == 0xE2, at + 2 < bytes.count, second == 0x80 || second == 0x81 else { return nil }
        let code = 0x2000 | UInt16(second & 0x3F) << 6 | UInt16(bytes[at + 2] & 0x3F)
        switch code {
        case 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: return (code, 3)
        default: return nil
        }
    }
}

/// Why a text is no JSON, and where.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: Hashable, Sendable {
        case end
        case unexpected(UInt8)
        case trailing
        case number
        case escape
        /// `\ud800` to `\udfff` without its other half: no Unicode text.
        case loneSurrogate
        case controlCharacter
        case notUTF8
        case tooDeep
        case tooLarge
    }
    public var reason: Reason
    /// How many bytes come before the place.
    public var offset: Int

    public init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    public var description: String {
        let words =
            switch reason {
            case .end: "the JSON text ends too early"
            case .unexpected(let byte): "unexpected \(JSONError.name(of: byte))"
            case .trailing: "there is more after the end of the JSON text"
            case .number: "not a number as JSON writes it"
            case .escape: "unknown escape; \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX are known"
            case .loneSurrogate: "half of a surrogate pair (\\ud800 to \\udfff) is no character"
            case .controlCharacter: "a control character in a string must be escaped"
            case .notUTF8: "a string is not UTF-8"
            case .tooDeep: "nested deeper than \(Limits.maximumTermDepth) levels"
            case .tooLarge: "more than \(Limits.maximumTermsPerPayload) values"
            }
        return "\(words), at byte \(offset + 1)"
    }

    private static func name(of byte: UInt8) -> String {
        (0x21..<0x7F).contains(byte) ? "'\(Character(UnicodeScalar(byte)))'" : "byte \(byte)"
    }
}

extension Answer {
    /// The answer as programs see it, on the command line and over HTTP: `status` and `pairs` always; `reasons` beside
    /// what PUT or POST gave back; `warning` where there is one; `message` with every status but `ok`.
    public var json: Term { json(details: nil) }

    /// The same; beside malformed items `details` says why they are, where the space's rule is known: a sentence for each,
    /// and null for an item that came back for another reason.
    public func json(details rule: ElementRule?) -> Term {
        let items = rejected.isEmpty ? pairs.map { Term($0) } : rejected.map(\.item)
        return .object(
            [
                Term.Member(name: [UInt8]("status".utf8), value: .string(status.name)),
                Term.Member(name: [UInt8]("pairs".utf8), value: .list(items)),
            ] + membersBehindPairs(rule))
    }

    /// Appends the same as text, without a term for each of its pairs: a large answer is not in memory twice.
    public func writeJSON(details rule: ElementRule?, to output: inout [UInt8]) {
        guard rejected.isEmpty else { return JSON.write(json(details: rule), to: &output) }
        output.append(contentsOf: "{\"status\":\"\(status.name)\",\"pairs\":[".utf8)
        for (position, pair) in pairs.enumerated() {
            if position > 0 { output.append(UInt8(ascii: ",")) }
            JSON.write(Term(pair), to: &output)
        }
        output.append(UInt8(ascii: "]"))
        for member in membersBehindPairs(rule) {
            output.append(UInt8(ascii: ","))
            JSON.write(.string(member.name), to: &output)
            output.append(UInt8(ascii: ":"))
            JSON.write(member.value, to: &output)
        }
        output.append(UInt8(ascii: "}"))
    }

    private func membersBehindPairs(_ rule: ElementRule?) -> [Term.Member] {
        var members: [Term.Member] = []
        func add(_ name: String, _ value: Term) {
            members.append(Term.Member(name: [UInt8](name.utf8), value: value))
        }
        if !rejected.isEmpty { add("reasons", .list(rejected.map { .string($0.reason.name) })) }
        if let rule, hasMalformed {
            add("details", .list(rejected.map { $0.detail(rule).map(Term.string) ?? .null }))
        }
        if !warning.isEmpty { add("warning", .string(warning)) }
        if !message.isEmpty {
            add("message", .string(message))
        } else if status != .ok {
            add("message", .string(status.explanation))
        }
        return members
    }
}

extension Answer {
    /// Whether an item came back because it is malformed.
    public var hasMalformed: Bool { rejected.contains { $0.reason == .malformed } }
}

extension Rejected {
    /// Why the item is malformed, in a sentence; nil where it came back for another reason.
    public func detail(_ rule: ElementRule) -> String? {
        reason == .malformed ? MalformedItem.detail(of: item, rule: rule) : nil
    }
}

extension Status {
    /// What the status means, for answers that come without words of their own.
    public var explanation: String {
        switch self {
        case .ok: "done"
        case .malformed: "the request is malformed"
        case .notImplemented: "the operator is not implemented; GET, PUT, POST and DELETE are"
        case .tooCostly: "the match exceeded its work budget; nothing was returned or removed"
        case .tooLarge: "the request is larger than the limits allow"
        case .refused: "service refused"
        case .unavailable: "the service is not available; the request was not carried out"
        case .unknown: "no answer came in time; the request may or may not have been carried out"
        }
    }
}
