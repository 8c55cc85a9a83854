import Testing

@testable import TupleCore

@Suite struct MalformedItemTests {
    private func item(_ key: [String], _ value: [String] = ["v"]) -> Term {
        .list([.list(key.map(Term.string)), .list(value.map(Term.string))])
    }

    private func detail(_ item: Term, _ rule: ElementRule = .alphanumeric) -> String {
        MalformedItem.detail(of: item, rule: rule) ?? "nothing"
    }

    @Test func theElementTheCharacterTheRuleAndTheRemedyAreNamed() {
        #expect(
            detail(item(["user", "a.b@c.de"]))
                == "element 2 of the key, 'a.b@c.de', has '.' (U+002E) as its character 2; in this space elements are "
                + "letters and digits only (--elements alphanumeric): divide it there into two elements, or found a space "
                + "with --elements text, where any text will do")
        #expect(
            detail(item(["k"], ["a b"])).hasPrefix(
                "element 1 of the value, 'a b', has a space (U+0020) as its character 2"))
        #expect(detail(item(["\u{202E}x"])).hasPrefix("element 1 of the key, '?x', has U+202E as its character 1"))
    }

    @Test func eachWayToBeNoPairHasItsWords() {
        #expect(detail(.number("7")).hasPrefix("the item is the number 7 and no pair"))
        #expect(detail(.list([.null])).hasPrefix("the item is a list of 1 and no pair"))
        #expect(detail(.list([.string("k"), .list([])])).hasPrefix("the key is a string and no tuple"))
        #expect(detail(item([])).hasPrefix("the key has no element"))
        #expect(detail(item(["k"], ["a", ""])).hasPrefix("element 2 of the value is empty"))
        #expect(detail(.list([.list([.number("1")]), .list([])])).hasPrefix("element 1 of the key is the number 1"))
        #expect(detail(.list([.list([.string([0x61, 0xE9])]), .list([])]), .text).contains("is not UTF-8"))
        #expect(detail(item([String(repeating: "x", count: 65_536)]), .text).contains("has 65536 bytes"))
        let large = [String](repeating: String(repeating: "x", count: 60_000), count: 5)
        #expect(detail(item(large), .text).contains("more than 262144 bytes"))
        #expect(detail(item([String](repeating: "x", count: 4_097)), .text).contains("has 4097 elements"))
    }

    @Test func itSpeaksExactlyOfWhatIsNoPair() {
        let elements = ["a", "", "a,b", "é", "½", "_", " ", "日本", "\n", "a\u{300}"]
        for key in elements {
            for value in elements {
                for rule in ElementRule.allCases {
                    let item = item([key, "x"], [value])
                    #expect((MalformedItem.detail(of: item, rule: rule) == nil) == (Pair(item, rule: rule) != nil))
                }
            }
        }
    }

    @Test func theSpaceSaysItsRule() {
        for rule in ElementRule.allCases { #expect(SpaceQuestion.rule(in: SpaceQuestion.answer(rule)) == rule) }
        #expect(SpaceQuestion.rule(in: Answer(status: .notImplemented)) == nil)
        #expect(SpaceQuestion.rule(in: Answer()) == nil)
    }
}
