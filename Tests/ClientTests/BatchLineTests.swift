import Testing
import TupleCore

@testable import Client

@Suite struct BatchLineTests {
    private func request(_ text: String) throws -> Request { try BatchLine.request([UInt8](text.utf8)[...]) }

    @Test func aRequestIsAnObjectWithOperatorAndPayload() throws {
        #expect(
            try request(#" {"payload": [".*", ".*"], "op": "GET", "id": 7} "#)
                == Request(operatorName: "GET", payload: .list([.string(".*"), .string(".*")])))
        #expect(try request(#"{"op": "", "payload": null}"#) == Request(operatorName: "", payload: .null))
    }

    @Test(arguments: [
        "", "GET", "[]", "{}", #"{"op": "GET"}"#, #"{"payload": 1}"#, #"{"op": 5, "payload": []}"#,
        #"{"op": "GET", "op": "PUT", "payload": []}"#, #"{"op": "GET", "payload": 1, "payload": 2}"#,
    ])
    func anythingElseIsNone(_ text: String) {
        #expect(throws: BatchLine.Problem.self) { try request(text) }
    }
}

@Suite struct LineSplitterTests {
    private func lines(_ pieces: [String], limit: Int = 5) -> [String] {
        var splitter = LineSplitter(maximumBytes: limit)
        var found: [String] = []
        func drain() {
            while let line = splitter.next() {
                switch line {
                case .text(let text): found.append(String(decoding: text, as: UTF8.self))
                case .tooLong: found.append("too long")
                }
            }
        }
        for piece in pieces {
            splitter.append([UInt8](piece.utf8))
            drain()
        }
        splitter.end()
        drain()
        return found
    }

    @Test func linesEndWhereTheyEnd() {
        #expect(lines([]) == [])
        #expect(lines(["a\nb\r\n", "\n", "c"]) == ["a", "b", "", "c"])
        #expect(lines(["a", "b", "\n"]) == ["ab"])
        #expect(lines(["a\n"]) == ["a"])
    }

    @Test func longLinesArePassedOver() {
        #expect(lines(["12345\n123456\nx"]) == ["12345", "too long", "x"])
        #expect(lines(["123", "456", "789", "0\na", "bc\n"]) == ["too long", "abc"])
        #expect(lines(["1234567"]) == ["too long"])
    }
}
