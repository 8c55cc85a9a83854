import Runtime

/// Completion scripts, made from the same tables as parsing and help.
enum CompletionScript: String, CaseIterable {
    case bash, zsh, fish

    var text: String {
        switch self {
        case .bash: CompletionScript.bashText
        case .zsh: CompletionScript.zshText
        case .fish: CompletionScript.fishText
        }
    }

    private static var names: [String] { Command.allCases.map(\.rawValue) + ["help"] }

    private static func flags(_ options: [Option]) -> String {
        (options.map(\.name) + ["help", "version"]).map { "--\($0)" }.joined(separator: " ")
    }

    /// The words that may follow an option or stand as an argument, where they are few.
    private static var choices: [(flag: String, words: [String])] {
        var seen: Set<String> = []
        return (Command.commonOptions + Command.allCases.flatMap(\.options)).compactMap { option in
            guard case .choice(let words) = option.kind, seen.insert(option.name).inserted else { return nil }
            return (option.name, words)
        }
    }

    private static var bashText: String {
        var text = """
            # bash completion for \(Product.name):  source <(\(Product.name) completions bash)
            _\(Product.name)() {
                local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= i
                for ((i = 1; i < COMP_CWORD; i++)); do
                    case " \(names.joined(separator: " ")) " in
                        *" ${COMP_WORDS[i]} "*) command=${COMP_WORDS[i]}; break ;;
                    esac
                done
                case $previous in

            """
        for choice in choices {
            text += "        --\(choice.flag)) COMPREPLY=($(compgen -W \"\(choice.words.joined(separator: " "))\""
            text += " -- \"$word\")); return ;;\n"
        }
        text += "    esac\n    case $command in\n"
        for command in Command.allCases {
            let files = [.batch, .import, .export].contains(command) ? " -f" : ""
            var words = flags(command.options + Command.commonOptions)
            if command == .completions { words += " " + allCases.map(\.rawValue).joined(separator: " ") }
            text += "        \(command.rawValue)) COMPREPLY=($(compgen\(files) -W \"\(words)\" -- \"$word\")) ;;\n"
        }
        let top = names.joined(separator: " ") + " " + flags(Command.commonOptions)
        let all = names.joined(separator: " ")
        return text + """
                    help) COMPREPLY=($(compgen -W "\(all)" -- "$word")) ;;
                    *) COMPREPLY=($(compgen -W "\(top)" -- "$word")) ;;
                esac
            }
            complete -F _\(Product.name) \(Product.name)

            """
    }

    private static func quoted(_ text: String) -> String {
        text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
    }

    private static var zshText: String {
        var text = """
            #compdef \(Product.name)
            # zsh completion for \(Product.name):  source <(\(Product.name) completions zsh)
            _\(Product.name)() {
                local -a commands
                commands=(

            """
        for command in Command.allCases { text += "        '\(command.rawValue):\(quoted(command.title))'\n" }
        text += "    )\n    local command=${words[(r)(\(names.joined(separator: "|")))]}\n    case $command in\n"
        for command in Command.allCases {
            text += "        \(command.rawValue))\n            _arguments '*::argument:_files'"
            for option in command.options + Command.commonOptions {
                text += " \\\n                '--\(option.name)[\(zshDescription(option.help))]"
                if case .choice(let words) = option.kind { text += ":value:(\(words.joined(separator: " ")))" }
                text += "'"
            }
            text += " ;;\n"
        }
        return text + """
                    *) _describe command commands ;;
                esac
            }
            compdef _\(Product.name) \(Product.name)

            """
    }

    /// zsh takes brackets and colons in a description for its own.
    private static func zshDescription(_ text: String) -> String {
        quoted(text.map { "[]:".contains($0) ? " " : String($0) }.joined())
    }

    private static var fishText: String {
        var text = "# fish completion for \(Product.name):  \(Product.name) completions fish | source\n"
        text += "complete -c \(Product.name) -f\n"
        for command in Command.allCases {
            text += "complete -c \(Product.name) -n __fish_use_subcommand -a \(command.rawValue)"
            text += " -d '\(quoted(command.title))'\n"
        }
        func add(_ option: Option, _ condition: String) {
            text += "complete -c \(Product.name)\(condition) -l \(option.name) -d '\(quoted(option.help))'"
            switch option.kind {
            case .choice(let words): text += " -x -a '\(words.joined(separator: " "))'"
            case .toggle: break
            case .text, .address, .addresses, .duration, .integer, .size: text += " -x"
            }
            text += "\n"
        }
        for option in Command.commonOptions { add(option, "") }
        for command in Command.allCases {
            for option in command.options { add(option, " -n '__fish_seen_subcommand_from \(command.rawValue)'") }
        }
        for command in [Command.batch, .import, .export] {
            text += "complete -c \(Product.name) -n '__fish_seen_subcommand_from \(command.rawValue)' -F\n"
        }
        text += "complete -c \(Product.name) -n '__fish_seen_subcommand_from completions' -a 'bash zsh fish'\n"
        return text
    }
}
