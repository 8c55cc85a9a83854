/// What the tree must look like. Each rule takes a file and returns what is wrong with it, in words for a person.
enum Rules {
    static let maximumLines = 600

    // MARK: Rooms

    static func imports(_ file: SourceText) -> [String] {
        guard let room = file.room, let place = Rooms.order.firstIndex(of: room) else {
            return ["\(file.path): a room that the order does not name"]
        }
        return file.imports.compactMap { entry in
            let here = "\(file.path):\(entry.line): "
            if let wrapping = Rooms.wrappers[entry.module], !wrapping.contains(room) {
                return here + "\(entry.module) may be imported only in \(wrapping.sorted().joined(separator: ", "))"
            }
            if let imported = Rooms.order.firstIndex(of: entry.module) {
                if Rooms.mains.contains(entry.module) { return here + "nothing imports a main" }
                return imported < place ? nil : here + "\(room) may not import \(entry.module): it is not below"
            }
            if let declaration = entry.declaration, Rooms.memoryFunctions.contains(declaration) { return nil }
            return Rooms.systemModuleAllowed(entry.module, in: room)
                ? nil : here + "\(room) may not import \(entry.module)"
        }
    }

    // MARK: Cores

    /// What would make a core depend on something else than its events.
    private static var bannedInCores: [(Regex<Substring>, String)] {
        [
            (/\b(?:clock_gettime|gettimeofday|clock_nanosleep|nanosleep|usleep|localtime_r|gmtime_r)\b/, "a clock"),
            (/\b(?:ContinuousClock|SuspendingClock|WallClock|DispatchTime)\b/, "a clock"),
            (/\b(?:SystemRandomNumberGenerator|getrandom|arc4random\w*)\b/, "randomness"),
            (/\.(?:random|randomElement|shuffled|shuffle)\(\s*(?:in:[^,)]*)?\)/, "randomness"),
            (/\bHasher\(\)|\.hashValue\b/, "randomness: Swift seeds its hashes anew in each process"),
            (/\bTask\s*(?:\{|\(|\.)|\b(?:async|await|actor)\b/, "concurrency"),
            (/\b(?:DispatchQueue|DispatchSource\w*|pthread_\w+|Thread)\b/, "a thread"),
            (/\b(?:fopen|openat|fsync|fdatasync|epoll_\w+|sendto|recvfrom|getaddrinfo)\(/, "a system call"),
            (/\b(?:getenv|setenv|CommandLine|FileHandle|FileManager)\b/, "the process's surroundings"),
            (/(?:^|[^\w.])(?:print|debugPrint|dump|readLine)\(/, "input or output"),
        ]
    }

    static func determinism(_ file: SourceText) -> [String] {
        guard let room = file.room, Rooms.deterministic.contains(room) else { return [] }
        return bannedInCores.flatMap { expression, what in
            file.codeLines(matching: expression).map { "\(file.path):\($0): \(what), in a room without I/O" }
        }
    }

    // MARK: Every file

    /// Tables that a program wrote may be as long as they need to be; their first line says which program.
    static func size(_ file: SourceText) -> [String] {
        if file.lines.first?.contains(/(?:[Gg]enerated|[Ww]ritten) by \S+\.py/) ?? false { return [] }
        let count = file.lines.count
        return count > maximumLines ? ["\(file.path): \(count) lines; more than \(maximumLines) are too many"] : []
    }

    /// Words that announce work left undone. They are put together here, so that this file may contain them.
    private static let unfinishedWords = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]

    static func unfinished(_ file: SourceText) -> [String] {
        file.lines.enumerated().flatMap { offset, line in
            unfinishedWords.filter { word in line.split { !$0.isLetter && $0 != "_" }.contains { $0 == word } }
                .map { "\(file.path):\(offset + 1): \($0)" }
        }
    }

    /// Names that say nothing of what a thing is.
    static func emptyNames(_ file: SourceText) -> [String] {
        let expression =
            /\b(?:struct|class|enum|actor|protocol|typealias|extension)\s+\w*(?:Manager|Helper|Util|Utils|Utilities)\b/
        return file.codeLines(matching: expression).map { "\(file.path):\($0): a name without a meaning" }
    }

    /// Whoever promises thread safety says why it holds.
    static func uncheckedPromises(_ file: SourceText) -> [String] {
        let lines = file.lines
        return file.codeLines(matching: /@unchecked\s+Sendable|nonisolated\(unsafe\)/).compactMap { line in
            let around = lines[max(0, line - 4)..<line]
            return around.contains { $0.contains("//") }
                ? nil : "\(file.path):\(line): a promise to the compiler without its reason beside it"
        }
    }

    /// Paths of one machine mean nothing to a reader.
    static func machinePaths(_ file: SourceText) -> [String] {
        let expression = /(?:^|[\s"'`(=:])\/(?:home|Users|root|work)\/\w|\.\.\/shared\b/
        return file.lines.enumerated().filter { $0.element.contains(expression) }
            .map { "\(file.path):\($0.offset + 1): a path of one machine" }
    }

    /// The events that a source file writes into the log as warnings and errors.
    static func warnings(in text: String) -> [String] {
        let calls = /(?:\.warn|\.warning|\.error|onWarning\?)(?:, |\()"([a-z-]+)"/
        let choices = /\.warn : \.alert, \w+ \? "([a-z-]+)"/
        return (text.matches(of: calls).map(\.output.1) + text.matches(of: choices).map(\.output.1)).map(String.init)
    }

    static func emptiness(_ file: SourceText) -> [String] {
        file.text.allSatisfy(\.isWhitespace) ? ["\(file.path): empty"] : []
    }
}
