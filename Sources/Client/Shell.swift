import Runtime

/// The prompt.
struct Shell {
    init(_ console: Console, _ values: OptionValues?) {}
    func run() -> ExitCode { .usage }
}
