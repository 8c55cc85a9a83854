import Foundation

@testable import PythonRegex

/// Asks about each code point by itself: which classes it is in, what it matches when case is ignored, how it is named.
enum CodePointComparison {
    private static let scalars = (UInt32(0)...0x10FFFF).compactMap(Unicode.Scalar.init)
    private static let categories = [
        "\\d", "\\w", "\\s", "\\D", "\\W", "\\S", "[\\w]", "[^\\W\\d]", ".", "\\b.\\b", "\\B.\\B", "(?a)\\w", "(?a)\\d",
        "(?a)\\s", "(?a)\\b.\\b", "(?i)[a-z]", "(?ia)[a-z]", "(?i)[^\\w]", "[\\0-\\U0010ffff]", "(?i)[\\0-\\uffff]",
        "(?i)[\\U00010000-\\U0010ffff]",
    ]

    /// Whether all agree; what does not is printed, by code point.
    static func run() throws -> Bool {
        // Whatever Unicode of any version thinks has case, and what it becomes.
        var cased: Set<Unicode.Scalar> = []
        for scalar in scalars {
            let properties = scalar.properties
            let mapped = [properties.lowercaseMapping, properties.uppercaseMapping, properties.titlecaseMapping]
            guard properties.changesWhenCaseMapped || mapped.contains(where: { $0.unicodeScalars.first != scalar })
            else { continue }
            cased.insert(scalar)
            for text in mapped { cased.formUnion(text.unicodeScalars) }
        }
        let letters = cased.sorted()
        let classes = try differences(categories, among: scalars)
        let folding = try differences(
            letters.flatMap { scalar in ["(?i)", "(?ia)", "(?i)[^x", "(?i)[x"].map { pattern(scalar, $0) } },
            among: letters)
        let names = try nameDifferences()
        print(
            "\(scalars.count) code points in \(categories.count) classes: \(classes) differences; "
                + "\(letters.count) with case: \(folding) differences; names: \(names) differences")
        return classes + folding + names == 0
    }

    private static func pattern(_ scalar: Unicode.Scalar, _ opening: String) -> String {
        let digits = String(scalar.value, radix: 16)
        let escape = "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
        return opening + escape + (opening.contains("[") ? "]" : "")
    }

    private static func differences(_ patterns: [String], among subjects: [Unicode.Scalar]) throws -> Int {
        let requests: [[String: Any]] =
            [["among": subjects.map { String($0) }]] + patterns.map { ["everywhere": $0] }
        let lines = try Oracle.Inquiry(requests: requests).lines()
        let scratch = MatchScratch()
        var count = 0
        for preference in Comparison.preferences {
            for (pattern, line) in zip(patterns, lines.dropFirst()) {
                let wanted = Set(line["found"] as? [Int] ?? [])
                let expression = try CompiledExpression(pattern, preference: preference)
                for (place, subject) in subjects.enumerated() {
                    var budget = MatchBudget.standard
                    var text = String(subject)
                    let result = text.withUTF8 {
                        expression.fullMatch(UnsafeRawBufferPointer($0), budget: &budget, using: scratch)
                    }
                    guard (result == .match) != wanted.contains(place) else { continue }
                    count += 1
                    if count <= 100 {
                        print("\(preference) \(pattern) U+\(String(subject.value, radix: 16)): \(result)")
                    }
                }
            }
        }
        return count
    }

    /// Both ways: names that CPython knows, and those that Swift knows.
    private static func nameDifferences() throws -> Int {
        let lines = try Oracle.Inquiry(requests: [["names": true]]).lines()
        var known: [String: UInt32] = [:]
        for row in lines.first?["names"] as? [[Any]] ?? [] {
            if let point = row.first as? Int, let name = row.last as? String { known[name] = UInt32(point) }
        }
        var count = known.isEmpty ? 1 : 0
        for (name, point) in known where CharacterNames.lookup(name.codePoints)?.value != point {
            count += 1
            print("CPython knows \(name)")
        }
        for scalar in scalars {
            guard let name = scalar.properties.name, known[name] == nil, CharacterNames.lookup(name.codePoints) != nil
            else { continue }
            count += 1
            print("CPython does not know \(name)")
        }
        return count
    }
}

extension String {
    fileprivate var codePoints: [CodePoint] { unicodeScalars.map { CodePoint($0.value) } }
}
