/// The program `twinspace-bench`.
public enum BenchmarkProgram {
    public static func main() {}
}
