import Testing
import TupleCore

@testable import Client

@Suite struct TupleTextTests {
    @Test func commasDivideAndNothingIsJudged() throws {
        #expect(try TupleText.tuple("user,42") == .list([.string("user"), .string("42")]))
        #expect(try TupleText.tuple("a,,b") == .list([.string("a"), .string(""), .string("b")]))
        #expect(try TupleText.tuple("") == .list([.string("")]))
        #expect(try TupleText.tuple("ä b") == .list([.string("ä b")]))
    }

    @Test func jsonArraysAreTakenAsTheyAre() throws {
        #expect(try TupleText.tuple(#"["user","4,2"]"#) == .list([.string("user"), .string("4,2")]))
        #expect(try TupleText.tuple(#"["a",3,[]]"#) == .list([.string("a"), .number("3"), .list([])]))
    }

    @Test(arguments: ["[", "[a", "[\"a\"] x", "[\"\\ud800\"]"])
    func whatBeginsLikeAnArrayMustBeOne(_ text: String) {
        #expect(throws: TupleText.Problem.self) { try TupleText.tuple(text) }
    }

    @Test func expressionsAreListsOnlyWhereTheyAreArraysOfStrings() {
        #expect(TupleText.expression("[a-z]+") == .string("[a-z]+"))
        #expect(TupleText.expression("[1]") == .string("[1]"))
        #expect(TupleText.expression("[1,\"a\"]") == .string("[1,\"a\"]"))
        #expect(TupleText.expression(#"["a.*",".*"]"#) == .list([.string("a.*"), .string(".*")]))
        #expect(TupleText.expression("user,.*") == .string("user,.*"))
    }

    @Test func tuplesAreShownAsTheyWouldBeTyped() throws {
        func text(_ elements: String...) -> String {
            String(decoding: TupleText.text(of: .list(elements.map { .string($0) })), as: UTF8.self)
        }
        #expect(text("user", "42") == "user,42")
        #expect(text("a,b", "c") == #"["a,b","c"]"#)
        #expect(text("[x") == #"["[x"]"#)
        #expect(text("a\tb\u{9b}1m") == #"["a\tb\u009b1m"]"#)
        #expect(text("") == #"[""]"#)
        #expect(TupleText.text(of: .list([.number("1")])) == [UInt8]("[1]".utf8))
        #expect(TupleText.text(of: .null) == [UInt8]("null".utf8))
    }
}
