import Runtime
import TupleCore
import WireProtocol

/// What somebody typed, understood.
struct Invocation {
    enum Task: Equatable {
        /// One request; `given` is how many items a PUT's or POST's list has.
        case request(Request, given: Int)
        /// The pairs that are to be there.
        case set([Term])
        /// What the request selects is removed pair by pair.
        case pagedDelete(Request)
        case batch(path: String)
        case `import`(ImportSettings)
        case export(path: String?)
        case shell
        case status(watch: Bool, interval: Duration)
        case operatorCommand(OperatorRequest)
        case completions(CompletionScript)
    }

    enum Outcome {
        case invocation(Invocation)
        /// A page or line to print; nothing else is to be done.
        case text(String)
    }

    var task: Task
    var proxies: [Address]
    var operators: [Address]
    /// Nil: as suits standard output.
    var format: OutputFormat?
    var timeout: Duration
    /// The name that was given to the one request.
    var operation: OperationID?
    /// Whether an operator's command is followed until it is done.
    var followsUp = true
    /// What of an answer is to be shown.
    var selection = Selection()

    /// - Parameters:
    ///   - hasTerminal: whether the shell may stand in for a command that is missing.
    ///   - inherited: the flags that the shell itself was started with, for commands typed in it.
    /// - Returns: with an invocation, the values of all flags.
    static func parse(
        _ arguments: [String], environment: [String: String], hasTerminal: Bool,
        inheriting inherited: OptionValues? = nil
    ) throws(OptionsError) -> (Outcome, OptionValues?) {
        switch try Command.global.parse(arguments, environment: environment, inheriting: inherited) {
        case .help: return (.text(Command.overview), nil)
        case .version(let line): return (.text(line + "\n"), nil)
        case .values(let values):
            let words = values.positionals
            guard let word = words.first else {
                guard hasTerminal else {
                    throw problem("a command is missing; '\(Product.name) --help' lists them")
                }
                return (.invocation(Invocation(.shell, values)), values)
            }
            if word == "help" { return (.text(try help(words.dropFirst().first)), nil) }
            let command = try command(word)
            return try parse(command, Array(words.dropFirst()), environment, values)
        }
    }

    private static func help(_ word: String?) throws(OptionsError) -> String {
        guard let word else { return Command.overview }
        return try command(word).specification.helpPage()
    }

    private static func command(_ word: String) throws(OptionsError) -> Command {
        if let command = Command(rawValue: word) { return command }
        if let hint = Command.hints[word.lowercased()] {
            throw problem("unknown command '\(word)'; did you mean \(hint)?")
        }
        let nearest = Spelling.nearest(to: word, among: Command.allCases.map(\.rawValue) + ["help"])
        throw problem("unknown command '\(word)'\(nearest.map { "; did you mean \($0)?" } ?? "")")
    }

    private static func parse(
        _ command: Command, _ words: [String], _ environment: [String: String], _ inherited: OptionValues
    ) throws(OptionsError) -> (Outcome, OptionValues?) {
        let specification = command.specification
        switch try specification.parse(words, environment: environment, inheriting: inherited) {
        case .help(let page): return (.text(page), nil)
        case .version: return (.text("\(Product.name) \(Product.version)\n"), nil)
        case .values(let values):
            var invocation = Invocation(try task(command, values), values)
            if [.put, .post, .delete].contains(command), let text = values.textIfAny("op-id") {
                let operation = try operation(text, command)
                guard operation.sequence.number == 1 else {
                    throw problem(
                        "'\(text)' names a request of a longer session: it can be asked for, not sent", command)
                }
                invocation.operation = operation
            }
            invocation.selection = try selection(command, values)
            if [.switchover, .resync].contains(command) { invocation.followsUp = !values.isOn("no-wait") }
            return (.invocation(invocation), values)
        }
    }

    private init(_ task: Task, _ values: OptionValues) {
        self.task = task
        proxies = values.addresses("proxy")
        operators = values.addresses("operators")
        format = values.textIfAny("output").flatMap(OutputFormat.init(rawValue:))
        timeout = values.duration("timeout")
    }

    private static func problem(_ text: String, _ command: Command? = nil) -> OptionsError {
        OptionsError(program: command.map { "\(Product.name) \($0.rawValue)" } ?? Product.name, problem: text)
    }

    // MARK: Commands

    private static func task(_ command: Command, _ values: OptionValues) throws(OptionsError) -> Task {
        let words = values.positionals
        func check(_ counts: ClosedRange<Int>) throws(OptionsError) {
            guard !counts.contains(words.count) else { return }
            let what = words.count < counts.lowerBound ? "too few arguments" : "too many arguments"
            throw problem("\(what); usage: \(Product.name) \(command.rawValue) \(command.arguments)", command)
        }
        switch command {
        case .get, .delete:
            try check(1...2)
            let isRemoval = command == .delete && !values.isOn("dry-run")
            let isPaged = isRemoval && values.isOn("paged")
            let term = values.isOn("literal") ? TupleText.literal : TupleText.expression
            let request = Request(
                operatorName: (isRemoval && !isPaged ? Operator.delete : .get).rawValue,
                payload: .list([term(words[0]), words.count > 1 ? term(words[1]) : TupleText.anything]),
                isExplained: values.isOn("explain"))
            return isPaged ? .pagedDelete(request) : .request(request, given: 0)
        case .put, .post:
            try check(2...Int.max)
            let pairs = try pairs(command, words)
            let operatorName = command == .put ? Operator.put : .post
            return .request(Request(operatorName: operatorName.rawValue, payload: .list(pairs)), given: pairs.count)
        case .set:
            try check(2...Int.max)
            return .set(try pairs(command, words))
        case .op:
            try check(1...1)
            // What is not said is not asserted: there is no default. The question itself may wait for an active server: it
            // is never carried out later than its time allows.
            let age = values.durationIfAny("age").map {
                UInt64(max(0, ($0 + values.duration("timeout")).wholeMilliseconds))
            }
            let question = OutcomeQuestion(operation: try operation(words[0], command), ageMilliseconds: age)
            return .request(question.request, given: 0)
        case .send:
            try check(1...2)
            return try send(words)
        case .batch:
            try check(0...1)
            return .batch(path: words.first ?? "-")
        case .import:
            try check(1...1)
            return .import(try importSettings(words[0], values))
        case .export:
            try check(0...1)
            return .export(path: words.first == "-" ? nil : words.first)
        case .shell:
            try check(0...0)
            return .shell
        case .status:
            try check(0...0)
            return .status(watch: values.isOn("watch"), interval: values.duration("interval"))
        case .switchover:
            try check(0...1)
            var members = [
                Term.Member(name: [UInt8]("acceptDataLoss".utf8), value: .boolean(values.isOn("accept-data-loss")))
            ]
            if let name = try node(words.first, command) {
                members.append(.init(name: [UInt8]("to".utf8), value: name))
            }
            return .operatorCommand(OperatorRequest(command: "switchover", argument: .object(members)))
        case .resync:
            try check(0...1)
            let members = try node(words.first, command).map { [Term.Member(name: [UInt8]("server".utf8), value: $0)] }
            return .operatorCommand(OperatorRequest(command: "resync", argument: .object(members ?? [])))
        case .shutdown:
            try check(0...0)
            return .operatorCommand(OperatorRequest(command: "shutdown"))
        case .completions:
            try check(1...1)
            guard let script = CompletionScript(rawValue: words[0]) else {
                throw problem("'\(words[0])' is not one of bash, zsh, fish", command)
            }
            return .completions(script)
        }
    }

    private static func selection(_ command: Command, _ values: OptionValues) throws(OptionsError) -> Selection {
        switch command {
        case .get:
            let selection = Selection(
                limit: values.integerIfAny("limit"), showsCount: values.isOn("count"),
                showsKeys: values.isOn("keys-only"))
            guard !selection.showsCount || !selection.showsKeys else {
                throw problem("--count and --keys-only exclude each other", command)
            }
            return selection
        case .delete:
            for flag in ["dry-run", "paged"] where values.isOn(flag) && values.textIfAny("op-id") != nil {
                throw problem("--op-id names one request that changes something; --\(flag) sends no such one", command)
            }
            return Selection(isDryRun: values.isOn("dry-run"))
        default: return Selection()
        }
    }

    private static func operation(_ text: String, _ command: Command) throws(OptionsError) -> OperationID {
        // In upper case it would be hashed as any other text, and name another session than the one that is meant.
        let digits = text.utf8.prefix(16)
        if digits.count == 16, digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
            text.utf8.count == 16 || text.utf8.dropFirst(16).first == UInt8(ascii: "."), text != text.lowercased()
        {
            throw problem("'\(text)' is a session's number in upper case; write it '\(text.lowercased())'", command)
        }
        guard let operation = OperationID(text) else {
            throw problem("'\(text)' is no operation's name: 1 to \(OperationID.maximumBytes) bytes", command)
        }
        return operation
    }

    private static func node(_ name: String?, _ command: Command) throws(OptionsError) -> Term? {
        guard let name else { return nil }
        guard NodeID(name) != nil else { throw problem("'\(name)' is no server's name", command) }
        return .string(name)
    }

    private static func pairs(_ command: Command, _ words: [String]) throws(OptionsError) -> [Term] {
        guard words.count % 2 == 0 else {
            throw problem(
                "every key needs a value; usage: \(Product.name) \(command.rawValue) \(command.arguments)", command)
        }
        var pairs: [Term] = []
        for at in stride(from: 0, to: words.count, by: 2) {
            do throws(TupleText.Problem) {
                pairs.append(.list([try TupleText.tuple(words[at]), try TupleText.tuple(words[at + 1])]))
            } catch {
                throw problem(error.description, command)
            }
        }
        return pairs
    }

    private static func send(_ words: [String]) throws(OptionsError) -> Task {
        var payload = Term.null
        if words.count > 1 {
            do throws(JSONError) { payload = try JSON.parse([UInt8](words[1].utf8)) } catch {
                throw problem("the payload is no JSON: \(error)", .send)
            }
        }
        var given = 0
        if case .list(let items) = payload { given = items.count }
        return .request(Request(operatorName: words[0], payload: payload), given: given)
    }

    private static func importSettings(_ path: String, _ values: OptionValues) throws(OptionsError) -> ImportSettings {
        let ending = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
        guard let word = values.textIfAny("format") ?? ["csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl"][ending],
            let format = ImportSettings.Format(rawValue: word)
        else { throw problem("'\(path)' does not tell what it is; give --format jsonl or --format csv", .import) }
        var delimiter = values.text("delimiter")
        if ["tab", "\\t"].contains(delimiter.lowercased()) { delimiter = "\t" }
        guard delimiter.utf8.count == 1, let byte = delimiter.utf8.first,
            byte == 0x09 || (0x20..<0x7F).contains(byte), byte != UInt8(ascii: "\"")
        else { throw problem("--delimiter is one ASCII character that is no quote, or 'tab'", .import) }
        return ImportSettings(
            path: path, format: format, operation: values.text("operator") == "post" ? .post : .put,
            keyColumns: values.text("key-columns").split(separator: ",").map(String.init),
            valueColumns: values.textIfAny("value-columns")?.split(separator: ",").map(String.init),
            splitsWords: values.isOn("split-words"), hasHeader: !values.isOn("no-header"),
            pairsPerRequest: values.integer("batch-pairs"), delimiter: byte,
            fillsShortRows: values.text("short-rows") == "fill", firstLine: values.integer("from-line"))
    }
}
