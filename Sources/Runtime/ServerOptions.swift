package import Journal
package import Replication
package import TupleCore

/// The flags of `twinspace-server`, and what they mean.
package struct ServerOptions: Sendable {
    package var name: NodeID
    package var proxy: Address
    package var listen: Address
    package var advertise: Address?
    package var data: String
    package var heartbeatInterval: Duration
    package var heartbeatMisses: Int
    package var sync: SyncPolicy
    package var scrubInterval: Duration
    package var resync: ReplicaSettings.Resync
    package var importFile: String?
    package var exportFile: String?
    package var spawnsPassive: Bool
    package var fenceCommand: String?
    package var rule: ElementRule
    package var busyPolling: Duration
    /// What keys and values may take, in bytes; nil for what the memory allows.
    package var maximumSpaceBytes: Int?

    /// So much of the memory may the space take, in percent, where nothing is said: pages are not quite full, and a
    /// snapshot keeps what is changed meanwhile.
    static let spacePercent = 40

    static let program = "twinspace-server"
    static let intervalSync = Duration.milliseconds(1_000)

    static let specification = OptionsSpecification(
        program: program, version: Release.version,
        usage: "--name NAME --proxy ADDR --listen ADDR --data DIR [OPTION]…",
        summary:
            "One copy of the tuple space. It registers with the proxy: the first server becomes the active one, the others follow it, and one of them takes over when it fails.",
        groups: [
            OptionsSpecification.Group(
                "Server",
                [
                    Option(
                        "name", .text(placeholder: "NAME"), isRequired: true,
                        help: "The server's own name; no two may have the same."),
                    Option(
                        "proxy", .address(), default: "127.0.0.1:7401",
                        variables: ["TWINSPACE_SERVER_PROXY", "TWINSPACE_PROXY"],
                        help:
                            "The proxy's address for servers. Its variable is TWINSPACE_SERVER_PROXY, since to clients "
                            + "TWINSPACE_PROXY is another port; where that is missing, TWINSPACE_PROXY."),
                    Option(
                        "listen", .address(), default: "127.0.0.1:0",
                        help: "Where other servers connect to this one; port 0 takes any free one."),
                    Option(
                        "advertise", .address(),
                        help:
                            "The address that others are told, where it is another than --listen; without it, a server that listens on all addresses tells the one that it reaches the proxy from."
                    ),
                    Option(
                        "data", .text(placeholder: "DIR"), isRequired: true,
                        help: "The directory of this copy; created where it is missing, used by one server alone."),
                    Option(
                        "elements", .choice(["alphanumeric", "text"]), default: "alphanumeric",
                        help: "Which strings may be elements. It belongs to the space and cannot be changed later."),
                    Option(
                        "max-space", .size(1_048_576...(1 << 60)),
                        help:
                            "How large the space may become; updates that make it larger are refused. Default: 40 % of the memory of the machine or the control group."
                    ),
                    Daemon.busyPoll,
                ]),
            OptionsSpecification.Group(
                "Safety",
                [
                    Option(
                        "sync", .choice(["always", "interval", "never"]), default: "always",
                        help:
                            "When the journal is made durable: before each answer, once a second, or when the system pleases."
                    ),
                    Option(
                        "scrub-interval", .duration(.milliseconds(100)...Duration.seconds(86_400)), default: "600s",
                        help: "How long journal and snapshots are left alone before they are read and checked again."),
                    Option(
                        "heartbeat-interval", .duration(.milliseconds(5)...Duration.seconds(60)), default: "40ms",
                        help: "How often servers tell each other that they live."),
                    Option(
                        "heartbeat-misses", .integer(1...1_000), default: "4",
                        help: "How many heartbeats in a row may be missed before a server counts as lost."),
                    Option(
                        "resync", .choice(["auto", "manual"]), default: "auto",
                        help: "Whether a failed server that returns resynchronises by itself or on 'twinspace resync'."),
                    Option(
                        "fence-command", .text(placeholder: "CMD"),
                        help:
                            "Run by /bin/sh after a takeover, with TWINSPACE_FENCE_SERVER, _ADDRESS and _EPOCH naming the deposed server."
                    ),
                    Option(
                        "spawn-passive", .toggle,
                        help: "While active, start a passive server on this machine where there is none."),
                ]),
            OptionsSpecification.Group(
                "Files",
                [
                    Option(
                        "import", .text(placeholder: "FILE"),
                        help: "Begin a new space with the pairs of FILE, one JSON array [KEY, VALUE] a line."),
                    Option(
                        "export-on-shutdown", .text(placeholder: "FILE"),
                        help: "Write all pairs to FILE when the server is shut down."),
                ]),
            Daemon.logOptions,
        ],
        example: "twinspace-server --name a --proxy 127.0.0.1:7401 --listen 127.0.0.1:7411 --data ./a")

    init(_ values: OptionValues) throws(OptionsError) {
        guard let name = NodeID(values.text("name")) else {
            throw OptionsError(
                program: ServerOptions.program,
                problem:
                    "--name '\(values.text("name"))' is no server's name: 1 to \(Limits.maximumNodeNameBytes) of the characters a-z A-Z 0-9 . _ -"
            )
        }
        self.name = name
        proxy = values.address("proxy")
        listen = values.address("listen")
        advertise = values.addressIfAny("advertise")
        data = values.text("data")
        heartbeatInterval = values.duration("heartbeat-interval")
        heartbeatMisses = values.integer("heartbeat-misses")
        sync =
            switch values.text("sync") {
            case "interval": .interval(ServerOptions.intervalSync)
            case "never": .never
            default: .always
            }
        scrubInterval = values.duration("scrub-interval")
        resync = values.text("resync") == "manual" ? .manual : .auto
        importFile = values.textIfAny("import")
        exportFile = values.textIfAny("export-on-shutdown")
        spawnsPassive = values.isOn("spawn-passive")
        fenceCommand = values.textIfAny("fence-command")
        rule = ElementRule(name: values.text("elements")) ?? .alphanumeric
        busyPolling = values.duration("busy-poll")
        maximumSpaceBytes = values.sizeIfAny("max-space")
    }
}
