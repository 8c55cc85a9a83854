import Testing
import TupleCore
import WireProtocol

@testable import Client

@Suite struct OutputFormatTests {
    private func pair(_ key: String, _ value: String) throws -> Pair {
        func tuple(_ text: String) throws -> Tuple {
            try Tuple(elements: text.split(separator: "|").map { [UInt8]($0.utf8) }, rule: .text)
        }
        return Pair(key: try tuple(key), value: try tuple(value))
    }

    private func shown(
        _ answer: Answer, _ format: OutputFormat, to name: String = "GET", given: Int = 0, style: Style = .none
    ) -> [String] {
        let rendering = AnswerRenderer(format: format, outputStyle: style, errorStyle: style)
            .render(answer, to: name, given: given)
        return [String(decoding: rendering.output, as: UTF8.self), String(decoding: rendering.errors, as: UTF8.self)]
    }

    @Test func plainIsALineAPair() throws {
        let answer = Answer(pairs: [try pair("user|42", "ada|lovelace"), try pair("a,b", "c")])
        #expect(shown(answer, .plain) == ["user,42\tada,lovelace\n[\"a,b\"]\tc\n", ""])
        #expect(shown(Answer(), .plain) == ["", ""])
        #expect(shown(Answer(warning: "missing )"), .plain) == ["", "twinspace: warning: missing )\n"])
    }

    @Test func plainShowsWhatCameBackWithItsReason() throws {
        let answer = Answer(rejected: [
            .init(item: Term(try pair("user|42", "x")), reason: .exists), .init(item: .number("7"), reason: .malformed),
        ])
        #expect(shown(answer, .plain, to: "PUT", given: 3) == ["exists\tuser,42\tx\nmalformed\t7\n", ""])
        #expect(shown(answer, .table, to: "PUT", given: 3)[0].hasSuffix("1 pair added, 2 given back\n"))
    }

    @Test func tablesHaveColumns() throws {
        let answer = Answer(pairs: [try pair("user|42", "ada"), try pair("日本", "x")])
        #expect(shown(answer, .table)[0].hasPrefix("KEY      VALUE\nuser,42  ada\n"))
        #expect(shown(answer, .table)[0].hasSuffix("2 pairs\n"))
        #expect(shown(Answer(), .table, to: "DELETE") == ["0 pairs removed\n", ""])
    }

    @Test func coloursAreThereOnlyWhereTheyAreWanted() {
        let failed = Answer(status: .unavailable, message: "gone")
        #expect(shown(failed, .table) == ["", "twinspace: unavailable: gone\n"])
        #expect(shown(failed, .table, style: Style(isOn: true))[1].contains("\u{1b}[31m"))
    }

    @Test func nothingReachesTheTerminalThatItWouldActOn() throws {
        let answer = Answer(warning: "\u{1b}]0;x\u{7}\u{9b}2J", pairs: [try pair("\u{1b}[2J", "\u{9b}2J\u{7f}")])
        for format in OutputFormat.allCases {
            for text in shown(answer, format) {
                let harmful = text.unicodeScalars.filter {
                    $0.properties.generalCategory == .control && $0 != "\n" && $0 != "\t"
                }
                #expect(harmful.isEmpty, "\(format)")
            }
        }
    }

    @Test func whatReordersOrDividesALineIsEscaped() throws {
        let answer = Answer(
            warning: "a\u{202E}b\nc", pairs: [try pair("x\u{202E}y", "p\u{2028}q"), try pair("\u{61C}", "\u{2069}")])
        for format in [OutputFormat.plain, .table] {
            let text = shown(answer, format)
            #expect(text[0].contains(#"["x\u202ey"]"#) && text[0].contains(#"["p\u2028q"]"#), "\(text)")
            #expect(text[0].contains(#"["\u061c"]"#) && text[0].contains(#"["\u2069"]"#), "\(text)")
            #expect(text[1] == "twinspace: warning: a\\u202eb\\u000ac\n")
        }
    }

    @Test func aPartOfAnAnswerCanBeShown() throws {
        let answer = Answer(pairs: [try pair("a", "1"), try pair("b", "2"), try pair("c", "3")])
        func text(_ format: OutputFormat, _ selection: Selection) -> String {
            let rendering = AnswerRenderer(format: format).render(answer, to: "GET", given: 0, selection: selection)
            return String(decoding: rendering.output, as: UTF8.self)
        }
        #expect(text(.plain, Selection(limit: 2)) == "a\t1\nb\t2\n")
        #expect(text(.plain, Selection(showsCount: true)) == "3\n")
        #expect(text(.table, Selection(showsCount: true)) == "3\n")
        #expect(text(.json, Selection(showsCount: true)) == "{\"status\":\"ok\",\"count\":3}\n")
        #expect(text(.plain, Selection(showsKeys: true)) == "a\nb\nc\n")
        #expect(text(.json, Selection(limit: 1, showsKeys: true)) == "{\"status\":\"ok\",\"keys\":[[\"a\"]]}\n")
        #expect(text(.table, Selection(isDryRun: true)).hasSuffix("3 pairs would be removed\n"))
        #expect(text(.json, Selection(isDryRun: true)).hasSuffix("\"dryRun\":true}\n"))
    }

    @Test func jsonIsTheSameWhetherItIsBuiltOrWritten() throws {
        let pairs = [try pair("a", "1"), try pair("b", "\u{2028}")]
        let answers = [
            Answer(), Answer(warning: "w", pairs: pairs), Answer(status: .tooLarge, message: "m"),
            Answer(status: .unknown),
            Answer(rejected: [.init(item: .null, reason: .malformed)]),
        ]
        for answer in answers {
            var text: [UInt8] = []
            answer.writeJSON(details: .text, to: &text)
            #expect(text == JSON.text(answer.json(details: .text)))
        }
    }

    @Test func malformedItemsAreToldWhy() throws {
        let item = try JSON.parse([UInt8](#"[["user_name"],["bob"]]"#.utf8))
        let answer = Answer(rejected: [
            .init(item: item, reason: .malformed), .init(item: Term(try pair("a", "b")), reason: .exists),
        ])
        let rule = ElementRule.alphanumeric
        let json = AnswerRenderer(format: .json).render(answer, to: "PUT", given: 2, rule: rule)
        let text = String(decoding: json.output, as: UTF8.self)
        #expect(
            text.contains(
                #""reasons":["malformed","exists"],"details":["element 1 of the key, 'user_name', has '_' (U+005F)"#))
        #expect(text.hasSuffix(",null]}\n"))
        let plain = AnswerRenderer(format: .plain).render(answer, to: "PUT", given: 2, rule: rule)
        #expect(plain.output == [UInt8]("malformed\tuser_name\tbob\nexists\ta\tb\n".utf8))
        #expect(String(decoding: plain.errors, as: UTF8.self).hasPrefix("twinspace: malformed: element 1 of the key"))
    }

    @Test func jsonIsOneObjectALine() {
        #expect(
            shown(Answer(status: .refused), .json) == [
                "{\"status\":\"refused\",\"pairs\":[],\"message\":\"service refused\"}\n", "",
            ])
    }

    @Test func repliesToOperators() {
        let renderer = AnswerRenderer(format: .json)
        func text(_ reply: OperatorReply) -> String {
            String(decoding: renderer.render(reply, to: "shutdown").output, as: UTF8.self)
        }
        #expect(text(OperatorReply()) == "{\"status\":\"ok\",\"pairs\":[]}\n")
        #expect(text(OperatorReply(status: .notImplemented)).contains("\"message\":"))
    }

    @Test func exitCodesAreTheContracts() {
        let codes: [Status: Int32] = [
            .ok: 0, .malformed: 3, .notImplemented: 4, .refused: 5, .unavailable: 6, .unknown: 7, .tooCostly: 8,
            .tooLarge: 8,
        ]
        for status in Status.allCases { #expect(ExitCode(Answer(status: status)).rawValue == codes[status]) }
        #expect(ExitCode(Answer(rejected: [.init(item: .null, reason: .exists)])).rawValue == 1)
        #expect(ExitCode.usage.rawValue == 2 && ExitCode.localFile.rawValue == 12)
        #expect(ExitCode(Answer(warning: "malformed key expression")).rawValue == 3)
    }
}

@Suite struct StatusViewTests {
    private func status(_ format: OutputFormat) throws -> String {
        let text =
            #"{"active":"a","epoch":7,"redundant":false,"insync":["a"],"servers":[{"name":"a","role":"active","#
            + #""state":"serving","index":12,"lag":0,"address":"h:1"}],"clients":3,"new":{"x":1}}"#
        return String(
            decoding: StatusView.text(try JSON.parse([UInt8](text.utf8)), format: format, style: .none), as: UTF8.self)
    }

    @Test func jsonIsAsTheProxySaysIt() throws {
        #expect(try JSON.parse([UInt8](status(.json).utf8))["servers"] != nil)
        #expect(try status(.json).hasPrefix(#"{"active":"a","epoch":7,"redundant":false,"insync":["a"],"#))
    }

    @Test func peopleSeeAllOfIt() throws {
        #expect(try status(.plain).contains("server\ta\tactive\tserving\t12\t0\th:1\n"))
        let table = try status(.table)
        for word in ["epoch       7", "redundant   no", "new         {\"x\":1}", "NAME", "a     active  serving"] {
            #expect(table.contains(word), "\(word)")
        }
    }
}
