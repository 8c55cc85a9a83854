import Glibc
import Runtime

/// The program `twinspace-bench`: measures a service that runs, or a part of it by itself.
public enum BenchmarkProgram {
    static let name = "twinspace-bench"

    static let overview = """
        Usage: twinspace-bench COMMAND [OPTIONS]

        Measures Twinspace.

        Commands:
          load   requests over many connections to a proxy: rate, latencies, errors, the longest pause
          scan   expressions against many keys, in this process alone: time a key

        'twinspace-bench COMMAND --help' lists a command's options.

        Exit codes: 0 done; 1 the service could not be reached, or an answer was no 'ok'; 2 usage.

        """

    /// Runs the process's command line and ends the process.
    public static func main() -> Never {
        ProcessStart.begin(as: .command)
        exit(run(Array(CommandLine.arguments.dropFirst()), environment: ProcessEnvironment.variables()))
    }

    static func run(_ arguments: [String], environment: [String: String]) -> Int32 {
        guard let command = arguments.first else {
            writeError("\(name): a command is missing\nSee '\(name) --help'.\n")
            return OptionsError.exitCode
        }
        let rest = Array(arguments.dropFirst())
        switch command {
        case "load": return LoadBenchmark.run(rest, environment: environment)
        case "scan": return ScanBenchmark.run(rest, environment: environment)
        case "--help", "-h", "help":
            write(overview)
            return 0
        case "--version":
            write("\(name) \(Release.version)\n")
            return 0
        default:
            let hint = Spelling.nearest(to: command, among: ["load", "scan"]).map { "; did you mean \($0)?" } ?? ""
            writeError("\(name): there is no command '\(command)'\(hint)\nSee '\(name) --help'.\n")
            return OptionsError.exitCode
        }
    }

    static func write(_ text: String) { write(text, to: STDOUT_FILENO) }

    static func writeError(_ text: String) { write(text, to: STDERR_FILENO) }

    /// As far as the other side takes it: a reader that is gone misses nothing that it wants.
    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
