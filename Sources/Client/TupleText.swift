import TupleCore
import WireProtocol

/// Tuples and expressions as they are typed.
enum TupleText {
    /// Why an argument is no tuple.
    struct Problem: Error, Equatable {
        var text: String
        var reason: JSONError?

        var description: String {
            let why = reason.map { ": \($0)" } ?? ""
            return "'\(text)' begins with '[' but is no JSON array\(why); write user,42 or '[\"user\",\"42\"]'"
        }
    }

    /// `user,42` is split at its commas; what begins with `[` is a JSON array. Neither need be well formed as a tuple:
    /// what is typed is what is sent, and the server judges.
    static func tuple(_ text: String) throws(Problem) -> Term {
        guard text.utf8.first == UInt8(ascii: "[") else {
            let elements = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            return .list(elements.map { .string([UInt8]($0)) })
        }
        do throws(JSONError) {
            return try JSON.parse([UInt8](text.utf8))
        } catch {
            throw Problem(text: text, reason: error)
        }
    }

    /// A JSON array of strings is one expression an element; everything else, `[a-z]+` included, is one expression for
    /// the whole.
    static func expression(_ text: String) -> Term {
        guard text.utf8.first == UInt8(ascii: "["), let term = try? JSON.parse([UInt8](text.utf8)),
            case .list(let items) = term,
            items.allSatisfy({ if case .string = $0 { true } else { false } })
        else { return .string(text) }
        return term
    }

    /// What matches every tuple. A plain `.*` stops at a line feed.
    static let anything = Term.string("(?s).*")

    /// The expression that matches just the text: elements joined with commas, or one text an element where it is a JSON
    /// array of strings.
    static func literal(_ text: String) -> Term {
        guard case .list(let items) = expression(text) else { return .string(escaped([UInt8](text.utf8))) }
        return .list(
            items.map { item in
                if case .string(let bytes) = item { .string(escaped(bytes)) } else { item }
            })
    }

    /// The expression that matches just this key, element by element.
    static func literal(_ key: Tuple) -> Term { .list(key.elements.map { .string(escaped($0)) }) }

    /// The text with a backslash before each character that means something in a regular expression.
    static func escaped(_ text: [UInt8]) -> [UInt8] {
        let special = [UInt8](#"\.^$*+?{}[]|()"#.utf8)
        return text.flatMap { special.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
    }

    /// The tuple as it would be typed: with commas, or as a JSON array where it would not come back the same otherwise
    /// or would do something to a terminal.
    static func text(of term: Term) -> [UInt8] {
        guard case .list(let items) = term, !items.isEmpty else { return JSON.text(term) }
        var joined: [UInt8] = []
        for (position, item) in items.enumerated() {
            guard case .string(let bytes) = item, isPlain(bytes) else { return JSON.text(term) }
            if position > 0 { joined.append(UInt8(ascii: ",")) }
            joined.append(contentsOf: bytes)
        }
        return joined.first == UInt8(ascii: "[") || joined.isEmpty ? JSON.text(term) : joined
    }

    private static func isPlain(_ element: [UInt8]) -> Bool {
        guard UTF8Check.isValid(element) else { return false }
        for (place, byte) in element.enumerated() {
            if byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: ",") { return false }
            if byte >= 0x80, Invisible.at(place, of: element) != nil { return false }
        }
        return true
    }
}
