import Testing
import TupleCore
import WireProtocol

@testable import Client

@Suite struct ImportRowsTests {
    private func settings(
        _ format: ImportSettings.Format, key: [String] = ["1"], value: [String]? = nil, words: Bool = false,
        header: Bool = true
    ) -> ImportSettings {
        ImportSettings(
            path: "f", format: format, operation: .put, keyColumns: key, valueColumns: value, splitsWords: words,
            hasHeader: header, pairsPerRequest: 100)
    }

    private func rows(_ text: String, _ settings: ImportSettings) throws -> [String] {
        var rows = ImportRows(settings)
        return (try rows.read([UInt8](text.utf8)) + rows.finish()).map { row in
            switch row.content {
            case .pair(let pair): "\(row.line):\(String(decoding: JSON.text(pair), as: UTF8.self))"
            case .malformed(let reason): "\(row.line)!\(reason)"
            }
        }
    }

    @Test func jsonLinesAreListsOrObjects() throws {
        let text = """
            [["user","42"],["ada"]]

            {"key":["user","43"],"value":["grace"],"note":1}
            nonsense
            [["a"]]
            [["a"],["b",3]]
            [[],["b"]]
            ["a","b"]
            [["a"],["b c"]]
            """
        #expect(
            try rows(text, settings(.jsonl)) == [
                #"1:[["user","42"],["ada"]]"#, #"3:[["user","43"],["grace"]]"#, "4!unexpected 'o', at byte 2",
                #"5!neither [KEY, VALUE] nor {"key": […], "value": […]}"#,
                "6!element 2 of the value is the number 3; an element is a string: write it in quotes",
                "7!the key has no element; it needs one at least",
                #"8!the key is a string and no tuple; a tuple is a list of strings, such as ["user","42"]"#,
                #"9:[["a"],["b c"]]"#,
            ])
    }

    @Test func columnsHaveNamesAndNumbers() throws {
        let text = "id,name,2\n1,ada,x\n3,,y\n"
        #expect(
            try rows(text, settings(.csv)) == [
                #"2:[["1"],["ada","x"]]"#, "3!column 2 ('name') is empty; no element can be",
            ])
        #expect(
            try rows(text, settings(.csv, key: ["name", "id"], value: ["2"])) == [
                #"2:[["ada","1"],["x"]]"#, "3!column 2 ('name') is empty; no element can be",
            ])
        #expect(try rows("a,b\n", settings(.csv, key: ["2"], value: ["1"], header: false)) == [#"1:[["b"],["a"]]"#])
    }

    @Test func wordsAreElements() throws {
        let text = "id,name\n00-A1,\"Société d'Ada, No. 42 ½\"\nB2,--\n"
        #expect(
            try rows(text, settings(.csv, words: true)) == [
                #"2:[["00","A1"],["Société","d","Ada","No","42","½"]]"#,
                "3!the value has no element; it needs one at least",
            ])
    }

    @Test(arguments: [["nope"], ["0"], ["4"], []])
    func columnsThatAreNotThereStopTheImport(_ key: [String]) {
        #expect(throws: ImportRows.Problem.self) { try rows("a,b,c\n1,2,3\n", settings(.csv, key: key)) }
    }

    private func problem(_ text: String, _ settings: ImportSettings) -> String {
        do throws(ImportRows.Problem) {
            var rows = ImportRows(settings)
            _ = try rows.read([UInt8](text.utf8))
            return "none"
        } catch { return "\(error.code.rawValue): \(error.message)" }
    }

    @Test func raggedRowsAreRefusedWithTheirLine() throws {
        let text = "id,name,age\n1,ada,36\n2,grace\n3,alan,41,x\n"
        #expect(
            try rows(text, settings(.csv)) == [
                #"2:[["1"],["ada","36"]]"#,
                "3!the row has 2 columns; the first has 3; --short-rows fill takes it without those it lacks",
                "4!the row has 4 columns; the first has 3",
            ])
        var filling = settings(.csv)
        filling.fillsShortRows = true
        #expect(try rows(text, filling)[1] == #"3:[["2"],["grace"]]"#)
        #expect(try rows("1,a\n2,b,c\n", settings(.csv, header: false))[1].hasPrefix("2!the row has 3 columns"))
    }

    @Test func anotherDelimiterIsNoticedAndCanBeSaid() throws {
        let text = "id;name\n1;3,50\n"
        let message = problem(text, settings(.csv))
        #expect(message.hasPrefix("3: line 1: there is one column, 'id;name'") && message.hasSuffix("--delimiter ';'"))
        var semicolons = settings(.csv)
        semicolons.delimiter = UInt8(ascii: ";")
        #expect(try rows(text, semicolons) == [#"2:[["1"],["3,50"]]"#])
        #expect(problem("id\tname\n", settings(.csv)).hasSuffix("--delimiter tab"))
    }

    @Test func aColumnThatIsNamedTwiceIsAmbiguous() throws {
        let text = "id,name,name\n1,a,b\n"
        #expect(
            problem(text, settings(.csv))
                == "3: line 1: column 'name' is there twice, as number 2 and as number 3; choose columns by number, with "
                + "--key-columns and --value-columns")
        #expect(problem(text, settings(.csv, value: ["name"])).hasPrefix("3: line 1: column 'name'"))
        #expect(try rows(text, settings(.csv, key: ["1"], value: ["3"])) == [#"2:[["1"],["b"]]"#])
        #expect(problem("a,b\n", settings(.csv, key: ["1", "a"])) == "2: column 1 is chosen twice")
    }

    @Test func aColumnIsPerhapsSpelledOtherwise() {
        #expect(problem("Id,Full Name\n", settings(.csv, key: ["full nme"])).contains("did you mean 'Full Name'?"))
    }

    @Test func textThatIsNotUTF8IsRefusedAndNotMadeToFit() throws {
        let latin1: [UInt8] = [UInt8]("id,name\n1,Caf".utf8) + [0xE9] + [UInt8]("s\n".utf8)
        for words in [false, true] {
            var rows = ImportRows(settings(.csv, words: words))
            let content = try rows.read(latin1).map(\.content)
            #expect(
                content == [
                    .malformed("column 2 ('name') is not UTF-8; convert the file, for example with iconv")
                ])
        }
    }

    @Test func aByteOrderMarkIsPassedOver() throws {
        let text = "\u{FEFF}[[\"a\"],[\"b\"]]\n"
        #expect(try rows(text, settings(.jsonl)) == [#"1:[["a"],["b"]]"#])
    }

    @Test func anImportGoesOnFromALine() throws {
        var later = settings(.csv)
        later.firstLine = 3
        #expect(try rows("id,name\n1,a\n2,b\n", later) == [#"3:[["2"],["b"]]"#])
    }

    @Test func withoutAHeaderColumnsHaveNoNames() {
        #expect(throws: ImportRows.Problem.self) { try rows("a,b\n", settings(.csv, key: ["a"], header: false)) }
    }
}

@Suite struct ImportReportTests {
    private func rejected(_ numbers: [Int], _ reason: Reason = .exists) -> [Rejected] {
        numbers.map { Rejected(item: .number("\($0)"), reason: reason) }
    }

    @Test func whatComesBackIsFoundAgain() {
        let given = [1, 2, 1, 3, 1].map { Term.number("\($0)") }
        func positions(_ numbers: [Int]) -> [Int] {
            ImportReport.positions(of: rejected(numbers), in: given).map(\.position)
        }
        #expect(positions([]) == [])
        #expect(positions([1, 1]) == [2, 4])
        #expect(positions([2, 3]) == [1, 3])
        #expect(positions([1, 2, 1, 3, 1]) == [0, 1, 2, 3, 4])
        #expect(positions([9]) == [])
    }

    @Test func theSummarySaysWhatTheContractSays() {
        var report = ImportReport(operation: .put)
        report.rows = 8
        report.imported = 5
        report.longestPause = .milliseconds(42)
        #expect(report.exitCode == .done)
        report.count(.exists)
        report.count(.malformed)
        report.malformed += 1
        #expect(report.text == "imported 5, exists 1, malformed 2, longest pause 42 ms")
        #expect(report.exitCode == .givenBack)
        #expect(
            String(decoding: JSON.text(report.json), as: UTF8.self)
                == #"{"status":"ok","imported":5,"exists":1,"malformed":2,"rows":8,"#
                + #""longestPauseMilliseconds":42,"errors":0}"#)
        report.failure = Answer(status: .unavailable, message: "m")
        report.errors = 3
        #expect(report.text == "imported 5, exists 1, malformed 2, errors 3, longest pause 42 ms")
        #expect(report.exitCode == .unavailable)
    }

    @Test func aPauseIsTimeWithoutAnswersWhileSomethingIsWaitedFor() {
        var meter = PauseMeter()
        func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
        meter.submitted(at: at(1_000))
        meter.submitted(at: at(1_005))
        meter.answered(at: at(1_010))
        meter.answered(at: at(1_030))
        // Nothing is waited for in between.
        meter.submitted(at: at(9_000))
        meter.answered(at: at(9_003))
        #expect(meter.longest == .milliseconds(20))
    }
}
