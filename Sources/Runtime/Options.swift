/// The flags of one executable (or of one of its commands), as data: parsing, environment variables and the help page
/// all come from it. Pure: arguments and environment in, values or an error out.
package struct OptionsSpecification: Sendable {
    /// What may stand beside flags.
    package enum Positionals: Sendable {
        case none
        case any
        /// Parsing stops at the first: it is a command, and what follows is the command's.
        case command
    }

    package struct Group: Sendable {
        package var title: String
        package var options: [Option]

        package init(_ title: String, _ options: [Option]) {
            self.title = title
            self.options = options
        }
    }

    /// As in `Usage: …`, without the program's name twice.
    package var program: String
    package var version: String
    package var usage: String
    package var summary: String
    package var groups: [Group]
    package var positionals: Positionals
    /// Shown below the options; lines are shown as they are.
    package var example: String

    package init(
        program: String, version: String, usage: String, summary: String, groups: [Group],
        positionals: Positionals = .none, example: String
    ) {
        self.program = program
        self.version = version
        self.usage = usage
        self.summary = summary
        self.groups = groups
        self.positionals = positionals
        self.example = example
    }

    package var options: [Option] { groups.flatMap(\.options) }
}

/// One flag. `--max-clients` has the environment variable `TWINSPACE_MAX_CLIENTS`; the flag wins.
package struct Option: Sendable {
    package enum Kind: Sendable {
        /// Any text but none; the placeholder stands for it on the help page.
        case text(placeholder: String)
        /// `host:port`, or one of the words given instead (`off`).
        case address(orWords: [String] = [])
        /// Addresses with commas between them.
        case addresses
        /// `50ms`, `2s`, `1.5s`, `1m`, `1h`.
        case duration(ClosedRange<Duration>)
        case integer(ClosedRange<Int>)
        /// `512MiB`, `4GiB`; in bytes.
        case size(ClosedRange<Int>)
        case choice([String])
        /// No value: on where it is given. `--flag=false` and, in the environment, `true` or `false` work as well.
        case toggle
    }

    /// Without the two dashes; lower case, with single dashes between words.
    package var name: String
    /// One letter that stands for it behind a single dash.
    package var letter: Character?
    package var kind: Kind
    package var isRequired: Bool
    /// As it would be written.
    package var defaultText: String?
    package var help: String
    /// The environment's names for it: the first that is set counts.
    package var variables: [String]

    package init(
        _ name: String, letter: Character? = nil, _ kind: Kind, isRequired: Bool = false,
        default defaultText: String? = nil, variables: [String]? = nil, help: String
    ) {
        self.name = name
        self.letter = letter
        self.kind = kind
        self.isRequired = isRequired
        self.defaultText = defaultText
        self.help = help
        self.variables = variables ?? ["TWINSPACE_" + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()]
    }

    var takesValue: Bool {
        if case .toggle = kind { return false }
        return true
    }
}

/// What came of parsing.
package enum ParsedOptions: Sendable {
    case values(OptionValues)
    /// `--help`: the page to print.
    case help(String)
    /// `--version`: the line to print.
    case version(String)
}

/// What is wrong with a command line. Exit with `exitCode`.
package struct OptionsError: Error, Hashable, Sendable, CustomStringConvertible {
    package static let exitCode: Int32 = 2

    package var program: String
    package var problem: String

    package init(program: String, problem: String) {
        self.program = program
        self.problem = problem
    }

    package var description: String { "\(program): \(problem)\nSee '\(program) --help'." }
}

extension OptionsSpecification {
    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - environment: an empty variable counts as none.
    ///   - inherited: values of a parse before (that of the global options, say), which stand where neither flag nor
    ///     variable is given now.
    /// - Throws: `OptionsError` for the first thing that is wrong.
    package func parse(
        _ arguments: [String], environment: [String: String], inheriting inherited: OptionValues? = nil
    ) throws(OptionsError) -> ParsedOptions {
        var given: [String: OptionValue] = [:]
        var words: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                words += rest
                break
            }
            if argument == "--help" || argument == "-h" { return .help(helpPage()) }
            if argument == "--version" { return .version("\(program) \(version)") }
            guard argument.hasPrefix("-"), argument != "-" else {
                words.append(argument)
                if case .command = positionals {
                    words += rest
                    break
                }
                continue
            }
            let (option, attached) = try option(of: argument)
            let text = try value(of: option, attached, &rest)
            given[option.name] = try parse(text, of: option, from: "--\(option.name)")
        }
        if case .none = positionals, let word = words.first {
            throw error("'\(word)' is not expected here\(hint(forWord: word))")
        }
        return .values(OptionValues(try complete(given, environment, inherited), positionals: words))
    }

    /// Fills in variables, inherited values and defaults.
    private func complete(
        _ given: [String: OptionValue], _ environment: [String: String], _ inherited: OptionValues?
    ) throws(OptionsError) -> OptionValues.Table {
        var table = inherited?.table ?? OptionValues.Table()
        for option in options {
            if let value = given[option.name] {
                table.values[option.name] = value
                table.given.insert(option.name)
            } else if inherited?.isGiven(option.name) == true {
                // Given to an earlier parse, which has looked at the environment too.
            } else if let variable = option.variables.first(where: { environment[$0]?.isEmpty == false }) {
                table.values[option.name] = try parse(environment[variable] ?? "", of: option, from: variable)
                table.given.insert(option.name)
            } else if let text = option.defaultText {
                table.values[option.name] = try parse(text, of: option, from: "the default of --\(option.name)")
            } else if option.isRequired {
                throw error(
                    "--\(option.name) is missing; give it, or set \(option.variables.joined(separator: " or "))")
            }
            table.known.insert(option.name)
        }
        return table
    }

    private func option(of argument: String) throws(OptionsError) -> (Option, attached: String?) {
        let isLong = argument.hasPrefix("--")
        let body = argument.dropFirst(isLong ? 2 : 1)
        let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        if isLong, let option = options.first(where: { $0.name == name }) {
            return (option, parts.count > 1 ? String(parts[1]) : nil)
        }
        if !isLong, let option = options.first(where: { $0.letter.map(String.init) == name }) {
            return (option, parts.count > 1 ? String(parts[1]) : nil)
        }
        var problem = "unknown option '\(isLong ? "--" : "-")\(name)'"
        if let nearest = Spelling.nearest(to: name, among: options.map(\.name) + ["help", "version"]) {
            problem += "; did you mean --\(nearest)?"
        }
        if case .none = positionals {
        } else {
            problem += " (What begins with a dash and is no option goes after '--'.)"
        }
        throw error(problem)
    }

    private func value(
        of option: Option, _ attached: String?, _ rest: inout ArraySlice<String>
    ) throws(OptionsError) -> String {
        if let attached { return attached }
        guard option.takesValue else { return "true" }
        guard let next = rest.first else { throw error("--\(option.name) needs a value: \(option.kind.allowed)") }
        guard !next.hasPrefix("--") else {
            throw error(
                "--\(option.name) needs a value: \(option.kind.allowed) "
                    + "(one that begins with dashes is written --\(option.name)=\(next))")
        }
        rest = rest.dropFirst()
        return next
    }

    private func parse(_ text: String, of option: Option, from place: String) throws(OptionsError) -> OptionValue {
        switch option.kind.parse(text) {
        case .success(let value): return value
        case .failure(let problem): throw error("\(place): \(problem.text)")
        }
    }

    private func hint(forWord word: String) -> String {
        guard let nearest = Spelling.nearest(to: word, among: options.map(\.name)) else { return "" }
        return "; did you mean --\(nearest)?"
    }

    private func error(_ problem: String) -> OptionsError { OptionsError(program: program, problem: problem) }
}

/// Finds what somebody meant to type.
package enum Spelling {
    /// The candidate with the fewest edits, where they are few for the word's length; ties go to the earlier one.
    package static func nearest(to word: String, among candidates: [String]) -> String? {
        guard word.utf8.count <= 64 else { return nil }
        var best: (distance: Int, candidate: String)?
        for candidate in candidates {
            let isPrefix = word.utf8.count >= 3 && candidate.hasPrefix(word)
            let distance = isPrefix ? 1 : editDistance(Array(word.utf8), Array(candidate.utf8))
            if distance < best?.distance ?? Int.max { best = (distance, candidate) }
        }
        guard let best, best.distance <= max(1, min(word.utf8.count, best.candidate.utf8.count) / 3) else { return nil }
        return best.candidate
    }

    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 0..<a.count {
            var row = [i + 1] + [Int](repeating: 0, count: b.count)
            for j in 0..<b.count {
                row[j + 1] = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    row[j + 1] = min(row[j + 1], beforeLast[j - 1] + 1)
                }
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
