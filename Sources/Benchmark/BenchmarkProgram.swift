import Glibc

/// The program `twinspace-bench`.
public enum BenchmarkProgram {
    public static func main() {
        switch CommandLine.arguments.dropFirst().first {
        case "scan": exit(ScanBenchmark.run(Array(CommandLine.arguments.dropFirst(2))))
        default: exit(2)
        }
    }
}
