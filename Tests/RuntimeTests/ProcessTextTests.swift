import Testing

@testable import Runtime

@Suite struct ProcessTextTests {
    @Test func argumentsThatAreNotUTF8AreRefused() throws {
        #expect(try ProcessText.arguments([[UInt8]("get".utf8), [UInt8]("é".utf8)], program: "p") == ["get", "é"])
        do {
            _ = try ProcessText.arguments([[UInt8]("op".utf8), [UInt8]("op".utf8) + [0xE9]], program: "p")
            Issue.record("what is not UTF-8 is taken")
        } catch { #expect("\(error)".contains(#"argument 2, 'op\xe9', is not UTF-8"#)) }
    }

    @Test func variablesOfThisProgramAreText() throws {
        let odd = [0xE9] as [UInt8]
        let others = try ProcessText.environment(
            [[UInt8]("A=1".utf8), [UInt8]("A=2".utf8), [UInt8]("B=".utf8) + odd], program: "p")
        #expect(others["A"] == "1")
        #expect(throws: OptionsError.self) {
            try ProcessText.environment([[UInt8]("TWINSPACE_OP_ID=".utf8) + odd], program: "p")
        }
    }
}
