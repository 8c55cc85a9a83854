import Runtime
import TupleCore

/// What kind of load, and for how long.
struct LoadSettings {
    /// When the next requests are sent.
    enum Pace: Equatable {
        /// When all answers of the batch are there, the next batch, as pipelining clients do.
        case batches
        /// For each answer at once one more.
        case sliding
        /// At fixed times, so many requests a second over all connections, however long answers take; latencies count
        /// from the time that was planned.
        case rate(Int)
    }

    var proxy: Address
    var connections: Int
    /// Requests in flight on each connection, at most.
    var depth: Int
    var pace: Pace
    var mix: LoadMix
    var keys: KeySpace
    /// Index of the first fresh key: what runs before have used up.
    var firstKey: UInt64
    var keyBytes: Int
    var valueBytes: Int
    /// Of each request: as many pairs of a PUT's or POST's list, or that a GET or DELETE finds.
    var pairs: Int
    var warmup: Duration
    var length: Duration
    /// Ends the run when so many requests have been answered; nil where time alone ends it.
    var operations: UInt64?
    var seed: UInt64

    static let specification = OptionsSpecification(
        program: "twinspace-bench load", version: Release.version, usage: "[OPTION]…",
        summary: "Sends requests over many connections, and tells rate, latencies, errors and the longest pause.",
        groups: [
            OptionsSpecification.Group(
                "Load",
                [
                    Option("proxy", .address(), default: "127.0.0.1:7400", help: "The proxy's address for clients."),
                    Option(
                        "connections", .integer(1...10_000), default: "50",
                        help: "Connections; each is a client with a session of its own."),
                    Option(
                        "depth", .integer(1...1_024), default: "1",
                        help: "Requests in flight on each connection, at most."),
                    Option(
                        "refill", .choice(["batch", "sliding"]), default: "batch",
                        help: "Send the next requests when all are answered, or one for each answer."),
                    Option(
                        "rate", .integer(1...100_000_000),
                        help: "Requests a second over all connections, at fixed times, instead of refilling."),
                    Option(
                        "mix", .text(placeholder: "MIX"), default: "put=1",
                        help: "Operators and weights, such as put=1,get=8,post=2,delete=1."),
                ]),
            OptionsSpecification.Group(
                "Keys and values",
                [
                    Option(
                        "keys", .integer(1...4_000_000_000), default: "1000000000",
                        help: "How many keys there are. PUT takes fresh ones in random order, the others take any."),
                    Option(
                        "first-key", .integer(0...4_000_000_000_000), default: "0",
                        help: "How many fresh keys are used up already: 'nextKey' of the run before."),
                    Option("key-bytes", .integer(2...1_024), default: "16", help: "Bytes of a key, one element."),
                    Option("value-bytes", .integer(2...65_535), default: "16", help: "Bytes of a value, one element."),
                    Option(
                        "pairs", .choice(["1", "10", "100", "1000"]), default: "1",
                        help:
                            "Pairs in a list of PUT and POST, and that a GET or DELETE finds where all keys are there."),
                ]),
            OptionsSpecification.Group(
                "Run",
                [
                    Option("seconds", .text(placeholder: "S"), default: "10", help: "How long is measured."),
                    Option("warmup", .text(placeholder: "S"), default: "1", help: "How long is not, before that."),
                    Option(
                        "operations", .integer(1...4_000_000_000),
                        help: "Ends after so many requests, all of them measured, however long that takes."),
                    Option("seed", .integer(1...Int.max), help: "Of all that is drawn; at random where not given."),
                    Option("json", .toggle, help: "Print one JSON object, all times in it in microseconds or seconds."),
                ]),
        ],
        example: """
            twinspace-bench load --connections 50 --depth 16 --seconds 10
            twinspace-bench load --mix put=1,get=9 --keys 100000 --rate 20000
            """)

    init(_ values: OptionValues, drawingSeed draw: () throws(SystemError) -> UInt64) throws(OptionsError) {
        proxy = values.address("proxy")
        connections = values.integer("connections")
        depth = values.integer("depth")
        if let rate = values.integerIfAny("rate") {
            pace = .rate(rate)
        } else {
            pace = values.text("refill") == "sliding" ? .sliding : .batches
        }
        do throws(LoadMixError) {
            mix = try LoadMix(parsing: values.text("mix"))
        } catch {
            throw LoadSettings.problem("--mix: \(error)")
        }
        keys = KeySpace(count: UInt64(values.integer("keys")))
        firstKey = UInt64(values.integer("first-key"))
        keyBytes = values.integer("key-bytes")
        valueBytes = values.integer("value-bytes")
        pairs = Int(values.text("pairs")) ?? 1
        guard keys.count.isMultiple(of: UInt64(pairs)) else {
            throw LoadSettings.problem("--keys \(keys.count) is no multiple of --pairs \(pairs)")
        }
        let requestBytes = pairs * (keyBytes + valueBytes + 32) + 128
        guard requestBytes <= Limits.maximumPayloadBytes else {
            throw LoadSettings.problem("\(pairs) pairs of that size are more than one request takes")
        }
        let digits = String(keys.count - 1).utf8.count
        guard keyBytes > digits else {
            throw LoadSettings.problem(
                "--key-bytes \(keyBytes) cannot hold \(keys.count) different keys: give it \(digits + 1), or fewer --keys"
            )
        }
        operations = values.integerIfAny("operations").map { UInt64($0) }
        length = try LoadSettings.seconds(values, "seconds", 0.05...864_000)
        warmup = operations == nil ? try LoadSettings.seconds(values, "warmup", 0...3_600) : .zero
        let buffered = connections * depth * requestBytes
        guard buffered <= 1 << 30 else {
            throw LoadSettings.problem(
                "\(connections) connections with \(depth) requests of that size in flight would take \(buffered) bytes; "
                    + "1 GiB is the limit")
        }
        if let given = values.integerIfAny("seed") {
            seed = UInt64(given)
        } else {
            do throws(SystemError) { seed = try draw() | 1 } catch { throw LoadSettings.problem("\(error)") }
        }
    }

    private static func seconds(
        _ values: OptionValues, _ name: String, _ range: ClosedRange<Double>
    ) throws(OptionsError) -> Duration {
        let text = values.text(name)
        guard let seconds = Double(text), range.contains(seconds) else {
            throw problem(
                "--\(name): '\(text)' is no number of seconds from \(range.lowerBound) to \(range.upperBound)")
        }
        return .nanoseconds(Int64(seconds * 1e9))
    }

    private static func problem(_ text: String) -> OptionsError {
        OptionsError(program: specification.program, problem: text)
    }
}
