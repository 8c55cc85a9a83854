import Glibc
import Runtime
import TupleCore
import WireProtocol

/// The command-line client: from arguments to an exit code.
public enum ClientProgram {
    /// Runs the process's command line and ends the process.
    public static func main() -> Never {
        ProcessStart.begin(as: .command)
        // All text here is UTF-8. Where the locale knows ASCII alone, as in containers, the editor would drop the rest.
        setlocale(LC_CTYPE, "")
        if String(cString: nl_langinfo(nl_item(CODESET))).hasPrefix("ANSI") { setlocale(LC_CTYPE, "C.UTF-8") }
        let code: ExitCode
        do throws(OptionsError) {
            let arguments = try ProcessText.arguments(program: Product.name)
            code = try run(arguments, environment: ProcessText.environment(program: Product.name))
        } catch {
            _ = Terminal.write(Style.harmless([UInt8]("\(error)\n".utf8), keepsLines: true), to: STDERR_FILENO)
            code = .usage
        }
        // Not `exit`: a thread may be waiting for input that never comes, and nobody wants to wait for it.
        _exit(code.rawValue)
    }

    private static func run(_ arguments: [String], environment: [String: String]) throws(OptionsError) -> ExitCode {
        let hasTerminal = Terminal.isTerminal(STDIN_FILENO) && Terminal.isTerminal(STDOUT_FILENO)
        let (outcome, values) = try Invocation.parse(arguments, environment: environment, hasTerminal: hasTerminal)
        switch outcome {
        case .text(let text):
            let output = OutputStream()
            output.write([UInt8](text.utf8))
            output.flush()
            return .done
        case .invocation(let invocation):
            do throws(SystemError) {
                let console = try Console(environment: environment)
                if invocation.task == .shell, let values {
                    return Shell(console, values).run()
                }
                return try console.run(invocation)
            } catch {
                Terminal.writeError("\(Product.name): \(error)\n")
                return .localFile
            }
        }
    }
}
