/// Why an item of a PUT or POST list is malformed, in a sentence for people: which element, which character, which rule,
/// and what to do.
public enum MalformedItem {
    /// Nil where it is a pair that the rule allows.
    ///
    /// - Complexity: O(bytes) up to the first that is wrong.
    public static func detail(of item: Term, rule: ElementRule) -> String? {
        guard case .list(let parts) = item else {
            return "the item is \(kind(item)) and no pair; a pair is a list of two tuples, [KEY, VALUE]"
        }
        guard parts.count == 2 else {
            return "the item is a list of \(parts.count) and no pair; a pair is a list of two tuples, [KEY, VALUE]"
        }
        return detail(of: parts[0], named: "key", rule: rule) ?? detail(of: parts[1], named: "value", rule: rule)
    }

    /// Nil where `term` is a tuple that the rule allows.
    ///
    /// - Parameter name: the tuple's, as in "the key has no element".
    public static func detail(of term: Term, named name: String, rule: ElementRule) -> String? {
        guard case .list(let items) = term else {
            return "the \(name) is \(kind(term)) and no tuple; a tuple is a list of strings, such as [\"user\",\"42\"]"
        }
        guard !items.isEmpty else { return "the \(name) has no element; it needs one at least" }
        guard items.count <= Limits.maximumTupleElements else {
            return "the \(name) has \(items.count) elements; \(Limits.maximumTupleElements) are allowed"
        }
        var elements: [[UInt8]] = []
        elements.reserveCapacity(items.count)
        for (position, item) in items.enumerated() {
            let place = "element \(position + 1) of the \(name)"
            guard case .string(let bytes) = item else {
                return "\(place) is \(kind(item)); an element is a string: write it in quotes"
            }
            if let problem = problem(of: bytes, at: place, rule) { return problem }
            elements.append(bytes)
        }
        guard (try? Tuple(elements: elements, rule: rule)) == nil else { return nil }
        return "the \(name) takes more than \(Limits.maximumTupleBytes) bytes; divide it"
    }

    private static func problem(of element: [UInt8], at place: String, _ rule: ElementRule) -> String? {
        if element.isEmpty { return "\(place) is empty; leave it out, or put a character there" }
        if element.count > Limits.maximumElementBytes {
            return "\(place) has \(element.count) bytes; \(Limits.maximumElementBytes) are allowed: divide it"
        }
        let quoted = "\(place), '\(start(of: element))',"
        guard UTF8Check.isValid(element) else {
            return "\(quoted) is not UTF-8; convert it, for example with iconv"
        }
        guard !rule.allows(element) else { return nil }
        var number = 0
        for scalar in String(decoding: element, as: UTF8.self).unicodeScalars {
            number += 1
            if rule.allows([UInt8](String(scalar).utf8)) { continue }
            return
                "\(quoted) has \(name(of: scalar)) as its character \(number); in this space elements are letters and "
                + "digits only (--elements alphanumeric): divide it there into two elements, or found a space with "
                + "--elements text, where any text will do"
        }
        return "\(quoted) is not allowed in this space (--elements \(rule.name))"
    }

    private static func kind(_ term: Term) -> String {
        switch term {
        case .null: "null"
        case .boolean: "true or false"
        case .number(let text): text.utf8.count <= 20 ? "the number \(text)" : "a number"
        case .string: "a string"
        case .list: "a list"
        case .object: "an object"
        }
    }

    private static let longestQuotation = 40

    /// The element's beginning, with anything that is no plain character as a question mark.
    private static func start(of element: [UInt8]) -> String {
        var text = ""
        var count = 0
        for scalar in String(decoding: element.prefix(4 * longestQuotation), as: UTF8.self).unicodeScalars {
            guard count < longestQuotation else { return text + "…" }
            text.unicodeScalars.append(isPlain(scalar) ? scalar : "?")
            count += 1
        }
        return element.count > 4 * longestQuotation ? text + "…" : text
    }

    private static func isPlain(_ scalar: UnicodeScalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }

    /// `'_' (U+005F)`; a blank, or what does not show, by its number alone.
    private static func name(of scalar: UnicodeScalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        let code = "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        if scalar == " " { return "a space (\(code))" }
        return isPlain(scalar) && !scalar.properties.isWhitespace ? "'\(scalar)' (\(code))" : code
    }
}
