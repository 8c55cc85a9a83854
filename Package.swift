// swift-tools-version: 6.2
import PackageDescription

// Rooms, from the bottom up. Each knows only rooms listed before it; `TidyTests` checks the imports.
// C libraries come from the system (`make deps` installs them); there are no Swift package dependencies.

let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: house)
}

func main(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: house)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.target(name: name), "TestSupport"] + dependencies, swiftSettings: house)
}

let package = Package(
    name: "twinspace",
    products: [
        .executable(name: "twinspace", targets: ["twinspace"]),
        .executable(name: "twinspace-proxy", targets: ["twinspace-proxy"]),
        .executable(name: "twinspace-server", targets: ["twinspace-server"]),
        .executable(name: "twinspace-sim", targets: ["twinspace-sim"]),
        .executable(name: "twinspace-bench", targets: ["twinspace-bench"]),
    ],
    targets: [
        // C: a checksum and a header about memory of our own, and the system libraries.
        .target(name: "CChecksum"),
        .target(name: "CMemory"),
        .systemLibrary(name: "CLibUV", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"])]),
        .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
        .systemLibrary(name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "CEpoll"),
        .systemLibrary(name: "CRename"),
        .systemLibrary(name: "CEdit", pkgConfig: "libedit", providers: [.apt(["libedit-dev"])]),

        // Cores: no I/O, no clock, no randomness.
        room("TupleCore"),
        room("PythonRegex", ["CPCRE2"]),
        room("TupleStore", ["CMemory", "TupleCore", "PythonRegex"]),
        room("WireProtocol", ["CChecksum", "TupleCore"]),
        room("Journal", ["CChecksum", "TupleCore"]),
        room("Replication", ["Journal", "TupleCore", "TupleStore", "WireProtocol"]),
        room("Routing", ["TupleCore", "WireProtocol"]),
        room("Calling", ["TupleCore", "WireProtocol"]),

        // The same cores on a simulated clock, network and disk, with faults from a seed.
        room(
            "Simulation",
            ["Calling", "Journal", "Replication", "Routing", "TupleCore", "TupleStore", "WireProtocol"]),

        // The only room with sockets, files, clocks and threads, and what is built on it.
        room(
            "Runtime",
            [
                "CLibUV", "CMicroHTTPD", "CRename", "Journal", "Replication", "Routing", "TupleCore", "TupleStore",
                "WireProtocol",
            ]),
        room("Client", ["Calling", "CEdit", "Runtime", "TupleCore", "WireProtocol"]),
        room(
            "Benchmark",
            ["CChecksum", "CEpoll", "CPCRE2", "PythonRegex", "Runtime", "TupleCore", "TupleStore", "WireProtocol"]),

        main("twinspace", ["Client"]),
        main("twinspace-proxy", ["Runtime"]),
        main("twinspace-server", ["Runtime"]),
        main("twinspace-sim", ["Runtime", "Simulation", "TupleCore"]),
        main("twinspace-bench", ["Benchmark"]),

        // What several of them use.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: house),
        tests("TupleCore"),
        tests("PythonRegex"),
        tests("TupleStore", ["TupleCore"]),
        tests("WireProtocol", ["TupleCore"]),
        tests("Journal", ["TupleCore"]),
        tests("Replication", ["Journal", "Routing", "TupleCore", "TupleStore", "WireProtocol"]),
        tests("Routing", ["TupleCore", "WireProtocol"]),
        tests("Calling", ["TupleCore", "WireProtocol"]),
        tests("Simulation", ["Journal", "Replication", "Routing", "TupleCore", "TupleStore", "WireProtocol"]),
        tests("Runtime", ["Journal", "TupleCore", "WireProtocol"]),
        tests("Client"),
        tests("Benchmark", ["TupleCore", "WireProtocol"]),
        .testTarget(name: "TidyTests", swiftSettings: house),
    ]
)
