import TupleCore

/// A recursive reader over bytes in memory; how deep it recurses is bounded.
struct JSONParser {
    private let bytes: ArraySlice<UInt8>
    private var at: Int
    private var terms = 0

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        at = bytes.startIndex
    }

    mutating func document() throws(JSONError) -> Term {
        let term = try value(depth: 0)
        skipSpace()
        guard at == bytes.endIndex else { throw error(.trailing) }
        return term
    }

    private func error(_ reason: JSONError.Reason) -> JSONError { JSONError(reason, at: at - bytes.startIndex) }

    private var next: UInt8? { at < bytes.endIndex ? bytes[at] : nil }

    private func unexpected() -> JSONError { next.map { error(.unexpected($0)) } ?? error(.end) }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func value(depth: Int) throws(JSONError) -> Term {
        skipSpace()
        terms += 1
        guard terms <= Limits.maximumTermsPerPayload else { throw error(.tooLarge) }
        guard depth <= Limits.maximumTermDepth else { throw error(.tooDeep) }
        guard let byte = next else { throw error(.end) }
        switch byte {
        case UInt8(ascii: "["): return try list(depth: depth)
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw unexpected()
        }
    }

    private mutating func word(_ text: StaticString, _ term: Term) throws(JSONError) -> Term {
        for offset in 0..<text.utf8CodeUnitCount {
            guard next == text.utf8Start[offset] else { throw unexpected() }
            at += 1
        }
        return term
    }

    private mutating func number() throws(JSONError) -> Term {
        let begin = at
        loop: while let byte = next {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
                UInt8(ascii: "e"), UInt8(ascii: "E"):
                at += 1
            default: break loop
            }
        }
        let text = bytes[begin..<at]
        guard text.count <= Limits.maximumNumberBytes, Term.isNumber(text) else {
            throw JSONError(.number, at: begin - bytes.startIndex)
        }
        return .number(String(decoding: text, as: UTF8.self))
    }

    private mutating func list(depth: Int) throws(JSONError) -> Term {
        at += 1
        var items: [Term] = []
        skipSpace()
        if next == UInt8(ascii: "]") {
            at += 1
            return .list(items)
        }
        while true {
            items.append(try value(depth: depth + 1))
            guard try separator(orEnd: UInt8(ascii: "]")) else { return .list(items) }
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> Term {
        at += 1
        var members: [Term.Member] = []
        skipSpace()
        if next == UInt8(ascii: "}") {
            at += 1
            return .object(members)
        }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw unexpected() }
            let name = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw unexpected() }
            at += 1
            members.append(Term.Member(name: name, value: try value(depth: depth + 1)))
            guard try separator(orEnd: UInt8(ascii: "}")) else { return .object(members) }
        }
    }

    /// True at a comma, false at `end`; both are passed over.
    private mutating func separator(orEnd end: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        guard next == UInt8(ascii: ",") || next == end else { throw unexpected() }
        defer { at += 1 }
        return next != end
    }

    private mutating func string() throws(JSONError) -> [UInt8] {
        at += 1
        let begin = at
        var result: [UInt8] = []
        var plain = at
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                result.append(contentsOf: bytes[plain..<at])
                guard UTF8Check.isValid(result) else { throw JSONError(.notUTF8, at: begin - bytes.startIndex) }
                at += 1
                return result
            case UInt8(ascii: "\\"):
                result.append(contentsOf: bytes[plain..<at])
                try escape(into: &result)
                plain = at
            case 0..<0x20: throw error(.controlCharacter)
            default: at += 1
            }
        }
        throw error(.end)
    }

    private mutating func escape(into result: inout [UInt8]) throws(JSONError) {
        at += 1
        guard let byte = next else { throw error(.end) }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"):
            let begin = at - 1
            at += 1
            try unicodeEscape(from: begin, into: &result)
            return
        default: throw error(.escape)
        }
        at += 1
    }

    private mutating func unicodeEscape(from begin: Int, into result: inout [UInt8]) throws(JSONError) {
        let lone = JSONError(.loneSurrogate, at: begin - bytes.startIndex)
        var point = try hexDigits()
        if (0xD800...0xDBFF).contains(point) {
            guard next == UInt8(ascii: "\\"), at + 1 < bytes.endIndex, bytes[at + 1] == UInt8(ascii: "u") else {
                throw lone
            }
            at += 2
            let low = try hexDigits()
            guard (0xDC00...0xDFFF).contains(low) else { throw lone }
            point = 0x10000 + (point - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = UnicodeScalar(point) else { throw lone }
        result.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
    }

    private mutating func hexDigits() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next else { throw error(.end) }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw error(.escape)
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}
