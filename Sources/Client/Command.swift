import Runtime

/// The commands of the command line, each with its own flags and help page.
enum Command: String, CaseIterable {
    case get, put, post, set, delete, send, batch
    case `import`, export
    case shell
    case op
    case status, switchover, resync, shutdown
    case completions

    /// What stands beside the flags.
    var arguments: String {
        switch self {
        case .get, .delete: "KEYEXP [VALEXP]"
        case .put, .post, .set: "KEY VALUE [KEY VALUE]…"
        case .send: "OPERATOR [JSON]"
        case .op: "ID"
        case .batch: "[FILE|-]"
        case .import: "FILE|-"
        case .export: "[FILE]"
        case .shell, .status, .shutdown: ""
        case .switchover, .resync: "[NAME]"
        case .completions: "bash|zsh|fish"
        }
    }

    /// One line for the list of commands.
    var title: String {
        switch self {
        case .get: "Show the tuples that match"
        case .put: "Add tuples whose keys are not there yet"
        case .post: "Give tuples that are there new values"
        case .set: "Give keys their values, whether they are there or not"
        case .delete: "Remove the tuples that match, and show them"
        case .op: "Ask what became of an operation"
        case .send: "Send any operator with any payload"
        case .batch: "Send requests from JSON lines, pipelined"
        case .import: "Add the rows of a JSON-lines or CSV file"
        case .export: "Write all tuples as JSON lines"
        case .shell: "Type commands at a prompt"
        case .status: "Show the proxy and its servers"
        case .switchover: "Make another server the active one"
        case .resync: "Have a passive server take a fresh copy"
        case .shutdown: "Shut the proxy and all servers down"
        case .completions: "Print a completion script for a shell"
        }
    }

    /// Commands that can be typed at the prompt of `shell`.
    var worksInShell: Bool {
        switch self {
        case .get, .put, .post, .set, .delete, .send, .op, .export, .import, .status, .switchover, .resync, .shutdown:
            true
        case .batch, .shell, .completions: false
        }
    }

    var options: [Option] {
        switch self {
        case .put, .post: [Command.operation]
        case .op:
            [
                Option(
                    "age", .duration(.milliseconds(1)...(.seconds(86_400))),
                    help:
                        "How long ago it was first sent, at the most. Without it 'not carried out' is said only where nothing was ever forgotten."
                )
            ]
        case .set, .send, .batch, .export, .shell, .shutdown, .completions: []
        case .resync: [Command.noWait]
        case .get:
            [
                Command.literal,
                Option("limit", .integer(1...Int.max), help: "Show so many tuples at the most, in the order of keys."),
                Option("count", .toggle, help: "Show only how many there are."),
                Option("keys-only", .toggle, help: "Show only the keys."),
                Command.explanation,
            ]
        case .delete:
            [
                Command.literal,
                Option("dry-run", .toggle, help: "Show what would be removed, and remove nothing."),
                Option(
                    "paged", .toggle,
                    help: "Remove in parts, one request a tuple: for what is too large to be removed at one moment."),
                Command.explanation, Command.operation,
            ]
        case .import:
            [
                Option(
                    "format", .choice(["jsonl", "csv"]),
                    help: "What the file is; by default its name's ending tells."),
                Option(
                    "operator", .choice(["put", "post"]), default: "put",
                    help: "Add tuples (put), or change those that are there (post)."),
                Option(
                    "key-columns", .text(placeholder: "COLUMNS"), default: "1",
                    help: "CSV: the columns that make the key, by name or number (from 1), with commas in between."),
                Option(
                    "value-columns", .text(placeholder: "COLUMNS"),
                    help: "CSV: the columns that make the value; by default all that are not in the key."),
                Option(
                    "split-words", .toggle,
                    help: "CSV: every word of a column becomes an element; all that is not alphanumeric divides."),
                Option("no-header", .toggle, help: "CSV: the first row is data; columns have numbers only."),
                Option(
                    "delimiter", .text(placeholder: "CHARACTER"), default: ",",
                    help: "CSV: what is between two columns: one character, or 'tab'."),
                Option(
                    "short-rows", .choice(["refuse", "fill"]), default: "refuse",
                    help: "CSV: what a row with too few columns is: refused, or taken without the elements it lacks."),
                Option(
                    "from-line", .integer(1...Int.max), default: "1",
                    help: "Pass over rows that begin before this line: to go on where an import ended."),
                Option(
                    "batch-pairs", .integer(1...10_000), default: "100", help: "How many pairs go into a request."),
            ]
        case .status:
            [
                Option("watch", .toggle, help: "Show it again and again, until interrupted."),
                Option(
                    "interval", .duration(.milliseconds(100)...(.seconds(3_600))), default: "1s",
                    help: "How long to wait between two looks."),
            ]
        case .switchover:
            [
                Option(
                    "accept-data-loss", .toggle,
                    help: "Allow a server that may lack acknowledged writes to become the active one."),
                Command.noWait,
            ]
        }
    }

    private static let noWait = Option(
        "no-wait", .toggle, help: "End when the proxy has taken the command on, not when it is done.")

    private static let literal = Option(
        "literal", letter: "F", .toggle,
        help: "KEYEXP and VALEXP are plain text, not regular expressions: each matches itself and nothing else.")

    private static let explanation = Option(
        "explain", .toggle,
        help: "Say on standard error how the tuples were found, how many were looked at, and the time.")

    private static let operation = Option(
        "op-id", .text(placeholder: "ID"),
        help: "The operation's name: under the same name it takes effect once, and 'op' tells what became of it.")

    var specification: OptionsSpecification {
        var groups = [OptionsSpecification.Group("Connection and output:", Command.commonOptions)]
        if !options.isEmpty { groups.insert(OptionsSpecification.Group("Options:", options), at: 0) }
        return OptionsSpecification(
            program: "\(Product.name) \(rawValue)", version: Product.version,
            usage: arguments.isEmpty ? "[OPTIONS]" : "[OPTIONS] \(arguments)", summary: details, groups: groups,
            positionals: .any, example: example)
    }

    /// Flags that every command has; they may stand before it or after it.
    static let commonOptions = [
        Option(
            "proxy", .addresses, default: "127.0.0.1:7400", help: "Where proxies listen for clients; tried in turn."),
        Option("operators", .addresses, default: "127.0.0.1:7402", help: "Where proxies listen for operators."),
        Option(
            "output", .choice(OutputFormat.allCases.map(\.rawValue)),
            help: "How answers are shown. Default: table on a terminal, otherwise plain."),
        Option(
            "timeout", .duration(.milliseconds(1)...(.seconds(86_400))), default: "10s",
            help: "How long a request may take, over as many connections as it needs."),
    ]

    /// Words of other tools, and what somebody who types them may mean.
    static let hints: [String: String] = [
        "rm": "delete", "del": "delete", "remove": "delete", "erase": "delete", "unset": "delete",
        "list": "get '.*'", "ls": "get '.*'", "scan": "get '.*'", "all": "get '.*'", "keys": "get --keys-only '.*'",
        "count": "get --count '.*'", "find": "get", "read": "get", "select": "get", "query": "get", "search": "get",
        "add": "put", "insert": "put", "create": "put", "write": "put", "update": "post", "replace": "post",
        "upsert": "set", "load": "import", "dump": "export", "save": "export", "info": "status", "ping": "status",
        "members": "status", "failover": "switchover", "promote": "switchover", "reinit": "resync", "stop": "shutdown",
        "halt": "shutdown",
    ]

    /// What comes before the command.
    static let global = OptionsSpecification(
        program: Product.name, version: Product.version, usage: "[OPTIONS] COMMAND …",
        summary: "A client of the Twinspace tuple space. Without a command, on a terminal: the shell.",
        groups: [OptionsSpecification.Group("Options:", commonOptions)], positionals: .command, example: "")

    /// The page of `twinspace --help`.
    static var overview: String {
        var page = global.helpPage() + "\nCommands:\n"
        for command in allCases {
            let name = command.rawValue + String(repeating: " ", count: max(0, 13 - command.rawValue.count))
            page += "  \(name)\(command.title)\n"
        }
        return page + """

            '\(Product.name) COMMAND --help' says more, with an example.

            Exit status: 0 done; 1 done, but put, post or set gave pairs back; 2 usage;
            3 malformed, also an expression; 4 not implemented; 5 refused;
            6 unavailable (not carried out); 7 unknown (may have been carried out);
            8 too costly or too large; 12 a local file could not be read or written.

            Example:
              \(Product.name) put user,42 ada,lovelace
              \(Product.name) get 'user,.*'

            """
    }
}
