import TupleCore

/// What `import` was asked for.
struct ImportSettings: Equatable {
    enum Format: String {
        case jsonl, csv
    }

    var path: String
    var format: Format
    /// PUT or POST.
    var operation: Operator
    /// CSV: names, or numbers from 1.
    var keyColumns: [String]
    /// Nil: all that are not in the key.
    var valueColumns: [String]?
    var splitsWords: Bool
    var hasHeader: Bool
    var pairsPerRequest: Int
}
