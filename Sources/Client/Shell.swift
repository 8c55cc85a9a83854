import Glibc
import Runtime

/// `shell`: commands as on the command line, typed at a prompt or read from a pipe; one session for all of them.
final class Shell {
    /// What can be typed first.
    static let words = Command.allCases.filter(\.worksInShell).map(\.rawValue) + ["help", "exit"]

    private let console: Console
    private let flags: OptionValues
    /// Of the last command, as in other shells.
    private var exitCode = ExitCode.done

    /// - Parameter flags: those that the shell was started with; they hold for its commands unless they have their own.
    init(_ console: Console, _ flags: OptionValues) {
        self.console = console
        self.flags = flags
    }

    func run() -> ExitCode {
        guard Terminal.isTerminal(STDIN_FILENO) else { return runPiped() }
        let home = console.environment["HOME"] ?? ""
        guard let editor = LineEditor(historyPath: home.isEmpty ? nil : home + "/.twinspace_history") else {
            return runPiped()
        }
        Terminal.writeError("\(Product.name) \(Product.version); 'help' lists the commands, 'exit' leaves\n")
        while let line = editor.readLine() {
            if !line.allSatisfy(\.isWhitespace) { editor.remember(line) }
            guard carryOut(line) else { return exitCode }
        }
        // The end of input leaves the cursor behind the prompt.
        Terminal.writeError("\n")
        return exitCode
    }

    private func runPiped() -> ExitCode {
        while let line = readLine() {
            guard carryOut(line) else { break }
        }
        return exitCode
    }

    /// False where the shell is to be left.
    private func carryOut(_ line: String) -> Bool {
        let words: [String]
        do throws(ShellWords.UnclosedQuote) { words = try ShellWords.split(line) } catch {
            complain("\(Product.name): a quote (\(error.quote)) is not closed")
            return true
        }
        switch words.first {
        case nil: return true
        case "exit", "quit": return false
        case "help" where words.count == 1:
            show(Shell.overview)
            return true
        case .some(let word):
            if let command = Command(rawValue: word), !command.worksInShell {
                complain("\(Product.name): '\(word)' does not work within the shell")
                return true
            }
            run(words)
            return true
        }
    }

    private func run(_ words: [String]) {
        do throws(OptionsError) {
            let (outcome, _) = try Invocation.parse(
                words, environment: console.environment, hasTerminal: false, inheriting: flags)
            switch outcome {
            case .text(let text): show(text)
            case .invocation(let invocation):
                do throws(SystemError) { exitCode = try console.run(invocation) } catch {
                    complain("\(Product.name): \(error)")
                }
            }
        } catch {
            complain(error.description)
        }
    }

    private func show(_ text: String) {
        console.output.write([UInt8](text.utf8))
        console.output.flush()
        exitCode = .done
    }

    private func complain(_ text: String) {
        Terminal.writeError(text + "\n")
        exitCode = .usage
    }

    private static var overview: String {
        var text = ""
        for command in Command.allCases where command.worksInShell {
            let usage = "\(command.rawValue) \(command.arguments)"
            text += usage + String(repeating: " ", count: max(1, 34 - usage.count)) + command.title + "\n"
        }
        return text + "exit" + String(repeating: " ", count: 30) + "Leave the shell\n"
            + "\nWords are quoted as in other shells: get '[\"user\",\".*\"]'. 'get --help' says more.\n"
    }
}
