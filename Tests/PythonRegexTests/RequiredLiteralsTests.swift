import Testing

@testable import PythonRegex

@Suite struct RequiredLiteralsTests {
    private func literals(_ pattern: String) throws -> RequiredLiterals {
        try CompiledExpression(pattern).literals
    }

    @Test(arguments: [
        ("user,42", "user,42"), ("", ""), (#"\Auser\Z"#, "user"), ("^user$", "user"), ("(?:us)(er)", "user"),
        ("(?x) us er", "user"), ("a{3}b", "aaab"), ("(?i)12-34", "12-34"), (#"\x41\."#, "A."), ("(?>ab)c", "abc"),
        ("(?P<n>é)", "é"),
    ])
    func onlyOneSubjectMatches(pattern: String, text: String) throws {
        #expect(try literals(pattern).exact == Array(text.utf8))
    }

    @Test(arguments: [
        "user.*", "a|b", "(?i)user", "a?", "[ab]", "a^b", "a$b", "(?:^a){2}", "(?:a$){2}", #"a\b"#, "(a)(?(1)b)",
        "(?!a)a", "(?=b)a", #"\ud800"#, "a{0}",
    ])
    func severalOrNoneMatch(pattern: String) throws {
        #expect(try literals(pattern).exact == nil)
    }

    @Test(arguments: [
        ("user.*", "user"), (#"user,\d+"#, "user,"), ("(?i)12ab", "12"), ("a(bc|bd)", "ab"), ("ab?", "a"),
        ("ab*c", "a"),
        ("(ab)+c", "ab"), ("a{2,}", "aa"), (".*a", ""), ("a|b", ""), ("(?=x)ab", "ab"), (#"(?:ab\d)+"#, "ab"),
        ("(?i:A)b", ""), ("(?-i:A)b", "Ab"),
    ])
    func everyMatchBeginsWith(pattern: String, text: String) throws {
        #expect(try literals(pattern).prefix == Array(text.utf8))
    }

    @Test func lettersOfEitherCaseAreSoughtToo() throws {
        func sought(_ pattern: String) throws -> [String] {
            try literals(pattern).sought.map { text in
                let letters = zip(text.bytes, text.masks).map { $1 == 0 ? $0 : $0 & ~0x20 }
                return String(decoding: letters, as: UTF8.self)
            }
        }
        #expect(try sought("(?i)ab12") == ["AB12"])
        #expect(try sought("(?i:ab)cd") == ["ABcd"])
        #expect(try sought(".*ab.c") == ["ab", "c"])
        #expect(try sought("(?i)ask.me") == ["ME", "A"], "s and k have a third form")
        #expect(try sought("(?ia)ask") == ["ASK"])
        #expect(try sought("(?i)é1") == ["1"])
        #expect(try sought("(?i)(?:ab)?c").contains("C"))
        #expect(try sought("(?i)(?:ab){2}").allSatisfy { $0 == "AB" })
        #expect(try sought("(?i)a|b").isEmpty)
        #expect(try sought("(?i)(?!ab)").isEmpty)
    }

    @Test(arguments: [
        (".*error.*", ["error"]), (#"\d+-abc-\w*x"#, ["-abc-", "x"]), ("a.bb.ccc", ["ccc", "bb", "a"]),
        ("(x|y)z", ["z"]), ("(?:foo)*bar", ["bar"]), ("(?=.*foo)bar", ["bar", "foo"]), ("(?!foo)bar", ["bar"]),
        ("a.a.a", ["a"]), ("(?:ab.)+", ["ab"]),
    ])
    func everyMatchContains(pattern: String, texts: [String]) throws {
        #expect(try Set(literals(pattern).contained) == Set(texts.map { Array($0.utf8) }))
        #expect(try literals(pattern).contained.first?.count == texts[0].utf8.count)
    }
}
