import CEdit
import Glibc
import Runtime
import TupleCore

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
        while let bytes = editor.readLine() {
            guard let line = text(bytes) else { continue }
            if !line.allSatisfy(\.isWhitespace) { editor.remember(line) }
            guard carryOut(line) else { return exitCode }
        }
        // The end of input leaves the cursor behind the prompt.
        Terminal.writeError("\n")
        return exitCode
    }

    private func runPiped() -> ExitCode {
        var buffer: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(buffer) }
        while true {
            let count = twinspace_read_line(&buffer, &capacity)
            guard count > 0, let buffer else { break }
            guard let line = text([UInt8](UnsafeRawBufferPointer(start: buffer, count: count))) else { continue }
            guard carryOut(line) else { break }
        }
        return exitCode
    }

    /// The line without its end; nil, and a complaint, where it is not UTF-8: what was meant cannot be known.
    private func text(_ line: [UInt8]) -> String? {
        var line = line[...]
        if line.last == 0x0A { line.removeLast() }
        if line.last == 0x0D { line.removeLast() }
        guard UTF8Check.isValid([UInt8](line)) else {
            complain("\(Product.name): the line is not UTF-8 and was not carried out; see to the terminal's encoding")
            return nil
        }
        return String(decoding: line, as: UTF8.self)
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
                    complain("\(Product.name): \(error)", .localFile)
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

    private func complain(_ text: String, _ code: ExitCode = .usage) {
        _ = Terminal.write(Style.harmless([UInt8](text.utf8), keepsLines: true) + [0x0A], to: STDERR_FILENO)
        exitCode = code
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
