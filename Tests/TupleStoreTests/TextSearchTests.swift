import TestSupport
import Testing
import TupleCore

@testable import PythonRegex
@testable import TupleStore

/// The search for a text that every match contains: it finds what is there, and never changes what a search answers.
@Suite struct TextSearchTests {
    private func sought(_ pattern: String) throws -> [SoughtText] { try CompiledExpression(pattern).literals.sought }

    private func place(_ text: SoughtText, in bytes: [UInt8], from start: Int = 0) -> Int {
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            return TextSearch(text).firstPlace(in: base, from: start, to: bytes.count)
        }
    }

    @Test func aTextIsFoundWhereItFirstIs() throws {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        for round in 0..<3_000 {
            let ignoresCase = Bool.random(using: &random)
            let letters: ClosedRange<UInt8> = Bool.random(using: &random) ? 0x61...0x63 : 0x41...0x7A
            var text = SoughtText()
            text.bytes = random.bytes(Int.random(in: 1...20, using: &random), alphabet: letters)
            text.masks = text.bytes.map { ignoresCase && (0x61...0x7A).contains($0) ? 0x20 : 0 }
            var bytes = random.bytes(Int.random(in: 0...200, using: &random), alphabet: letters)
            if !bytes.isEmpty, Bool.random(using: &random) {
                bytes.insert(contentsOf: text.bytes, at: Int.random(in: 0...bytes.count, using: &random))
            }
            guard !bytes.isEmpty else { continue }
            let start = Int.random(in: 0...bytes.count, using: &random)
            let isHere = { (at: Int) in
                zip(text.bytes, text.masks).enumerated().allSatisfy { bytes[at + $0] | $1.1 == $1.0 }
            }
            let expected = (start..<max(start, bytes.count - text.bytes.count + 1)).first(where: isHere)
            try #require(
                place(text, in: bytes, from: start) == expected ?? bytes.count, "seed \(seed), round \(round)")
        }
    }

    @Test func theTextIsTheLongestThatNotAllKeysOfTheRangeHave() throws {
        let matcher = Matcher()
        func text(_ key: String, _ value: String = ".*") throws -> String? {
            let plan = try matcher.get(expressions(.string(key), .string(value))).plan
            return plan.text.map { String(decoding: $0.text.bytes, as: UTF8.self) }
        }
        #expect(try text(".*needle.*") == "needle")
        #expect(try text("(?i).*NEEDLE[0-9]") == "needle")
        #expect(try text("(?i).*kelvin") == "elv", "k has a third form, and i")
        #expect(try text("user,.*") == nil)
        #expect(try text("user,.*42") == "42")
        #expect(try text("user,.*", "ada,.*") == "ada,")
        #expect(try text(".*", "(?:ada|grace)") == nil)
        #expect(try text("user") == nil, "a look-up needs no search")
    }

    /// Spaces of many pages, with holes where pairs were removed, and texts from none of the pairs to all.
    @Test func whatIsFoundIsWhatTheExpressionsAloneFind() throws {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        let matcher = Matcher()
        for round in 0..<12 {
            let space = RandomPages.space(&random)
            for _ in 0..<12 {
                let (key, value) = (RandomPages.pattern(&random), RandomPages.pattern(&random))
                let search = try matcher.get(expressions(.string(key), .string(value)))
                let result = matcher.run(search, in: space, work: .max)
                let keyExpression = try CompiledExpression(key, preference: .exact)
                let valueExpression = try CompiledExpression(value, preference: .exact)
                let expected = space.pairs.filter {
                    matches(keyExpression, $0.key) && matches(valueExpression, $0.value)
                }
                try #require(result.ending == .complete)
                try #require(
                    result.pairs == expected, "seed \(seed), round \(round): \(key) \(value), \(search.plan)")
            }
        }
    }

    private func matches(_ expression: CompiledExpression, _ tuple: Tuple) -> Bool {
        var budget = MatchBudget(work: .max)
        return [UInt8](tuple.text.utf8).withUnsafeBytes {
            expression.fullMatch($0, budget: &budget, using: MatchScratch()) == .match
        }
    }

    @Test func aSearchForATextCostsWorkAndCanBeCancelled() throws {
        var random = SeededRandom(seed: 1)
        let space = RandomPages.space(&random)
        let matcher = Matcher()
        let search = try matcher.get(expressions(.string(".*notthere.*")))
        let whole = matcher.run(search, in: space, work: Search.Work.request)
        #expect(whole.ending == .complete)
        #expect(whole.work > 0)
        #expect(matcher.run(search, in: space, work: whole.work - 1).ending == .tooCostly)
        let cancellation = Cancellation()
        cancellation.cancel()
        let cancelled = matcher.run(search, in: space, work: Search.Work.request, cancellation: cancellation)
        #expect(cancelled.ending == .cancelled)
    }
}

private enum RandomPages {
    private static let words = ["ab", "needle", "Needle", "NEEDLE", "k", "\u{212A}", "x\ny", "é", "zz", "a"]

    private static func element(_ random: inout SeededRandom, _ rare: Int) -> String {
        let filler = String(
            decoding: random.bytes(Int.random(in: 1...12, using: &random), alphabet: 0x61...0x7A), as: UTF8.self)
        guard Int.random(in: 0..<rare, using: &random) == 0 else { return filler }
        return filler + words.randomElement(using: &random)! + filler
    }

    static func space(_ random: inout SeededRandom) -> Space {
        var space = Space(rule: .text)
        let rare = [1, 3, 50, 1_000].randomElement(using: &random)!
        var keys: [Tuple] = []
        for number in 0..<Int.random(in: 1...1_500, using: &random) {
            let key = tuple(element(&random, rare), "\(number)")
            let value =
                Int.random(in: 0..<400, using: &random) == 0
                ? tuple(String(repeating: element(&random, rare), count: 600)) : tuple(element(&random, rare))
            space.take(.added(Pair(key: key, value: value)))
            keys.append(key)
        }
        keys.shuffle(using: &random)
        for key in keys.prefix(keys.count / 3) { space.take(.removed(key)) }
        return space
    }

    static func pattern(_ random: inout SeededRandom) -> String {
        let word = words.randomElement(using: &random)!
        let other = words.randomElement(using: &random)!
        let forms = [
            ".*", "(?s).*", ".+", "(?s).+", "(.*)", ".*\(word).*", "(?s).*\(word).*", "(?i).*\(word).*",
            "(?i:.*\(word)).*", "(?ai).*\(word).*", ".*\(word).*\(other).*", "[a-m].*\(word).*",
            "[^b]*\(word)?.*", "a.*", "(?s)a.*", "b.*\(word).*", "(?i)b.*\(word)[a-z]*,.*", ".*(?=\(word)).*",
            ".*(?:\(word)|\(other)).*", ".*\(word).\(other).*", "(?!.*\(word)).*", "(?:\(word))?.*", ".*,[0-9]*7",
            ".*(?:\(word)){2}.*", "[n-z]+,.*", ".*\(word)(?:\(other))*.*",
        ]
        return forms.randomElement(using: &random)!
    }
}
