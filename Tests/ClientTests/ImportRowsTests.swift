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
                "6!element 2 of the value is empty or no text", "7!the key has no element",
                "8!the key is no list of strings", #"9:[["a"],["b c"]]"#,
            ])
    }

    @Test func columnsHaveNamesAndNumbers() throws {
        let text = "id,name,2\n1,ada,x\n2,grace\n3,,y\n"
        #expect(
            try rows(text, settings(.csv)) == [
                #"2:[["1"],["ada","x"]]"#, #"3:[["2"],["grace"]]"#, "4!element 1 of the value is empty or no text",
            ])
        #expect(
            try rows(text, settings(.csv, key: ["name", "id"], value: ["2"])) == [
                #"2:[["ada","1"],["x"]]"#, "3!column 3 is missing; the row has 2",
                "4!element 1 of the key is empty or no text",
            ])
        #expect(try rows("a,b\n", settings(.csv, key: ["2"], value: ["1"], header: false)) == [#"1:[["b"],["a"]]"#])
    }

    @Test func wordsAreElements() throws {
        let text = "id,name\n00-A1,\"Société d'Ada, No. 42 ½\"\nB2,--\n"
        #expect(
            try rows(text, settings(.csv, words: true)) == [
                #"2:[["00","A1"],["Société","d","Ada","No","42","½"]]"#, "3!the value has no element",
            ])
    }

    @Test(arguments: [["nope"], ["0"], ["4"], []])
    func columnsThatAreNotThereStopTheImport(_ key: [String]) {
        #expect(throws: ImportRows.Problem.self) { try rows("a,b,c\n1,2,3\n", settings(.csv, key: key)) }
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
