import PythonRegex
import TestSupport
import Testing
import TupleCore

@testable import TupleStore

/// Which tuples an expression selects, and that the plan (a range by the literal prefix) never changes the answer.
@Suite struct MatcherTests {
    private let matcher = Matcher()

    private func keys(_ space: Space, _ key: Term) -> [String] {
        space.decideGet(expressions(key), matcher: matcher).keys
    }

    @Test func elementsWithCommasAreElementsForAListAndTextForAString() {
        var space = Space(rule: .text)
        for key in [tuple("a,b"), tuple("a", "b"), tuple("a,b", "c"), tuple("a", "b,c"), tuple("a", "b", "c")] {
            space.take(.added(Pair(key: key, value: tuple("v"))))
        }
        #expect(keys(space, .string("a,b")).count == 2, "joined, both read a,b")
        #expect(keys(space, .string("a,b,c")).count == 3)
        func found(_ elements: String...) -> [Tuple] {
            space.decideGet(expressions(.list(elements.map { .string($0) })), matcher: matcher).answer.pairs.map(\.key)
        }
        #expect(found("a,b") == [tuple("a,b")])
        #expect(found("a", "b") == [tuple("a", "b")])
        #expect(found("a", "b,c") == [tuple("a", "b,c")])
        #expect(found("a,b", "c") == [tuple("a,b", "c")])
        #expect(found("a", ".*") == [tuple("a", "b"), tuple("a", "b,c")])
        #expect(Set(found(".*", ".*")) == [tuple("a", "b"), tuple("a", "b,c"), tuple("a,b", "c")])
    }

    @Test func theValueIsMatchedInTheSameTwoWays() {
        let space = Space(["1": "a b", "2": "a", "3": "b a"])
        func found(_ value: Term) -> [String] {
            space.decideGet(expressions(.string(".*"), value), matcher: matcher).keys
        }
        #expect(found(.string("a,b")) == ["1"])
        #expect(found(.list([.string("a"), .string(".*")])) == ["1"])
        #expect(found(.list([.string(".*")])) == ["2"])
        #expect(found(.string("(?:b,)?a")) == ["2", "3"])
    }

    @Test func theLiteralPrefixIsWhatEveryMatchBeginsWith() throws {
        func prefix(_ term: Term) throws -> String {
            String(decoding: try matcher.expression(expressions(term)).key.literalPrefix, as: UTF8.self)
        }
        #expect(try prefix(.string("user,42")) == "user,42")
        #expect(try prefix(.string("user,.*")) == "user,")
        #expect(try prefix(.string(".*")) == "")
        #expect(try prefix(.string("(?i)user")) == "")
        #expect(try prefix(.list([.string("user"), .string("4.")])) == "user,4")
        #expect(try prefix(.list([.string("u.*"), .string("42")])) == "u")
        #expect(try prefix(.list([.string(".*"), .string("42")])) == "")
    }

    @Test func moreExpressionsThanAreKeptStillMatch() {
        let space = Space(["k7": "1"])
        for round in 0..<2 {
            for number in 0..<(Matcher.maximumKept + 20) {
                #expect(keys(space, .string("k\(number)|none")) == (number == 7 ? ["k7"] : []), "round \(round)")
            }
        }
    }

    /// Requests for one key each must not drive out expressions that come again.
    @Test func keysAsSuchAreNotKept() throws {
        let matcher = Matcher()
        for number in 0..<10 { _ = try matcher.get(expressions(.string("key\(number)"))) }
        let bytes = matcher.keptBytes
        _ = try matcher.get(expressions(.string("key11")))
        #expect(matcher.keptBytes == bytes)
        _ = try matcher.get(expressions(.string("key.*")))
        #expect(matcher.keptBytes > bytes)
    }

    @Test func theBytesOfKeptExpressionsAreBounded() throws {
        let matcher = Matcher()
        // A set of so many letters is long in machine code when case is ignored.
        for number in 0..<40 {
            let letters = (0..<2_000).map { "[\(UnicodeScalar(0x4E00 + $0 + number)!)a-z0-9]?" }.joined()
            _ = try matcher.get(expressions(.string("(?i)\(letters)")))
            #expect(matcher.keptBytes <= Matcher.maximumKeptBytes)
        }
        #expect(matcher.keptBytes > 0)
    }

    @Test func theRangePlanAnswersWhatAFullScanAnswers() throws {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        for round in 0..<60 {
            let space = RandomSpace.space(&random)
            for _ in 0..<30 {
                let payload = expressions(RandomSpace.expression(&random), RandomSpace.expression(&random))
                let answer = space.decideGet(payload, matcher: matcher).answer
                #expect(answer.status == .ok)
                let scanned = try fullScan(space, payload)
                try #require(answer.pairs == scanned, "seed \(seed), round \(round): \(payload)")
            }
        }
    }

    /// Every pair of the space, each expression matched by the regular expression engine alone.
    private func fullScan(_ space: Space, _ payload: Term) throws -> [Pair] {
        guard case .list(let parts) = payload else { return [] }
        return try space.pairs.filter { pair in
            try fits(parts[0], pair.key) && fits(parts[1], pair.value)
        }
    }

    private func fits(_ expression: Term, _ tuple: Tuple) throws -> Bool {
        switch expression {
        case .string(let pattern): return try fits(pattern, [UInt8](tuple.text.utf8))
        case .list(let items):
            let elements = tuple.elements
            guard items.count == elements.count else { return false }
            return try zip(items, elements).allSatisfy { item, element in
                guard case .string(let pattern) = item else { return false }
                return try fits(pattern, element)
            }
        default: return false
        }
    }

    private func fits(_ pattern: [UInt8], _ subject: [UInt8]) throws -> Bool {
        var budget = MatchBudget.standard
        let expression = try CompiledExpression(utf8: pattern)
        return subject.withUnsafeBytes { expression.fullMatch($0, budget: &budget, using: MatchScratch()) } == .match
    }
}

/// Small spaces and expressions over few letters, so that they often meet.
private enum RandomSpace {
    static let letters = ["a", "b", "é", ",", "ab", "b,", "\u{10FFFF}", "z"]

    static func element(_ random: inout SeededRandom) -> String {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in letters.randomElement(using: &random)! }.joined()
    }

    static func tuple(_ random: inout SeededRandom) -> [String] {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in element(&random) }
    }

    static func space(_ random: inout SeededRandom) -> Space {
        var space = Space(rule: .text)
        for _ in 0..<Int.random(in: 0...120, using: &random) {
            _ = space.apply(
                .added(Pair(key: TupleStoreTests.tuple(tuple(&random)), value: TupleStoreTests.tuple(tuple(&random)))))
        }
        return space
    }

    static func pattern(_ random: inout SeededRandom) -> String {
        let literal = element(&random)
        let other = element(&random)
        let forms = [
            literal, ".*", literal + ".*", ".*" + literal, "\(literal)|\(other)", "(?:\(literal))?\(other)",
            literal + "[ab,]*", "(?i)" + literal + ".*", "\\A\(literal).*\\Z", "(\(literal))\\1?.*", "[^a].*",
            "\(literal)(?=.*\(other)).*", "^\(literal)$", "(?:\(literal)){1,2}.*",
        ]
        return forms.randomElement(using: &random)!
    }

    static func expression(_ random: inout SeededRandom) -> Term {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: .string(".*")
        case 1: .string(pattern(&random))
        case 2: .list(tuple(&random).map { .string($0) })
        default: .list((0..<Int.random(in: 1...3, using: &random)).map { _ in .string(pattern(&random)) })
        }
    }
}
