import Testing

@testable import PythonRegex

/// What is refused, with the words and the place that CPython 3.11 has for it.
@Suite struct SyntaxErrorTests {
    struct Case: Sendable {
        var pattern: String
        var message: String
    }

    private static let escapesCases: [Case] = [
        Case(pattern: "\\z", message: "bad escape \\z at position 0"),
        Case(pattern: "\\h", message: "bad escape \\h at position 0"),
        Case(pattern: "\\R", message: "bad escape \\R at position 0"),
        Case(pattern: "\\K", message: "bad escape \\K at position 0"),
        Case(pattern: "\\Q", message: "bad escape \\Q at position 0"),
        Case(pattern: "\\E", message: "bad escape \\E at position 0"),
        Case(pattern: "\\e", message: "bad escape \\e at position 0"),
        Case(pattern: "\\g1", message: "bad escape \\g at position 0"),
        Case(pattern: "\\g<1>", message: "bad escape \\g at position 0"),
        Case(pattern: "\\p{L}", message: "bad escape \\p at position 0"),
        Case(pattern: "\\X", message: "bad escape \\X at position 0"),
        Case(pattern: "\\C", message: "bad escape \\C at position 0"),
        Case(pattern: "\\G", message: "bad escape \\G at position 0"),
        Case(pattern: "\\cA", message: "bad escape \\c at position 0"),
        Case(pattern: "\\N", message: "missing { at position 2"),
        Case(pattern: "\\N{", message: "missing character name at position 3"),
        Case(pattern: "\\N{}", message: "missing character name at position 3"),
        Case(pattern: "\\N{NO SUCH}", message: "undefined character name 'NO SUCH' at position 0"),
        Case(
            pattern: "\\N{TANGUT IDEOGRAPH-17000}",
            message: "undefined character name 'TANGUT IDEOGRAPH-17000' at position 0"),
        Case(pattern: "\\N{U+41}", message: "undefined character name 'U+41' at position 0"),
        Case(pattern: "\\x4", message: "incomplete escape \\x4 at position 0"),
        Case(pattern: "\\x{41}", message: "incomplete escape \\x at position 0"),
        Case(pattern: "\\u00e", message: "incomplete escape \\u00e at position 0"),
        Case(pattern: "\\U0000004", message: "incomplete escape \\U0000004 at position 0"),
        Case(pattern: "\\U00110000", message: "bad escape \\U00110000 at position 0"),
        Case(pattern: "\\Ua000000d", message: "Python int too large to convert to C int"),
        Case(pattern: "\\o{1}", message: "bad escape \\o at position 0"),
        Case(pattern: "\\400", message: "octal escape value \\400 outside of range 0-0o377 at position 0"),
        Case(pattern: "\\777", message: "octal escape value \\777 outside of range 0-0o377 at position 0"),
        Case(pattern: "\\1", message: "invalid group reference 1 at position 1"),
        Case(pattern: "\\8", message: "invalid group reference 8 at position 1"),
        Case(pattern: "(a)\\2", message: "invalid group reference 2 at position 4"),
        Case(pattern: "(a)\\11", message: "invalid group reference 11 at position 4"),
        Case(pattern: "(a\\1)", message: "cannot refer to an open group at position 2"),
        Case(pattern: "a\\", message: "bad escape (end of pattern) at position 1"),
        Case(pattern: "\\", message: "bad escape (end of pattern) at position 0"),
    ]

    private static let setsCases: [Case] = [
        Case(pattern: "[", message: "unterminated character set at position 0"),
        Case(pattern: "[a", message: "unterminated character set at position 0"),
        Case(pattern: "[]", message: "unterminated character set at position 0"),
        Case(pattern: "[^]", message: "unterminated character set at position 0"),
        Case(pattern: "[]a", message: "unterminated character set at position 0"),
        Case(pattern: "[^", message: "unterminated character set at position 0"),
        Case(pattern: "[a-", message: "unterminated character set at position 0"),
        Case(pattern: "[b-a]", message: "bad character range b-a at position 1"),
        Case(pattern: "[\\d-a]", message: "bad character range \\d-a at position 1"),
        Case(pattern: "[a-\\w]", message: "bad character range a-\\w at position 1"),
        Case(pattern: "[\\8]", message: "bad escape \\8 at position 1"),
        Case(pattern: "[\\400]", message: "octal escape value \\400 outside of range 0-0o377 at position 1"),
        Case(pattern: "[\\z]", message: "bad escape \\z at position 1"),
        Case(pattern: "[\\x4]", message: "incomplete escape \\x4 at position 1"),
        Case(pattern: "[\\N{X}]", message: "undefined character name 'X' at position 1"),
        Case(pattern: "[[:alpha:", message: "unterminated character set at position 0"),
    ]

    private static let groupsCases: [Case] = [
        Case(pattern: "(", message: "missing ), unterminated subpattern at position 0"),
        Case(pattern: "(a", message: "missing ), unterminated subpattern at position 0"),
        Case(pattern: "a)", message: "unbalanced parenthesis at position 1"),
        Case(pattern: ")", message: "unbalanced parenthesis at position 0"),
        Case(pattern: "(?", message: "unexpected end of pattern at position 2"),
        Case(pattern: "(?a", message: "missing -, : or ) at position 3"),
        Case(pattern: "(?:", message: "missing ), unterminated subpattern at position 0"),
        Case(pattern: "(?P", message: "unexpected end of pattern at position 3"),
        Case(pattern: "(?P<", message: "missing group name at position 4"),
        Case(pattern: "(?P<>a)", message: "missing group name at position 4"),
        Case(pattern: "(?P<a", message: "missing >, unterminated name at position 4"),
        Case(pattern: "(?P<1>a)", message: "bad character in group name '1' at position 4"),
        Case(pattern: "(?P<a b>x)", message: "bad character in group name 'a b' at position 4"),
        Case(pattern: "(?P<é!>x)", message: "bad character in group name 'é!' at position 4"),
        Case(
            pattern: "(?P<n>a)(?P<n>b)",
            message: "redefinition of group name 'n' as group 2; was group 1 at position 12"),
        Case(pattern: "(?P=n)", message: "unknown group name 'n' at position 4"),
        Case(pattern: "(?P=", message: "missing group name at position 4"),
        Case(pattern: "(?P=n", message: "missing ), unterminated name at position 4"),
        Case(pattern: "(?P<n>(?P=n))", message: "cannot refer to an open group at position 10"),
        Case(pattern: "(?P>n)", message: "unknown extension ?P> at position 1"),
        Case(pattern: "(?Pz", message: "unknown extension ?Pz at position 1"),
        Case(pattern: "(?&n)", message: "unknown extension ?& at position 1"),
        Case(pattern: "(?R)", message: "unknown extension ?R at position 1"),
        Case(pattern: "(?1)", message: "unknown extension ?1 at position 1"),
        Case(pattern: "(?|a)", message: "unknown extension ?| at position 1"),
        Case(pattern: "(?'n'a)", message: "unknown extension ?' at position 1"),
        Case(pattern: "(?<n>a)", message: "unknown extension ?<n at position 1"),
        Case(pattern: "(?<", message: "unexpected end of pattern at position 3"),
        Case(pattern: "(*FAIL)", message: "nothing to repeat at position 1"),
        Case(pattern: "(?*a)", message: "unknown extension ?* at position 1"),
        Case(pattern: "(?C1)", message: "unknown extension ?C at position 1"),
        Case(pattern: "(?#", message: "missing ), unterminated comment at position 0"),
        Case(pattern: "(?#a", message: "missing ), unterminated comment at position 0"),
        Case(pattern: "(?\\a)", message: "unknown extension ?\\a at position 1"),
    ]

    private static let flagsCases: [Case] = [
        Case(pattern: "a(?i)", message: "global flags not at the start of the expression at position 1"),
        Case(pattern: "(a(?i))", message: "global flags not at the start of the expression at position 2"),
        Case(pattern: "(?i)a|(?s)b", message: "global flags not at the start of the expression at position 6"),
        Case(pattern: "(?L)", message: "bad inline flags: cannot use 'L' flag with a str pattern at position 3"),
        Case(pattern: "(?au)", message: "bad inline flags: flags 'a', 'u' and 'L' are incompatible at position 4"),
        Case(pattern: "(?ua)", message: "bad inline flags: flags 'a', 'u' and 'L' are incompatible at position 4"),
        Case(pattern: "(?a)(?u)", message: "ASCII and UNICODE flags are incompatible"),
        Case(pattern: "(?-a:x)", message: "bad inline flags: cannot turn off flags 'a', 'u' and 'L' at position 4"),
        Case(pattern: "(?-i)", message: "missing : at position 4"),
        Case(pattern: "(?-", message: "missing flag at position 3"),
        Case(pattern: "(?-i", message: "missing : at position 4"),
        Case(pattern: "(?-z:a)", message: "unknown flag at position 3"),
        Case(pattern: "(?i-i:a)", message: "bad inline flags: flag turned on and off at position 5"),
        Case(pattern: "(?iz)", message: "unknown flag at position 3"),
        Case(pattern: "(?i", message: "missing -, : or ) at position 3"),
        Case(pattern: "(?i!)", message: "missing -, : or ) at position 3"),
        Case(pattern: "(?J)", message: "unknown extension ?J at position 1"),
        Case(pattern: "(?U)", message: "unknown extension ?U at position 1"),
        Case(pattern: "(?^)", message: "unknown extension ?^ at position 1"),
        Case(pattern: "(?t:a)", message: "bad inline flags: cannot turn on global flag at position 3"),
        Case(pattern: "(?i-t:a)", message: "bad inline flags: cannot turn off global flag at position 5"),
        Case(pattern: "(?t)a*", message: "internal: unsupported template operator MAX_REPEAT"),
        Case(pattern: "(?t)a+?", message: "internal: unsupported template operator MIN_REPEAT"),
        Case(pattern: "(?i-", message: "missing flag at position 4"),
        Case(pattern: "(?ii-s", message: "missing : at position 6"),
    ]

    private static let conditionsCases: [Case] = [
        Case(pattern: "(?(", message: "missing group name at position 3"),
        Case(pattern: "(?()", message: "missing group name at position 3"),
        Case(pattern: "(?(1", message: "missing ), unterminated name at position 3"),
        Case(pattern: "(?(1)", message: "missing ), unterminated subpattern at position 0"),
        Case(pattern: "(?(1)a", message: "missing ), unterminated subpattern at position 0"),
        Case(pattern: "(?(1)a|b|c)", message: "conditional backref with more than two branches at position 8"),
        Case(pattern: "(a)(?(2)b)", message: "invalid group reference 2 at position 6"),
        Case(pattern: "(?(0)a)", message: "bad group number at position 3"),
        Case(pattern: "(?(n)a)", message: "unknown group name 'n' at position 3"),
        Case(pattern: "(a)(?(1\u{1D})b)", message: "bad character in group name '1\\x1d' at position 6"),
        Case(pattern: "(?(a b)a)", message: "bad character in group name 'a b' at position 3"),
        Case(pattern: "(?(+-1)a)", message: "bad character in group name '+-1' at position 3"),
        Case(pattern: "(?(-1)a)", message: "bad character in group name '-1' at position 3"),
        Case(pattern: "(?(R)a)", message: "unknown group name 'R' at position 3"),
        Case(pattern: "(?(<n>)a)", message: "bad character in group name '<n>' at position 3"),
        Case(pattern: "(?(99999999999)a)", message: "invalid group reference 99999999999 at position 3"),
        Case(pattern: "(?(1_)a)", message: "bad character in group name '1_' at position 3"),
    ]

    private static let repeatsCases: [Case] = [
        Case(pattern: "*", message: "nothing to repeat at position 0"),
        Case(pattern: "+", message: "nothing to repeat at position 0"),
        Case(pattern: "?", message: "nothing to repeat at position 0"),
        Case(pattern: "{1}", message: "nothing to repeat at position 0"),
        Case(pattern: "a**", message: "multiple repeat at position 2"),
        Case(pattern: "a*{2}", message: "multiple repeat at position 2"),
        Case(pattern: "a+*", message: "multiple repeat at position 2"),
        Case(pattern: "a{1}{2}", message: "multiple repeat at position 4"),
        Case(pattern: "a{2,1}", message: "min repeat greater than max repeat at position 2"),
        Case(pattern: "^*", message: "nothing to repeat at position 1"),
        Case(pattern: "$+", message: "nothing to repeat at position 1"),
        Case(pattern: "\\b*", message: "nothing to repeat at position 2"),
        Case(pattern: "\\A?", message: "nothing to repeat at position 2"),
        Case(pattern: "(?:*)", message: "nothing to repeat at position 3"),
        Case(pattern: "(*a)", message: "nothing to repeat at position 1"),
        Case(pattern: "a|*", message: "nothing to repeat at position 2"),
        Case(pattern: "a{4294967295}", message: "the repetition number is too large"),
        Case(pattern: "a{1,4294967295}", message: "the repetition number is too large"),
        Case(pattern: "a???", message: "multiple repeat at position 3"),
        Case(pattern: "a++?", message: "multiple repeat at position 3"),
        Case(pattern: "a*+*", message: "multiple repeat at position 3"),
        Case(pattern: "(?i)*", message: "nothing to repeat at position 4"),
    ]

    private static let looksCases: [Case] = [
        Case(pattern: "(?<=a*)", message: "look-behind requires fixed-width pattern"),
        Case(pattern: "(?<=a|bc)", message: "look-behind requires fixed-width pattern"),
        Case(pattern: "(?<!a+)", message: "look-behind requires fixed-width pattern"),
        Case(
            pattern: "(?<=(a)(?(1)b|cd))",
            message: "cannot refer to group defined in the same lookbehind subpattern at position 12"),
        Case(
            pattern: "(?<=(a)\\1)",
            message: "cannot refer to group defined in the same lookbehind subpattern at position 9"),
        Case(
            pattern: "(?<=(?P<n>a)(?P=n))",
            message: "cannot refer to group defined in the same lookbehind subpattern at position 18"),
        Case(pattern: "((?<=\\1)a)", message: "cannot refer to an open group at position 5"),
        Case(pattern: "(?<=(?(1)a|b))", message: "cannot refer to an open group at position 9"),
        Case(pattern: "(?<=((a{4294967294}){4294967294}))", message: "looks too much behind"),
        Case(pattern: "(?=a", message: "missing ), unterminated subpattern at position 0"),
        Case(pattern: "(?<!a", message: "missing ), unterminated subpattern at position 0"),
    ]

    private static let linesCases: [Case] = [
        Case(pattern: "a\n\nb(", message: "missing ), unterminated subpattern at position 4 (line 3, column 2)"),
        Case(pattern: "(?x)\n a #(\n *)", message: "unbalanced parenthesis at position 13 (line 3, column 3)"),
        Case(pattern: "\n[a", message: "unterminated character set at position 1 (line 2, column 1)"),
    ]

    private func check(_ refused: Case) {
        #expect { try CompiledExpression(refused.pattern) } throws: { error in
            (error as? PythonRegexError)?.description == refused.message
        }
        #expect(throws: PythonRegexError.self) { try CompiledExpression.validate(refused.pattern) }
    }

    @Test(arguments: escapesCases) func escapes(refused: Case) { check(refused) }
    @Test(arguments: setsCases) func sets(refused: Case) { check(refused) }
    @Test(arguments: groupsCases) func groups(refused: Case) { check(refused) }
    @Test(arguments: flagsCases) func flags(refused: Case) { check(refused) }
    @Test(arguments: conditionsCases) func conditions(refused: Case) { check(refused) }
    @Test(arguments: repeatsCases) func repeats(refused: Case) { check(refused) }
    @Test(arguments: looksCases) func looks(refused: Case) { check(refused) }
    @Test(arguments: linesCases) func lines(refused: Case) { check(refused) }
}
