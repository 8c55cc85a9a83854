import Foundation
import TestSupport
import Testing

@testable import TupleCore

@Suite("Which strings may be elements")
struct ElementRuleTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

    /// The output of the table's program: what the CPython of this machine calls alphanumeric, and its version.
    private func oracle() throws -> (ranges: [ClosedRange<UInt32>], version: String) {
        func python(_ arguments: String...) throws -> String {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["python3", "-B"] + arguments
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
            return text
        }
        let program = Self.root.appending(path: "oracle/alphanumeric_table.py").path
        let ranges = try python(program, "--ranges").split(separator: "\n").map { line in
            let parts = line.split(separator: " ").compactMap { UInt32($0) }
            try #require(parts.count == 2)
            return parts[0]...parts[1]
        }
        let version = try python("-c", "import unicodedata; print(unicodedata.unidata_version, end='')")
        return (ranges, version)
    }

    @Test("Alphanumeric is what CPython's str.isalnum says, for every code point")
    func everyCodePoint() throws {
        let (ranges, version) = try oracle()
        // The table is that of Unicode 14 (CPython 3.11). A newer Python knows more letters; what both know must agree.
        let isSame = version == "14.0.0"
        var expected = [Bool](repeating: false, count: 0x110000)
        for range in ranges { for point in range { expected[Int(point)] = true } }
        var wrong: [UInt32] = []
        for point in UInt32(0)..<0x110000 {
            let found: Bool
            if let scalar = Unicode.Scalar(point) {
                found = ElementRule.alphanumeric.allows([UInt8](String(Character(scalar)).utf8))
            } else {
                found = AlphanumericTable.contains(point)
            }
            if isSame ? found != expected[Int(point)] : found && !expected[Int(point)] { wrong.append(point) }
        }
        #expect(wrong.isEmpty, "Unicode \(version): \(wrong.prefix(10).map { String($0, radix: 16) })")
    }

    @Test("Every character of an element counts")
    func strings() {
        let rule = ElementRule.alphanumeric
        for good in ["a", "42", "Ünïcode", "漢字", "½", "٣", "𝒳9"] { #expect(rule.allows([UInt8](good.utf8)), "\(good)") }
        for bad in ["", " ", "a b", "a_b", "a,b", "a-", "\u{0}", "é\u{301}x", "\u{200D}"] {
            #expect(!rule.allows([UInt8](bad.utf8)), "\(bad)")
        }
        #expect(ElementRule.text.allows([UInt8]("a b,_\u{0}".utf8)))
        #expect(!ElementRule.text.allows([]))
        #expect(!ElementRule.text.allows([0x61, 0x80]) && !rule.allows([0x61, 0x80]))
    }

    @Test("Eight bytes at once: each byte in each place is judged as it is alone")
    func words() {
        for place in 0..<8 {
            for byte in UInt8.min...UInt8.max {
                var bytes = [UInt8]("aZ09bY18".utf8)
                bytes[place] = byte
                let isAllowed = ElementRule.alphanumeric.allows([byte])
                #expect(ElementRule.alphanumeric.allows(bytes) == isAllowed, "\(byte) at \(place)")
                #expect(ElementRule.alphanumeric.allows(bytes + bytes + [0x61]) == isAllowed, "\(byte) at \(place)")
            }
        }
        let mixed = [UInt8]("abcdefgé12345678漢abcdefgh½x".utf8)
        #expect(ElementRule.alphanumeric.allows(mixed) && !ElementRule.alphanumeric.allows(mixed + [0x20]))
    }

    @Test("The words of the flag lead back to the rule")
    func names() {
        for rule in ElementRule.allCases { #expect(ElementRule(name: rule.name) == rule) }
        #expect(ElementRule(name: "Text") == nil)
    }
}

@Suite("Strict UTF-8 (RFC 3629)")
struct UTF8CheckTests {
    private func standardLibrary(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

    @Test("All sequences of one and two bytes, and all of three and four with bytes from the edges")
    func systematic() {
        var wrong: [[UInt8]] = []
        func check(_ bytes: [UInt8]) {
            if UTF8Check.isValid(bytes) != standardLibrary(bytes) { wrong.append(bytes) }
        }
        for first in UInt8.min...UInt8.max {
            check([first])
            for second in UInt8.min...UInt8.max { check([first, second]) }
        }
        let leads: [UInt8] = [
            0x61, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        let edges: [UInt8] = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xED, 0xFF]
        for first in leads {
            for second in edges {
                for third in edges {
                    check([first, second, third])
                    for fourth in edges { check([first, second, third, fourth]) }
                }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(5))")
    }

    @Test("Random bytes: the same verdict as the standard library's")
    func randomBytes() {
        var random = SeededRandom()
        let seed = random.seed
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<random.below(6) {
                let point = [0x80, 0x800, 0x10000, 0x110000][random.below(4)]
                if let scalar = Unicode.Scalar(UInt32(random.below(point))) { bytes += UTF8.encode(scalar)! }
                if random.once(in: 3) { bytes += [UInt8](repeating: 0x61, count: random.below(20)) }
            }
            if random.below(2) == 0, !bytes.isEmpty { bytes[random.below(bytes.count)] = random.bytes(1)[0] }
            if random.below(4) == 0 { bytes.removeLast(min(bytes.count, random.below(3))) }
            #expect(UTF8Check.isValid(bytes) == standardLibrary(bytes), "\(bytes), seed \(seed)")
        }
    }
}
