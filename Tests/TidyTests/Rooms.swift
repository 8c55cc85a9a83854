/// The rooms from the bottom up: each may import those before it, no others.
enum Rooms {
    static let order = [
        "CChecksum", "CMemory", "CLibUV", "CPCRE2", "CMicroHTTPD", "CEpoll", "CRename", "CEdit",
        "TupleCore", "PythonRegex", "TupleStore", "WireProtocol", "Journal", "Replication", "Routing",
        "Calling", "Simulation",
        "Runtime", "Client", "Benchmark",
        "twinspace", "twinspace-proxy", "twinspace-server", "twinspace-sim", "twinspace-bench",
    ]

    /// Where each C library may be imported: in the one room that wraps it.
    static let wrappers: [String: Set<String>] = [
        "CChecksum": ["WireProtocol", "Journal", "Benchmark"],
        "CMemory": ["TupleStore"],
        "CPCRE2": ["PythonRegex", "Benchmark"],
        "CLibUV": ["Runtime"],
        "CMicroHTTPD": ["Runtime"],
        "CEpoll": ["Benchmark"],
        "CRename": ["Runtime"],
        "CEdit": ["Client"],
    ]

    static let mains: Set<String> = [
        "twinspace", "twinspace-proxy", "twinspace-server", "twinspace-sim", "twinspace-bench",
    ]

    /// No clock, no randomness, no files, no sockets, no threads: what happens there depends on the events alone.
    static let cores: Set<String> = [
        "TupleCore", "PythonRegex", "TupleStore", "WireProtocol", "Journal", "Replication", "Routing",
        "Calling",
    ]

    /// The simulator has its own clock, network and disk; its main prints and reads arguments.
    static let deterministic = cores.union(["Simulation"])

    /// Modules that come with Swift or the system, by who may import them.
    static func systemModuleAllowed(_ module: String, in room: String) -> Bool {
        switch module {
        case "Glibc", "Musl", "Darwin", "Dispatch": !deterministic.contains(room)
        case "Synchronization": true
        default: false
        }
    }

    /// C functions that only touch memory; a core may import them one by one (`import func Glibc.memcmp`).
    static let memoryFunctions: Set<String> = ["memcmp", "memcpy", "memmove", "memset", "memchr", "memmem"]
}

/// One `import` line.
struct Import: Equatable {
    /// The module, without submodules.
    let module: String

    /// The single declaration that is imported (`import func Glibc.memcmp`), or nil for a whole module.
    let declaration: String?

    let line: Int
}

extension SourceText {
    var imports: [Import] {
        code.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { offset, line in
            let expression =
                /^\s*(?:@[\w()]+\s+|public\s+|package\s+|internal\s+|private\s+|fileprivate\s+)*import\s+(?:(?:func|struct|enum|class|protocol|var|let|typealias)\s+(?<scope>\w+)\.(?<declaration>\w+)|(?<module>\w+))/
            guard let match = line.firstMatch(of: expression) else { return nil }
            let module = match.output.scope ?? match.output.module
            guard let module else { return nil }
            return Import(
                module: String(module), declaration: match.output.declaration.map(String.init), line: offset + 1)
        }
    }
}
