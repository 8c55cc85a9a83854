extension Rules {
    /// What is wrong with the guarantees of a page: each begins with `**G1. …**`, they are counted from 1, and each has a
    /// paragraph `Defended by` with the tests' files and names in backquotes.
    ///
    /// - Parameter tests: the texts of all test files, by path.
    static func defences(of page: SourceText, in tests: [String: String]) -> [String] {
        let paragraphs = page.text.split(separator: "\n\n").map { $0.replacing("\n", with: " ") }
        var complaints: [String] = []
        var guarantee: String?
        var count = 0
        for paragraph in paragraphs {
            let text = paragraph.drop { $0.isWhitespace }
            if let match = text.prefixMatch(of: /\*\*G(\d+)\./) {
                if let guarantee { complaints.append("\(page.path): \(guarantee) names no test that defends it") }
                count += 1
                guarantee = "G\(match.1)"
                if Int(match.1) != count { complaints.append("\(page.path): G\(match.1) is number \(count)") }
            } else if let owner = guarantee, text.hasPrefix("Defended by ") {
                guarantee = nil
                complaints += missing(named: text, in: tests).map { "\(page.path): \(owner): \($0)" }
            }
        }
        if let guarantee { complaints.append("\(page.path): \(guarantee) names no test that defends it") }
        if count == 0 { complaints.append("\(page.path): there are no guarantees") }
        return complaints
    }

    /// The names that are not there: a name belongs to the file before it.
    private static func missing(named text: Substring, in tests: [String: String]) -> [String] {
        var complaints: [String] = []
        var file: String?
        var names = 0
        for match in text.matches(of: /`([^`]+)`/) {
            let name = String(match.1)
            if name.contains("/") {
                file = name
                if tests[name] == nil { complaints.append("there is no \(name)") }
                continue
            }
            names += 1
            guard let file else {
                complaints.append("\(name) is in no file")
                continue
            }
            guard let content = tests[file] else { continue }
            if !content.contains("func \(name)("), !content.contains("def \(name)(") {
                complaints.append("there is no \(name) in \(file)")
            }
        }
        return names == 0 ? complaints + ["no test is named"] : complaints
    }
}
