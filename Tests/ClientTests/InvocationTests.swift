import Runtime
import Testing
import TupleCore
import WireProtocol

@testable import Client

@Suite struct InvocationTests {
    private func outcome(
        _ words: [String], environment: [String: String] = [:], hasTerminal: Bool = false
    ) throws -> Invocation.Outcome {
        try Invocation.parse(words, environment: environment, hasTerminal: hasTerminal).0
    }

    private func invocation(
        _ words: String..., environment: [String: String] = [:], hasTerminal: Bool = false
    ) throws -> Invocation? {
        if case .invocation(let invocation) = try outcome(words, environment: environment, hasTerminal: hasTerminal) {
            return invocation
        }
        return nil
    }

    private func request(_ name: String, _ payload: String, given: Int = 0) throws -> Invocation.Task {
        .request(Request(operatorName: name, payload: try JSON.parse([UInt8](payload.utf8))), given: given)
    }

    @Test func requestsAreWhatWasTyped() throws {
        #expect(try invocation("get", "user,.*")?.task == request("GET", #"["user,.*","(?s).*"]"#))
        #expect(try invocation("get", #"["u","4."]"#, "[a-z]+")?.task == request("GET", #"[["u","4."],"[a-z]+"]"#))
        #expect(try invocation("delete", "a", "b")?.task == request("DELETE", #"["a","b"]"#))
        #expect(
            try invocation("put", "a,,b", "x", #"["c",1]"#, "d,e")?.task
                == request("PUT", #"[[["a","","b"],["x"]],[["c",1],["d","e"]]]"#, given: 2))
        #expect(try invocation("post", "k", "v")?.task == request("POST", #"[[["k"],["v"]]]"#, given: 1))
        #expect(try invocation("send", "FROB")?.task == request("FROB", "null"))
        #expect(try invocation("send", "PUT", #"[{"a":1}]"#)?.task == request("PUT", #"[{"a":1}]"#, given: 1))
    }

    @Test func literalTextMatchesItselfAlone() throws {
        #expect(
            try invocation("get", "-F", "a.b@c.de", "x*,y")?.task == request("GET", #"["a\\.b@c\\.de","x\\*,y"]"#))
        #expect(
            try invocation("delete", "--literal", #"["a,b","(c"]"#)?.task
                == request("DELETE", #"[["a,b","\\(c"],"(?s).*"]"#))
        #expect(try invocation("get", "-F", "[a")?.task == request("GET", #"["\\[a","(?s).*"]"#))
    }

    @Test func whatIsShownCanBeChosen() throws {
        #expect(try invocation("get", "a", "--limit", "3")?.selection == Selection(limit: 3))
        #expect(try invocation("get", "a", "--count")?.selection == Selection(showsCount: true))
        #expect(try invocation("get", "a", "--keys-only")?.selection == Selection(showsKeys: true))
        for words in [["--limit", "0"], ["--limit", "x"], ["--count", "--keys-only"]] {
            #expect(throws: OptionsError.self) { try outcome(["get", "a"] + words) }
        }
    }

    @Test func aDryRunIsAGet() throws {
        let dry = try invocation("delete", "a", "--dry-run")
        #expect(try dry?.task == request("GET", #"["a","(?s).*"]"#) && dry?.selection.isDryRun == true)
        #expect(try invocation("delete", "a", "--paged")?.task == .pagedDelete(get("a")))
        for flag in ["--dry-run", "--paged"] {
            #expect(throws: OptionsError.self) { try outcome(["delete", "a", flag, "--op-id", "x"]) }
        }
    }

    private func get(_ key: String) throws -> Request {
        Request(operatorName: "GET", payload: .list([.string(key), TupleText.anything]))
    }

    @Test func operatorsCommandsAreFollowedUnlessSaidOtherwise() throws {
        for command in ["switchover", "resync"] {
            #expect(try invocation(command)?.followsUp == true)
            #expect(try invocation(command, "--no-wait")?.followsUp == false)
        }
    }

    @Test func wordsOfOtherToolsAreHintedAt() throws {
        #expect(try invocation("set", "k", "v")?.task == .set([.list([.list([.string("k")]), .list([.string("v")])])]))
        for (word, hint) in [("rm", "delete"), ("list", "get '.*'"), ("stop", "shutdown"), ("gte", "get")] {
            do {
                _ = try outcome([word])
                Issue.record("\(word) is taken")
            } catch { #expect("\(error)".contains("did you mean \(hint)?"), "\(error)") }
        }
    }

    @Test func aSessionInUpperCaseIsNotTakenForAName() throws {
        for text in ["ABCDEF0123456789", "abcdef012345678F.7"] {
            do {
                _ = try outcome(["op", text])
                Issue.record("\(text) is taken")
            } catch { #expect("\(error)".contains("write it '\(text.lowercased())'")) }
        }
        for text in ["abcdef0123456789.7", "SIGNUP"] { #expect(try invocation("op", text) != nil) }
    }

    @Test func otherCommands() throws {
        #expect(try invocation("batch")?.task == .batch(path: "-"))
        #expect(try invocation("export", "f")?.task == .export(path: "f"))
        #expect(try invocation("export", "-")?.task == .export(path: nil))
        #expect(try invocation("status", "--watch")?.task == .status(watch: true, interval: .seconds(1)))
        #expect(try invocation("shutdown")?.task == .operatorCommand(OperatorRequest(command: "shutdown")))
        #expect(
            try invocation("switchover", "b", "--accept-data-loss")?.task
                == .operatorCommand(
                    OperatorRequest(
                        command: "switchover",
                        argument: .object([
                            .init(name: [UInt8]("acceptDataLoss".utf8), value: .boolean(true)),
                            .init(name: [UInt8]("to".utf8), value: .string("b")),
                        ]))))
        #expect(
            try invocation("resync")?.task
                == .operatorCommand(OperatorRequest(command: "resync", argument: .object([]))))
        #expect(try invocation("completions", "zsh")?.task == .completions(.zsh))
        #expect(
            try invocation("import", "x.csv", "--value-columns", "a,b", "--split-words")?.task
                == .import(
                    ImportSettings(
                        path: "x.csv", format: .csv, operation: .put, keyColumns: ["1"], valueColumns: ["a", "b"],
                        splitsWords: true, hasHeader: true, pairsPerRequest: 100)))
    }

    @Test func flagsStandBeforeOrAfterTheCommandAndWinOverVariables() throws {
        let environment = ["TWINSPACE_OUTPUT": "table", "TWINSPACE_TIMEOUT": "5s"]
        let first = try invocation("--output", "json", "get", "a", environment: environment)
        let second = try invocation("get", "a", "--output=json", environment: environment)
        for invocation in [first, second] {
            #expect(invocation?.format == .json && invocation?.timeout == .seconds(5))
        }
        let third = try invocation("get", "a", "--proxy", "h:1,[::1]:2")
        #expect(third?.proxies == [Address(host: "h", port: 1), Address(host: "::1", port: 2)])
        #expect(third?.format == nil && third?.timeout == .seconds(10))
        #expect(try invocation("get", "--", "--key")?.task == request("GET", #"["--key","(?s).*"]"#))
    }

    @Test func operationsHaveNames() throws {
        let put = try invocation("put", "a", "b", "--op-id", "x")
        #expect(put?.operation == OperationID("x"))
        #expect(try invocation("put", "a", "b")?.operation == nil)
        let operation = try #require(OperationID("x"))
        #expect(
            try invocation("op", "x")?.task
                == .request(OutcomeQuestion(operation: operation, ageMilliseconds: nil).request, given: 0),
            "an age that nobody gave is not asserted")
        #expect(
            try invocation("op", "x", "--age", "2s")?.task
                == .request(OutcomeQuestion(operation: operation, ageMilliseconds: 12_000).request, given: 0))
    }

    @Test func withoutACommandThereIsTheShellOnTerminalsOnly() throws {
        #expect(try invocation(hasTerminal: true)?.task == .shell)
        #expect(throws: OptionsError.self) { try invocation() }
    }

    @Test(arguments: [
        ["nonsense"], ["get"], ["get", "a", "b", "c"], ["put", "a"], ["put", "a", "b", "c"], ["put", "[a", "b"],
        ["send"], ["send", "PUT", "{"], ["send", "PUT", #""\ud800""#], ["--output", "xml", "get", "a"],
        ["get", "a", "--nonsense"], ["completions", "tcsh"], ["completions"], ["import"], ["import", "x"],
        ["import", "x.csv", "--format", "xml"], ["switchover", "no name"], ["op"], ["op", ""],
        ["put", "a", "b", "--op-id", ""],
        ["put", "a", "b", "--op-id", "00000000000000ff.2"], ["get", "a", "--op-id", "x"], ["shutdown", "now"],
        ["help", "me"],
    ])
    func whatCannotBeUnderstoodIsAUsageError(_ words: [String]) {
        #expect(throws: OptionsError.self) { try outcome(words) }
    }

    @Test(arguments: Command.allCases)
    func everyCommandHasAHelpPageWithAnExample(_ command: Command) throws {
        for words in [[command.rawValue, "--help"], ["help", command.rawValue]] {
            guard case .text(let page) = try outcome(words) else {
                Issue.record("no page")
                return
            }
            #expect(page.contains("Usage: twinspace \(command.rawValue)"))
            #expect(page.contains("Example:\n") && page.contains("twinspace \(command.rawValue)"))
            #expect(page.split(separator: "\n").allSatisfy { $0.count <= 90 })
        }
        #expect(Command.overview.contains("\n  \(command.rawValue) "))
        for script in CompletionScript.allCases { #expect(script.text.contains(command.rawValue)) }
    }
}

@Suite struct ShellWordsTests {
    @Test func quotesKeepTogether() throws {
        #expect(
            try ShellWords.split("  get 'a b'\t\"c \\\"d\\\" \\n\" e\\ f ''") == [
                "get", "a b", "c \"d\" \\n", "e f", "",
            ])
        #expect(try ShellWords.split(#"put ["user","42"] '["ada"]'"#) == ["put", "[user,42]", #"["ada"]"#])
        #expect(try ShellWords.split("") == [])
        #expect(try ShellWords.split("a'b'\"c\"d") == ["abcd"])
        #expect(try ShellWords.split("a\\") == ["a\\"])
    }

    @Test(arguments: ["'a", "\"a\\\"", "a 'b\"c"])
    func openQuotesAreErrors(_ line: String) {
        #expect(throws: ShellWords.UnclosedQuote.self) { try ShellWords.split(line) }
    }
}
