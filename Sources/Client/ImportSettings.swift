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
    /// CSV: between two columns.
    var delimiter = UInt8(ascii: ",")
    /// CSV: a row with too few columns is taken without the elements that it lacks.
    var fillsShortRows = false
    /// Rows that begin before it are passed over; from 1.
    var firstLine = 1
}
