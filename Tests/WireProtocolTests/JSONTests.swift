import Testing
import TupleCore
import WireProtocol

@Suite struct JSONTests {
    private func parse(_ text: String) throws -> Term { try JSON.parse([UInt8](text.utf8)) }

    private func problem(_ text: String) -> JSONError? { problem([UInt8](text.utf8)) }

    private func problem(_ bytes: [UInt8]) -> JSONError? {
        do throws(JSONError) {
            _ = try JSON.parse(bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        "null", "true", "false", "0", "-0", "12.50e+3", "\"\"", "\"a b\"", "[]", "{}",
        "[1,[2,[]],{\"a\":null,\"a\":1}]",
        "\"ä€😀\"", "\"\\n\\r\\t\\\"\\\\\"", "\"\\u0000\\u001f\\u007f\\u0085\"", "123456789012345678901234567890.0001",
    ])
    func whatIsWrittenIsWhatWasRead(_ text: String) throws {
        #expect(String(decoding: JSON.text(try parse(text)), as: UTF8.self) == text)
    }

    @Test func spaceAndEscapesAreUnderstood() throws {
        #expect(try parse(" \t\r\n[ 1 , \"\\u00e4\\/\\b\\f\" ] \n") == .list([.number("1"), .string("ä/\u{8}\u{c}")]))
        #expect(try parse("\"\\ud83d\\uDE00\"") == .string("😀"))
        #expect(
            try parse("{ \"k\" : [ true , false ] }")
                == .object([.init(name: [UInt8]("k".utf8), value: .list([.boolean(true), .boolean(false)]))]))
    }

    @Test func partsOfALargerTextCountFromTheirBeginning() throws {
        let bytes = [UInt8]("xx[1]".utf8)
        #expect(try JSON.parse(bytes[2...]) == .list([.number("1")]))
        #expect(throws: JSONError(.end, at: 2)) { try JSON.parse(bytes[2..<4]) }
    }

    @Test(arguments: [
        ("", JSONError(.end, at: 0)), ("[1,", JSONError(.end, at: 3)), ("[1,]", JSONError(.unexpected(0x5D), at: 3)),
        ("[1 2]", JSONError(.unexpected(0x32), at: 3)), ("01", JSONError(.number, at: 0)),
        ("1.", JSONError(.number, at: 0)), ("-", JSONError(.number, at: 0)),
        ("+1", JSONError(.unexpected(0x2B), at: 0)),
        ("NaN", JSONError(.unexpected(0x4E), at: 0)), ("nul", JSONError(.end, at: 3)),
        ("nulx", JSONError(.unexpected(0x78), at: 3)), ("true false", JSONError(.trailing, at: 5)),
        ("\"a", JSONError(.end, at: 2)), ("\"\\x\"", JSONError(.escape, at: 2)),
        ("\"\\u12g4\"", JSONError(.escape, at: 5)),
        ("\"\n\"", JSONError(.controlCharacter, at: 1)), ("'a'", JSONError(.unexpected(0x27), at: 0)),
        ("{\"a\" 1}", JSONError(.unexpected(0x31), at: 5)), ("{a:1}", JSONError(.unexpected(0x61), at: 1)),
        ("{\"a\":1,}", JSONError(.unexpected(0x7D), at: 7)), ("[", JSONError(.end, at: 1)),
    ])
    func whatIsNoJSONIsRejectedWithItsPlace(_ text: String, _ error: JSONError) {
        #expect(problem(text) == error)
    }

    @Test(arguments: ["\\ud800", "\\udc00", "\\ud800x", "\\ud800\\n", "\\ud800\\u0041", "\\udfff\\ud800"])
    func halvesOfSurrogatePairsAreRejected(_ escape: String) {
        #expect(problem("\"\(escape)\"") == JSONError(.loneSurrogate, at: 1))
    }

    @Test func stringsAreUTF8() {
        #expect(problem([0x22, 0xFF, 0x22])?.reason == .notUTF8)
        #expect(problem([0x22, 0xED, 0xA0, 0x80, 0x22])?.reason == .notUTF8)
    }

    @Test func nestingIsBounded() throws {
        let deepest = Limits.maximumTermDepth
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(deepest))
        #expect(problem(nested(deepest + 2))?.reason == .tooDeep)
        #expect(problem(String(repeating: "[", count: 1_000_000))?.reason == .tooDeep)
    }

    @Test func whatPeersSendIsWrittenAsJSONWhateverItIs() throws {
        #expect(JSON.text(.string([0x61, 0xFF, 0x62])) == [UInt8]("\"a\u{FFFD}b\"".utf8))
        #expect(JSON.text(.number("1; rm")) == [UInt8]("\"1; rm\"".utf8))
        #expect(JSON.text(.string("\u{9b}31m\u{7f}")) == [UInt8]("\"\\u009b31m\\u007f\"".utf8))
    }

    @Test func randomBytesAreReadOrRejected() throws {
        let seed = UInt64.random(in: 1...(.max))
        var state = seed
        let alphabet = [UInt8]("[]{}\",:\\u0d8 1-.eEtrufalsn\n\u{e4}".utf8)
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<(Int(truncatingIfNeeded: state >> 40) % 24) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            guard let term = try? JSON.parse(bytes) else { continue }
            #expect(try JSON.parse(JSON.text(term)) == term, "seed \(seed)")
        }
    }

    @Test func answersHaveTheirMembers() throws {
        let ada = Pair(
            key: try Tuple(elements: [[UInt8]("user".utf8), [UInt8]("42".utf8)], rule: .text),
            value: try Tuple(elements: [[UInt8]("ada".utf8)], rule: .text))
        func text(_ answer: Answer) -> String { String(decoding: JSON.text(answer.json), as: UTF8.self) }
        #expect(text(Answer(pairs: [ada])) == #"{"status":"ok","pairs":[[["user","42"],["ada"]]]}"#)
        #expect(
            text(
                Answer(rejected: [
                    .init(item: .number("7"), reason: .malformed), .init(item: Term(ada), reason: .exists),
                ]))
                == #"{"status":"ok","pairs":[7,[["user","42"],["ada"]]],"reasons":["malformed","exists"]}"#)
        #expect(text(Answer(warning: "w")) == #"{"status":"ok","pairs":[],"warning":"w"}"#)
        #expect(text(Answer(status: .tooCostly, message: "m")) == #"{"status":"too-costly","pairs":[],"message":"m"}"#)
        #expect(text(Answer(status: .refused)) == #"{"status":"refused","pairs":[],"message":"service refused"}"#)
    }
}
