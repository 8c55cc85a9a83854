import Testing

@testable import Client

@Suite struct CSVReaderTests {
    private func rows(_ text: String, pieces: Int = .max) -> [String] { rows([UInt8](text.utf8), pieces: pieces) }

    private func rows(_ bytes: [UInt8], pieces: Int = .max) -> [String] {
        var reader = CSVReader()
        var found: [String] = []
        func emit(_ row: CSVReader.Row) {
            switch row {
            case .fields(let fields, let line):
                found.append("\(line):" + fields.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "|"))
            case .problem(let reason, let line): found.append("\(line)!\(reason)")
            }
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            reader.read([UInt8](rest.prefix(pieces)), emit)
            rest = rest.dropFirst(pieces)
        }
        reader.finish(emit)
        return found
    }

    @Test(arguments: [1, 2, 3, 1_000])
    func fieldsQuotesAndLineEnds(_ pieces: Int) {
        #expect(
            rows("a,b\r\nc,d\n\n\"x,1\r\ny\",\"say \"\"hi\"\"\"\re,,\n", pieces: pieces)
                == ["1:a|b", "2:c|d", "4:x,1\r\ny|say \"hi\"", "6:e||"])
        #expect(rows("last,row", pieces: pieces) == ["1:last|row"])
        #expect(rows("\"\"\n\"\",\n,", pieces: pieces) == ["1:", "2:|", "3:|"])
        #expect(rows("", pieces: pieces) == [])
        #expect(rows("\r\n\r\n", pieces: pieces) == [])
    }

    @Test(arguments: [1, 2, 1_000])
    func aByteOrderMarkIsNoText(_ pieces: Int) {
        #expect(rows([0xEF, 0xBB, 0xBF] + [UInt8]("a,b\nc".utf8), pieces: pieces) == ["1:a|b", "2:c"])
        #expect(rows([0xEF, 0xBB, 0xBF] + [UInt8]("\"a\"\n".utf8), pieces: pieces) == ["1:a"])
        #expect(rows([0xEF, 0xBB, 0xBF], pieces: pieces) == [])
        #expect(rows("ï,b", pieces: pieces) == ["1:ï|b"])
    }

    @Test(arguments: [1, 2, 1_000])
    func whatIsNotWellFormedIsReportedAndTheNextLineIsRead(_ pieces: Int) {
        #expect(
            rows("a\"b,c\nd\n\"e\"f,g\r\nh\n", pieces: pieces)
                == [
                    "1!a quote inside a field that does not begin with one", "2:d", "3!text after a closing quote",
                    "4:h",
                ])
        #expect(rows("a\n\"b,c\nd\n", pieces: pieces) == ["1:a", "2!a quote that is opened here is never closed"])
    }
}
