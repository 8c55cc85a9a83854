import Runtime

/// How many pairs are scanned, and which scans are timed.
struct ScanSettings {
    var pairs: Int
    var order: ScanPairs.Order
    var rounds: Int
    /// The name of the only scan that is timed.
    var only: String?

    static let specification = OptionsSpecification(
        program: "twinspace-bench scan", version: Release.version, usage: "[OPTION]…",
        summary:
            "Looks through many pairs in this process alone, and tells bytes a pair and time a key beside PCRE2's bare calls.",
        groups: [
            OptionsSpecification.Group(
                "Scans",
                [
                    Option("pairs", .integer(1...100_000_000), default: "10000000", help: "How many pairs there are."),
                    Option(
                        "order", .choice(["random", "ascending"]), default: "random",
                        help: "In which order of keys the pairs are put."),
                    Option(
                        "rounds", .integer(1...1_000), default: "5",
                        help: "How often each scan is timed; the median counts."),
                    Option(
                        "only", .text(placeholder: "NAME"), help: "Only the scan of this name, as in the last column."),
                ])
        ],
        example: """
            twinspace-bench scan --pairs 1000000
            twinspace-bench scan --only 'a literal' --rounds 21
            """)

    init(_ values: OptionValues) {
        pairs = values.integer("pairs")
        order = values.text("order") == "ascending" ? .ascending : .random
        rounds = values.integer("rounds")
        only = values.textIfAny("only")
    }
}
