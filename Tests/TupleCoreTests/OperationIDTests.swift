import Testing
import TupleCore

@Suite("Operations' names (specs/0003, section 7)")
struct OperationIDTests {
    @Test("A text stands for its FNV-1a hash; the values are the hash's own published ones")
    func hashes() {
        for (text, hash): (String, UInt64) in [
            ("a", 0xAF63_DC4C_8601_EC8C), ("foobar", 0x8594_4171_F739_67E8),
        ] {
            #expect(OperationID(text)?.session == SessionID(hash))
            #expect(OperationID(text)?.sequence == RequestSequence(1))
        }
    }

    @Test("Sixteen hexadecimal digits are the session itself, a number after a dot the request's")
    func sessions() {
        #expect(OperationID("00000000000000ff") == OperationID(session: .init(255), sequence: .init(1)))
        #expect(OperationID("00000000000000ff.17") == OperationID(session: .init(255), sequence: .init(17)))
        for text in ["0123456789abcdef", "fedcba9876543210.2", "00000000000000ff.18446744073709551615"] {
            #expect(OperationID(text)?.text == text)
        }
        // Not quite: these are texts like any other.
        for text in [
            "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef.", "0123456789abcdef.x", "0123456789abcdef0",
        ] {
            #expect(OperationID(text)?.sequence == RequestSequence(1))
            #expect(OperationID(text)?.session != SessionID(0x0123_4567_89AB_CDEF))
        }
    }

    @Test(
        "What names nothing is refused",
        arguments: [
            "", String(repeating: "x", count: 257), "0000000000000000", "00000000000000ff.0",
        ])
    func refused(text: String) { #expect(OperationID(text) == nil) }

    @Test("The question's payload is read back; nonsense is not")
    func question() throws {
        let operation = try #require(OperationID("signup42"))
        let question = OutcomeQuestion(operation: operation, ageMilliseconds: 300_000)
        #expect(OutcomeQuestion(question.request.payload) == question)
        #expect(!question.request.mayChange)
        let name = Term.string([UInt8](operation.text.utf8))
        for payload: Term in [
            .null, .list([]), .list([name, .string([0x31])]), .list([name, .number("-1")]),
            .list([name, .number("1.5")]),
            .list([.null, .number("1")]),
            .list([.string([]), .number("1")]), .list([name, .number("1"), .null]),
        ] {
            #expect(OutcomeQuestion(payload) == nil)
        }
        let ageless = OutcomeQuestion(operation: operation, ageMilliseconds: nil)
        #expect(OutcomeQuestion(ageless.request.payload) == ageless)
        #expect(OutcomeQuestion(.list([name])) == ageless)
    }
}
