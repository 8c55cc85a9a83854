import Testing

@testable import Runtime

@Suite struct OptionsTests {
    private let server = OptionsSpecification(
        program: "example-server", version: "1.2.3", usage: "--name NAME [options]",
        summary: "Keeps one copy of the space and answers through the proxy.",
        groups: [
            .init(
                "Who and where:",
                [
                    Option("name", .text(placeholder: "NAME"), isRequired: true, help: "This server's name."),
                    Option(
                        "proxy", .address(), default: "127.0.0.1:7401", help: "Where the proxy listens for servers."),
                    Option("http", .address(orWords: ["off"]), default: "127.0.0.1:7403", help: "HTTP, or off."),
                    Option("proxies", .addresses, help: "Several."),
                ]),
            .init(
                "Safety:",
                [
                    Option(
                        "heartbeat-interval", .duration(.milliseconds(10)...(.seconds(60))), default: "50ms",
                        help: "How often."),
                    Option("heartbeat-misses", .integer(1...100), default: "4", help: "How many."),
                    Option("sync", .choice(["always", "interval", "never"]), default: "always", help: "When."),
                    Option("spawn-passive", .toggle, help: "Start one."),
                    Option("import", .text(placeholder: "FILE"), help: "What to begin with."),
                ]),
        ], example: "example-server --name a --data /var/lib/example")

    private func values(_ arguments: [String], _ environment: [String: String] = [:]) throws -> OptionValues {
        let parsed = try server.parse(arguments, environment: environment)
        guard case .values(let values) = parsed else { throw OptionsError(program: "", problem: "\(parsed)") }
        return values
    }

    private func problem(_ arguments: [String], _ environment: [String: String] = [:]) -> String? {
        do throws(OptionsError) {
            _ = try server.parse(arguments, environment: environment)
            return nil
        } catch {
            return error.problem
        }
    }

    @Test func defaultsStandWhereNothingIsGiven() throws {
        let values = try values(["--name", "a"])
        #expect(values.text("name") == "a")
        #expect(values.address("proxy") == Address(host: "127.0.0.1", port: 7401))
        #expect(values.address("http").port == 7403)
        #expect(values.addresses("proxies") == [])
        #expect(values.duration("heartbeat-interval") == .milliseconds(50))
        #expect(values.integer("heartbeat-misses") == 4)
        #expect(values.text("sync") == "always")
        #expect(!values.isOn("spawn-passive"))
        #expect(values.textIfAny("import") == nil)
        #expect(values.isGiven("name") && !values.isGiven("sync"))
    }

    @Test func bothWaysOfWritingAValueWork() throws {
        let values = try values([
            "--name=b", "--http=off", "--proxies", "h:1,[::1]:2", "--heartbeat-interval=1.5s", "--heartbeat-misses",
            "9",
            "--spawn-passive", "--sync=never", "--import=--odd=name",
        ])
        #expect(values.text("name") == "b")
        #expect(values.textIfAny("http") == "off" && values.addressIfAny("http") == nil)
        #expect(values.addresses("proxies") == [Address(host: "h", port: 1), Address(host: "::1", port: 2)])
        #expect(values.duration("heartbeat-interval") == .milliseconds(1500))
        #expect(values.integer("heartbeat-misses") == 9)
        #expect(values.isOn("spawn-passive"))
        #expect(values.text("sync") == "never")
        #expect(values.text("import") == "--odd=name")
    }

    @Test func theFlagWinsOverItsVariable() throws {
        let environment = [
            "TWINSPACE_NAME": "env", "TWINSPACE_HEARTBEAT_MISSES": "7", "TWINSPACE_SPAWN_PASSIVE": "yes",
        ]
        let fromEnvironment = try values([], environment)
        #expect(fromEnvironment.text("name") == "env")
        #expect(fromEnvironment.integer("heartbeat-misses") == 7)
        #expect(fromEnvironment.isOn("spawn-passive") && fromEnvironment.isGiven("spawn-passive"))
        let overridden = try values(["--name", "flag", "--spawn-passive=false"], environment)
        #expect(overridden.text("name") == "flag")
        #expect(!overridden.isOn("spawn-passive"))
    }

    @Test func anEmptyVariableCountsAsNone() throws {
        #expect(try values(["--name", "a"], ["TWINSPACE_SYNC": ""]).text("sync") == "always")
    }

    @Test func theLastOfARepeatedFlagCounts() throws {
        #expect(try values(["--name", "a", "--name", "b"]).text("name") == "b")
    }

    @Test(arguments: [
        ([], "--name is missing; give it, or set TWINSPACE_NAME"),
        (["--nam", "a"], "unknown option '--nam'; did you mean --name?"),
        (["--heartbeat", "a"], "unknown option '--heartbeat'; did you mean --heartbeat-interval?"),
        (["--spwan-passive"], "unknown option '--spwan-passive'; did you mean --spawn-passive?"),
        (["--zzz"], "unknown option '--zzz'"),
        (["-n", "a"], "unknown option '-n'"),
        (["--name"], "--name needs a value: a name"),
        (
            ["--name", "--sync", "never"],
            "--name needs a value: a name (one that begins with dashes is written --name=--sync)"
        ),
        (["--name="], "--name: the value is empty"),
        (["--name", "a", "stray"], "'stray' is not expected here"),
        (["--name", "a", "sync"], "'sync' is not expected here; did you mean --sync?"),
        (["--proxy", "7401"], "--proxy: '7401' is no address: the port is missing; write host:port"),
        (["--http", "on"], "--http: 'on' is no address: the port is missing; write host:port; 'off' is allowed too"),
        (["--proxies", "a:1,,b:2"], "--proxies: '' is no address: it is empty; write host:port"),
        (
            ["--heartbeat-interval", "50"],
            "--heartbeat-interval: '50' is no duration; write a duration from 10ms to 1m, such as 50ms, 2s or 1m"
        ),
        (
            ["--heartbeat-interval", "2h"],
            "--heartbeat-interval: '2h' is out of range; write a duration from 10ms to 1m, such as 50ms, 2s or 1m"
        ),
        (["--heartbeat-misses", "0"], "--heartbeat-misses: '0' is out of range; write a whole number from 1 to 100"),
        (
            ["--heartbeat-misses", "1e3"],
            "--heartbeat-misses: '1e3' is no whole number; write a whole number from 1 to 100"
        ),
        (
            ["--heartbeat-misses", "99999999999999999999"],
            "--heartbeat-misses: '99999999999999999999' is no whole number; write a whole number from 1 to 100"
        ),
        (
            ["--sync", "alway"],
            "--sync: 'alway' is not allowed; write one of always, interval, never; did you mean always?"
        ),
        (["--spawn-passive=maybe"], "--spawn-passive: 'maybe' is not allowed; write true or false"),
    ])
    func errorsSayWhatIsWrongAndWhatIsAllowed(arguments: [String], expected: String) {
        #expect(problem(arguments) == expected)
    }

    @Test func anErrorInTheEnvironmentNamesTheVariable() {
        #expect(
            problem(["--name", "a"], ["TWINSPACE_SYNC": "often"])
                == "TWINSPACE_SYNC: 'often' is not allowed; write one of always, interval, never")
    }

    @Test func errorsNameTheProgramAndTheWayOut() {
        let error = OptionsError(program: "example-server", problem: "no")
        #expect(error.description == "example-server: no\nSee 'example-server --help'.")
        #expect(OptionsError.exitCode == 2)
    }

    // MARK: Commands

    private let client = OptionsSpecification(
        program: "example", version: "1", usage: "[options] COMMAND …", summary: "Talks.",
        groups: [
            .init(
                "Options:",
                [
                    Option("output", .choice(["table", "json"]), default: "table", help: "Format."),
                    Option("timeout", .duration(.zero...(.seconds(3600))), default: "10s", help: "Patience."),
                ])
        ], positionals: .command, example: "")

    private var get: OptionsSpecification {
        var get = client
        get.program = "example get"
        get.positionals = .any
        get.groups.append(.init("Get:", [Option("count", .toggle, help: "Only count.")]))
        return get
    }

    @Test func globalOptionsMayStandBeforeAndAfterTheCommand() throws {
        let environment = ["TWINSPACE_TIMEOUT": "3s"]
        guard
            case .values(let global) = try client.parse(
                ["--output", "json", "get", "--timeout=1s", "--count", "user,.*", "-", "--", "--odd"],
                environment: environment)
        else { return #expect(Bool(false)) }
        #expect(global.positionals.first == "get")
        guard
            case .values(let values) = try get.parse(
                Array(global.positionals.dropFirst()), environment: environment, inheriting: global)
        else { return #expect(Bool(false)) }
        #expect(values.text("output") == "json")
        #expect(values.duration("timeout") == .seconds(1))
        #expect(values.isOn("count"))
        #expect(values.positionals == ["user,.*", "-", "--odd"])
    }

    @Test func everythingAfterTwoDashesIsPositional() throws {
        guard case .values(let values) = try client.parse(["--", "get", "--help"], environment: [:])
        else { return #expect(Bool(false)) }
        #expect(values.positionals == ["get", "--help"])
    }

    @Test func dashedWordsThatAreNoOptionsAreExplained() {
        let error = #expect(throws: OptionsError.self) { try get.parse(["-x.*"], environment: [:]) }
        #expect(error?.problem == "unknown option '-x.*' (What begins with a dash and is no option goes after '--'.)")
    }

    // MARK: Pages

    @Test func versionIsOneLine() throws {
        guard case .version(let line) = try server.parse(["--version"], environment: [:])
        else { return #expect(Bool(false)) }
        #expect(line == "example-server 1.2.3")
    }

    @Test func helpNamesEveryOptionWithinEightyColumns() throws {
        guard case .help(let page) = try server.parse(["--help", "--nonsense"], environment: [:])
        else { return #expect(Bool(false)) }
        #expect(page.hasPrefix("Usage: example-server --name NAME [options]\n\nKeeps one copy"))
        for option in server.options { #expect(page.contains("  --\(option.name)")) }
        #expect(page.contains("  --heartbeat-interval D\n      How often. Default: 50ms.\n"))
        #expect(page.contains("  --sync always|interval|never\n"))
        #expect(page.contains("\nExample:\n  example-server --name a --data /var/lib/example\n"))
        #expect(page.split(separator: "\n").allSatisfy { $0.count <= 80 })
        #expect(!page.split(separator: "\n", omittingEmptySubsequences: false).contains { $0.hasSuffix(" ") })
    }

    @Test func wrappingKeepsWordsAndParagraphs() {
        let text = String(repeating: "word ", count: 40) + "\n\n" + String(repeating: "x", count: 100) + " end"
        let lines = OptionsSpecification.wrapped(text, indent: 6).split(
            separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.filter { $0.contains("word") }.allSatisfy { $0.count <= 80 && $0.hasPrefix("      word") })
        #expect(lines.contains(""))
        #expect(lines.suffix(3).map(String.init) == ["      " + String(repeating: "x", count: 100), "      end", ""])
    }

    @Test(arguments: [
        ("50ms", Duration.milliseconds(50)), ("2s", .seconds(2)), ("1.5s", .milliseconds(1500)), ("1m", .seconds(60)),
        ("2h", .seconds(7200)), ("100us", .microseconds(100)), ("0s", .zero), ("0.000000001s", .nanoseconds(1)),
    ])
    func durations(text: String, duration: Duration) {
        #expect(Duration(unitText: text) == duration)
    }

    @Test(arguments: [
        "", "5", "s", "-1s", "1 s", "1..5s", ".5s", "5.s", "1d", "1S", "9999999999999999s", "999999999h", "1e3s",
    ])
    func noDurations(text: String) {
        #expect(Duration(unitText: text) == nil)
    }

    @Test(arguments: [
        (Duration.seconds(90), "90s"), (.seconds(120), "2m"), (.milliseconds(1500), "1500ms"), (.zero, "0s"),
        (.microseconds(15), "15us"), (.seconds(7200), "2h"), (.milliseconds(-5), "-5ms"),
    ])
    func durationsInWords(duration: Duration, text: String) {
        #expect(duration.unitText == text)
    }
}
