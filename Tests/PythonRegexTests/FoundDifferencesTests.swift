import Testing

@testable import PythonRegex

/// What random tests against CPython have found, each as its own case; the expected answers are CPython 3.11.7's.
@Suite struct FoundDifferencesTests {
    private static let preferences: [CompiledExpression.Preference] = [.translated, .explicitClasses, .exact]

    @Test(arguments: [
        // PCRE2 makes the repeat in front of an optional atomic group possessive.
        (
            #"[aa-𝟙]\n(?>[\n-a\n]+(?s:𝟙a{3}?\w{0,1}?){,2}+a|a|a*)(\D٣*?٣|\n\n+?)"#, "𝟙\naa٣٣", false
        ),
        (#"(?>a+(?:x)?+a|a)a"#, "aa", false),
        (#"(?>a+(?>x)?a|a)a"#, "aa", false),
        (#"(?s)(?i:\-{1,2}(漢)?+|)(\-)(?!(?:)\-{2}+)"#, "--", true),
        (
            #"[tt-t]+\ufb05|(?>\w*\U0000fb06|.)ﬆ(?!ﬅtﬆ|\d|(?:t{0,1}?t|\U0000fb06{0}\U0000fb05{2}+)"#
                + #"(?>t{2}\S|\u0074+?.{3}|\d.\u0074{,2})?+[ﬅ-ﬆ]{1,})|((.)^||.[\w])"#
                + #"(?P<g3>(ﬅﬆ{,}t*?)(\U0000fb05.){,}+|(?(1)t|))."#, "ﬅtﬅﬆ", true
        ),
        // Rounds that take nothing, where something remembers them.
        (
            #"(?s)ᲀ{1,}+(?:..)(?:(?P<g1>\u0412{2}+(?i-s:(?>В{1,2})В(?:\u1c80ᲀ\B|В)|.|\U00000412{2}?)"#
                + #"|в{,2}(){2}?|В(?:\2))+?)"#, "ᲀᲀᲀᲀВВВ", true
        ),
        (
            #"(?:((?P<g2>(?=ᲀ?.){,})|(?P<g3>(?P=g2)ᲀ++|В|в)*?(?:))ᲀ{,2}?\b|(?:Вᲀ\D|\d|(вᲀ\d{0}?)?[в-ᲀ]В+)"#
                + #"ᲀ(?P=g2)|в){,2}|(В{,2}$[0-9\w]{0}+)|"#, "ᲀв", false
        ),
        (#"(?a:i?)(|\Z){2,3}+(?>i.+|i(?!(^i)(?<!ﬁ))[\s])|"#, "iǆf", true),
        // PCRE2 looks into what is repeated no times for what a match must begin with.
        (#"(?:|(?=\x85)a){0}a"#, "a", true),
        (#"(?:(x)|(?=b)a){0}(a)(?(1)b|\2)"#, "aa", true),
        // Many rounds that may be empty: too many ways, if each of them is gone.
        (#"^((x|y)*){1,187}"#, "xxxa", false),
        (#"(?:a?b?){20}c"#, "abababd", false),
        // One round of a possessive repeat is never entered again.
        (#"(?:a|ab){2}+"#, "aba", false),
        (#"(?>(?:a|ab){2})"#, "aba", true),
        // What a group held is not put back within a round of a possessive repeat.
        (#"((?P<g5>)s|((?(g5){)[^A]|A))*+"#, "Aa", false),
        (#"(?:(?:()s|((?(1){)[^A]|A))*+)*"#, "Aa", true),
        (
            #"(?i:a*)(?P<g1>A(?:BA(?s:B(B)b{1,2}){1,2})|B|b{,2}b)|(A{,2}+)((?P<g5>\141\x62(?-m:b{3}b(?#B)"#
                + #"(\u0041|ba{2}|.){,2})|)A\s|(?m:)(?:(?(g5)bB{,}(?:)|())[^A]||a)(?>[^Ba]*|\AA*a|BA))*+(?(2)|B)"#
                + #"|\N{latin capital letter a}\w"#, "AaNB", true
        ),
        // A condition about the group that it stands in.
        (#"(([\n-aa\w]{0}?(?:|\r(?(1)\n{1,}?|[\uffff-\U00010450\r]{0,1})[^a-])*?){1,2}?)"#, "\r\n\n\n", true),
        (
            #"((?>􏿿.|字\d+?){1,}?􏿿{1,2}|(.{0,1}?[漢\W字][\W]|_￿.)漢(?(1)[_-字字-漢􏿿]􏿿{,})?)()"#,
            "_￿-漢}", true
        ),
        (
            #"(?u)\U000000df\U00000053((?(1)((?:sSs)(?(2)\163S{2})\xdf+)|(?:(\w)))+?(?:|ẞ{1,2}+){0}?(?!ẞ{1,})|)"#,
            "ßSẞSssSSßẞßẞsSSSßẞ", false
        ),
        (#"(?:x(a(?(1)b|c)))*"#, "xacxac", true),
        // References that ignore case compare lower case, not what folds alike.
        (#"(?i)(s)\1"#, "sſ", false),
        (#"(?i)(s)\1"#, "sS", true),
        (#"(?i)(i)\1"#, "iİ", true),
        (#"(?i)(σ)\1"#, "σς", false),
        (#"(?ai)(é)\1"#, "éÉ", false),
        // Case in sets: a capital above U+FFFF is never met.
        ("(?i)[\u{10400}x]", "\u{10400}", false),
        ("(?i)[\u{10428}x]", "\u{10400}", true),
        ("(?i)(?:\u{10400}|x)", "\u{10400}", false),
        ("(?i)\u{10400}", "\u{10428}", true),
        (#"(?ai)[\U00010400-\U00010410]"#, "\u{10428}", true),
        (#"(?i)[A-Z]"#, "\u{212A}", true),
        (#"(?i)[A-Z]"#, "ſ", true),
        (#"(?i)[^k]"#, "\u{212A}", false),
        (#"(?i)ﬅ"#, "ﬆ", true),
        (#"(?i)ß"#, "ss", false),
        // Names of spaces, ends of lines, counts.
        (#"\s"#, "\u{1C}", true),
        (#"\s"#, "\u{180E}", false),
        (#"(?a)\s"#, "\u{85}", false),
        ("(?x)a\u{85}b", "ab", false),
        (#"(?m)a\n^"#, "a\n", true),
        (#"a{,}"#, "aaa", true),
        (#"a{}"#, "a{}", true),
        (#"a{1"#, "a{1", true),
        (#"[[:alpha:]]"#, ":]", true),
        (#"[]a]+"#, "]a", true),
        (#"[a&&b]+"#, "&", true),
        (#"(?:){70000}a{0,70000}"#, "aaa", true),
        (#"\ud800|a"#, "a", true),
        (#"[^\ud800]"#, "a", true),
        (#"(?<!\ud800)a"#, "a", true),
        (#"(?<=a\ud800|ab)c"#, "c", false),
        (#"()()()()()()()()()()()\119"#, "9", true),
        (#"\0119"#, "\u{9}9", true),
    ])
    func agreesWithCPython(pattern: String, subject: String, expected: Bool) throws {
        for preference in Self.preferences {
            let expression = try CompiledExpression(pattern, preference: preference)
            #expect(matches(expression, subject) == expected, "\(preference)")
        }
    }
}
