import Journal
import Replication
import Routing
import TupleCore
import TupleStore
import WireProtocol

@testable import Simulation

/// A small suite whose disks are what a test is about, and a client that knows what was acknowledged.
final class DiskScene {
    let world: World
    private var caller: Caller
    private var answers: [RequestSequence: Answer] = [:]
    /// What the space has to hold: all that was acknowledged.
    private(set) var expected: [String: String] = [:]

    init(
        seed: UInt64, _ names: [String] = ["a", "b"], weather: Weather = .fair, disk: DiskSettings = DiskSettings(),
        imported: [Pair] = [], adjust: (inout ReplicaSettings) -> Void = { _ in }
    ) {
        world = World(seed: seed, weather: weather)
        for name in names {
            guard let id = NodeID(name) else { preconditionFailure("\(name) is no server's name") }
            var settings = ReplicaSettings(
                name: id, address: "\(name):1", rule: .alphanumeric, heartbeatInterval: .milliseconds(100),
                heartbeatMisses: 4, resync: .auto, imported: imported)
            adjust(&settings)
            world.add(name, settings, disk: disk)
        }
        caller = Caller(world, session: 4_711, timeout: .seconds(60))
        caller.onAnswer = { [unowned self] in answers[$0] = $1 }
        world.proxy.start()
        for server in world.servers {
            server.start()
            run(.milliseconds(400))
        }
        precondition(isRedundant, situation)
    }

    var situation: String {
        let roles = world.servers.map { "\($0.machine) \($0.role) \($0.state)" }
        return "\(world.proxy.durable?.story ?? "no record") \(roles)"
    }

    var isRedundant: Bool {
        world.proxy.router?.isServing == true
            && world.proxy.durable?.inSync.count == world.servers.count(where: \.isUp)
            && world.servers.allSatisfy { !$0.isUp || ["serving", "following"].contains($0.state) }
    }

    var active: ServerHost? { world.servers.first { $0.role == "active" } }

    func run(_ duration: Duration) { world.run(until: world.now.advanced(by: duration)) }

    /// - Returns: whether it came to be so.
    func run(atMost limit: Duration = .seconds(30), until condition: () -> Bool) -> Bool {
        let end = world.now.advanced(by: limit)
        while !condition() {
            guard world.now < end, !world.watch.isViolated else { return false }
            run(.milliseconds(10))
        }
        return true
    }

    // MARK: Requests

    /// Sends a PUT and waits for nothing.
    func begin(_ key: String, _ value: String) -> RequestSequence {
        let pair = Term.list([.list([.string(key)]), .list([.string(value)])])
        return caller.submit(Request(operatorName: "PUT", payload: .list([pair])))
    }

    func isAnswered(_ sequence: RequestSequence) -> Bool { answers[sequence] != nil }

    func ask(_ name: String, _ payload: Term, atMost limit: Duration = .seconds(30)) -> Answer? {
        let sequence = caller.submit(Request(operatorName: name, payload: payload))
        _ = run(atMost: limit) { answers[sequence] != nil }
        return answers[sequence]
    }

    /// POST where the key is there, else PUT.
    @discardableResult
    func write(_ key: String, _ value: String, atMost limit: Duration = .seconds(30)) -> Answer? {
        let pair = Term.list([.list([.string(key)]), .list([.string(value)])])
        let answer = ask(expected[key] == nil ? "PUT" : "POST", .list([pair]), atMost: limit)
        if answer?.status == .ok { expected[key] = value }
        return answer
    }

    func read(_ key: String) -> Answer? { ask("GET", .list([.string(key), .string(".*")])) }

    // MARK: What is there

    func told(_ words: String, since: Int = 0) -> Bool { world.story[since...].contains { $0.hasPrefix(words) } }

    /// What a server holds of that which was acknowledged.
    func differences(on server: ServerHost) -> [String] {
        guard let space = server.replica?.state.space else { return ["\(server.machine) does not run"] }
        var found: [String: String] = [:]
        space.forEachPair { pair in
            found[DiskScene.text(pair.key)] = DiskScene.text(pair.value)
            return true
        }
        return Set(found.keys).union(expected.keys).sorted().filter { found[$0] != expected[$0] }
    }

    private static func text(_ tuple: Tuple) -> String {
        tuple.elements.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",")
    }
}

/// A failed expectation prints what it looked at: a whole world, which takes minutes.
extension DiskScene: CustomReflectable {
    var customMirror: Mirror { Mirror(self, children: ["situation": situation]) }
}
