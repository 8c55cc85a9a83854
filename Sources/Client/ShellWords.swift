/// Divides a typed line into words as a shell does: blanks divide, quotes keep together, a backslash takes what follows
/// as it is (within double quotes: only before a quote and another backslash).
enum ShellWords {
    struct UnclosedQuote: Error, Equatable {
        var quote: Character
    }

    static func split(_ line: String) throws(UnclosedQuote) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var rest = line[...]
        while let character = rest.popFirst() {
            switch (quote, character) {
            case ("'", "'"), ("\"", "\""): quote = nil
            case ("'", _): word?.append(character)
            case ("\"", "\\"):
                if let next = rest.first, next == "\"" || next == "\\" {
                    word?.append(next)
                    rest.removeFirst()
                } else {
                    word?.append(character)
                }
            case ("\"", _): word?.append(character)
            case (_, "'"), (_, "\""):
                quote = character
                word = word ?? ""
            case (_, "\\"):
                word = (word ?? "") + (rest.popFirst().map(String.init) ?? "\\")
            case (_, " "), (_, "\t"), (_, "\n"), (_, "\r"), (_, "\r\n"):
                if let finished = word { words.append(finished) }
                word = nil
            default: word = (word ?? "") + String(character)
            }
        }
        if let quote { throw UnclosedQuote(quote: quote) }
        if let word { words.append(word) }
        return words
    }
}
