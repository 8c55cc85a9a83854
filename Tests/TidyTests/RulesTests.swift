import Testing

/// The rules themselves: what they catch, and what they leave alone.
@Suite struct RulesTests {
    private func file(_ text: String, in room: String = "TupleStore") -> SourceText {
        SourceText(path: "Sources/\(room)/Sample.swift", text: text)
    }

    @Test(arguments: [
        ("TupleCore", "import Routing"),
        ("TupleCore", "import TupleCore"),
        ("Routing", "public import Runtime"),
        ("TupleStore", "import CPCRE2"),
        ("Client", "import CLibUV"),
        ("Runtime", "import CEdit"),
        ("Runtime", "import Foundation"),
        ("Journal", "internal import Glibc"),
        ("Journal", "import func Glibc.open"),
        ("Client", "import twinspace"),
        ("Cellar", ""),
    ])
    func forbiddenImportsAreCaught(room: String, text: String) {
        #expect(Rules.imports(file(text, in: room)).count == 1)
    }

    @Test(arguments: [
        ("TupleStore", "public import TupleCore"),
        ("PythonRegex", "internal import CPCRE2"),
        ("TupleStore", "import func Glibc.memcmp"),
        ("Runtime", "@preconcurrency import CLibUV"),
        ("Runtime", "import Glibc"),
        ("Runtime", "// import Foundation"),
        ("twinspace-proxy", "import Runtime"),
    ])
    func properImportsPass(room: String, text: String) {
        #expect(Rules.imports(file(text, in: room)).isEmpty)
    }

    @Test(arguments: [
        "let now = ContinuousClock.now",
        "var t = timespec(); clock_gettime(CLOCK_MONOTONIC, &t)",
        "let dice = Int.random(in: 1...6)",
        "var generator = SystemRandomNumberGenerator()",
        "Task { work() }",
        "func next() async {}",
        "let file = fopen(path, mode)",
        "print(state)",
        "return key.hashValue",
    ])
    func coresMayNot(text: String) {
        #expect(Rules.determinism(file(text)).count == 1)
        #expect(Rules.determinism(file(text, in: "Runtime")).isEmpty)
    }

    @Test(arguments: [
        "// never print(x), and no ContinuousClock",
        "/* Task { /* nested */ fopen(x) */ let a = 1",
        #"throw Refusal("cannot fopen(\"x\") or print(y)")"#,
        "let text = \"\"\"\n  print(x)\n  \"\"\"",
        "let die = Int.random(in: 1...6, using: &seeded)",
        "table.open(page)",
        "func reopen(_ page: Page) {}",
    ])
    func coresMay(text: String) {
        #expect(Rules.determinism(file(text)).isEmpty)
    }

    @Test func theOtherRulesBite() {
        #expect(Rules.size(file(String(repeating: "\n", count: Rules.maximumLines))).count == 1)
        #expect(Rules.size(file(String(repeating: "\n", count: Rules.maximumLines - 1))).isEmpty)
        let table = "// Written by tables.py, not by hand." + String(repeating: "\n", count: Rules.maximumLines)
        #expect(Rules.size(file(table)).isEmpty)
        #expect(Rules.unfinished(file("let a = 1  // TO" + "DO: more")).count == 1)
        #expect(Rules.unfinished(file("mktemp twinspace." + String(repeating: "X", count: 6))).isEmpty)
        #expect(Rules.emptyNames(file("struct SocketManager {}")).count == 1)
        #expect(Rules.uncheckedPromises(file("final class A: @unchecked Sendable {}")).count == 1)
        #expect(Rules.uncheckedPromises(file("// One thread only.\nfinal class A: @unchecked Sendable {}")).isEmpty)
        #expect(Rules.machinePaths(file("see `/ho" + "me/ada/notes`")).count == 1)
        #expect(Rules.emptiness(file(" \n")).count == 1)
    }

    private let tests = ["Tests/A/B.swift": "@Test func holds() {", "Tests/p/q.py": "def check_it():"]

    @Test func defendedGuaranteesAreFine() {
        let page = """
            **G1. One.** Text
            goes on.

            Defended by `Tests/A/B.swift`: `holds`; `Tests/p/q.py`:
            `check_it`.

            **G2. Two.** Text.

            More of it.

            Defended by `Tests/A/B.swift`: `holds`.
            """
        #expect(Rules.defences(of: SourceText(path: "p.md", text: page), in: tests) == [])
    }

    @Test(arguments: [
        "no guarantee at all",
        "**G1. One.** Nobody defends it.",
        "**G1. One.** A\n\n**G2. Two.** B\n\nDefended by `Tests/A/B.swift`: `holds`.",
        "**G2. Two.** B\n\nDefended by `Tests/A/B.swift`: `holds`.",
        "**G1. One.** A\n\nDefended by `Tests/A/B.swift`: `gone`.",
        "**G1. One.** A\n\nDefended by `Tests/A/B.swift`: `hold`.",
        "**G1. One.** A\n\nDefended by `Tests/A/C.swift`: `holds`.",
        "**G1. One.** A\n\nDefended by `Tests/A/B.swift`.",
        "**G1. One.** A\n\nDefended by `holds`.",
    ])
    func undefendedGuaranteesAreCaught(page: String) {
        #expect(Rules.defences(of: SourceText(path: "p.md", text: page), in: tests).count == 1)
    }
}
