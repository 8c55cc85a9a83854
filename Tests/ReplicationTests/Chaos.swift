import TestSupport
import Replication
import Routing
import TupleCore
import TupleStore
import WireProtocol

/// A run of the wire under random faults and load, and what is checked of it.
///
/// Every client works on keys of its own, one after another in a fixed pattern, so the answer to each request is known
/// beforehand: an acknowledged PUT that was lost, or an effect that came twice, gives another answer.
struct Chaos {
    let seed: UInt64
    let wire: Wire
    private var random: SeededRandom
    private var loads: [Load] = []
    private var troubles: [String] = []
    /// When each server that is down or frozen is to be up again.
    private var repairs: [String: Instant] = [:]
    private var proxyRepair: Instant?
    private var cutRepair: Instant?
    /// The one server of which the disk was replaced, until it is in sync again.
    private var wiped: String?

    /// What one client does, and what it must be told.
    private final class Load {
        let client: WireClient
        let key: String
        let isPipelined: Bool
        var round = 0
        /// By sequence, the only right answer.
        var expected: [UInt64: Answer] = [:]
        var checked: Set<UInt64> = []
        var lastTry: [UInt64: Instant] = [:]
        /// The value that the key has after all requests made so far.
        var value: String?
        var triedAt = Instant(nanoseconds: 0)

        init(_ client: WireClient, key: String, isPipelined: Bool) {
            self.client = client
            self.key = key
            self.isPipelined = isPipelined
        }
    }

    init(seed: UInt64) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        let names = Array(["a", "b", "c"].prefix(random.once(in: 3) ? 3 : 2))
        wire = Wire(names)
        for name in names { wire.start(name) }
        wire.run(.ms(50))
    }

    /// - Returns: what went wrong; empty where nothing did.
    mutating func run(steps: Int = 400) -> [String] {
        for number in 0..<3 {
            let client = WireClient(wire, session: UInt64(1_000 + number))
            loads.append(Load(client, key: "k\(number)", isPipelined: random.once(in: 2)))
        }
        for _ in 0..<steps {
            fault()
            repairWhatIsDue()
            work()
            for _ in 0..<random.below(24) { if !wire.stir(&random) { break } }
            wire.now = wire.now.advanced(by: .milliseconds(1 + random.below(random.once(in: 10) ? 120 : 8)))
            wire.tick()
            checkAnswers()
            if !wire.violations.isEmpty || !troubles.isEmpty { break }
        }
        if wire.violations.isEmpty, troubles.isEmpty { quiesce() }
        return wire.violations + troubles
    }

    // MARK: Load

    private mutating func work() {
        for load in loads {
            let client = load.client
            if !client.isOpen || (!client.unanswered.isEmpty && random.once(in: 150)) {
                guard wire.router != nil, wire.now >= load.triedAt else { continue }
                // A new connection; everything unanswered is asked again, in its order.
                load.triedAt = wire.now.advanced(by: .milliseconds(50))
                client.connect()
                for sequence in client.unanswered { client.transmit(sequence) }
            } else if client.unanswered.count < (load.isPipelined ? 6 : 1), random.once(in: 2) {
                make(load)
            }
        }
    }

    private mutating func make(_ load: Load) {
        load.round += 1
        let key = Wire.tuple(load.key)
        func pair(_ value: String) -> Pair { Pair(key: key, value: Wire.tuple(value)) }
        func item(_ value: String) -> Term { .pair(load.key, value) }
        let value = "v\(load.round)"
        var answer = Answer()
        let sequence: UInt64
        switch random.below(load.isPipelined ? 4 : 5) {
        case 0, 1:
            sequence = load.client.put(load.key, value)
            if load.value == nil {
                load.value = value
            } else {
                answer.rejected = [.init(item: item(value), reason: .exists)]
            }
        case 2:
            sequence = load.client.post(load.key, value)
            if load.value == nil {
                answer.rejected = [.init(item: item(value), reason: .absent)]
            } else {
                load.value = value
            }
        case 3:
            sequence = load.client.delete(load.key)
            if let old = load.value { answer.pairs = [pair(old)] }
            load.value = nil
        default:
            sequence = load.client.get(load.key)
            if let old = load.value { answer.pairs = [pair(old)] }
        }
        load.expected[sequence] = answer
    }

    private mutating func checkAnswers() {
        for load in loads {
            for sequence in load.client.answers.keys.sorted() where !load.checked.contains(sequence) {
                guard let answer = load.client.answers[sequence], let expected = load.expected[sequence] else {
                    continue
                }
                switch answer.status {
                case .unknown, .unavailable:
                    // Nobody knows, or not done: asked again under the same sequence it comes out right.
                    load.client.retry(sequence)
                    wire.story.append("client \(load.key) retries \(sequence): \(answer.status.name)")
                case .ok, .malformed, .notImplemented, .tooCostly, .tooLarge, .refused:
                    load.checked.insert(sequence)
                    if answer != expected {
                        let name = load.client.requests[sequence]?.operatorName ?? ""
                        troubles.append("\(load.key): \(name) \(sequence) was answered \(answer), not \(expected)")
                    }
                }
            }
        }
    }

    // MARK: Faults

    private mutating func fault() {
        if let name = wiped, wire.proxyDisk?.inSync.contains(nodeID(name)) == true,
            wire.nodes[name]?.disk.isWiped == false
        {
            wiped = nil
        }
        guard random.once(in: 12) else { return }
        let name = wire.names[random.below(wire.names.count)]
        let node = wire.node(name)
        switch random.below(12) {
        case 0, 1, 2:
            guard node.replica != nil, repairs[name] == nil else { return }
            wire.crash(name, keeping: random.below(node.unsynced.count + 1))
            repairs[name] = later(3_000)
        case 3, 4:
            guard node.runs, repairs[name] == nil else { return }
            wire.freeze(name)
            repairs[name] = later(1_500)
        case 5, 6, 7:
            guard cutRepair == nil else { return }
            let places = wire.names + ["proxy"]
            let first = places[random.below(places.count)]
            let second = places[random.below(places.count)]
            guard first != second else { return }
            wire.cuts.insert(Cut(from: first, to: second))
            if random.once(in: 2) { wire.cuts.insert(Cut(from: second, to: first)) }
            cutRepair = later(2_500)
        case 8, 9:
            guard !wire.links.isEmpty else { return }
            wire.sever(wire.links[random.below(wire.links.count)], keeping: random.below(4))
        case 10:
            guard wire.router != nil else { return }
            wire.crashProxy()
            proxyRepair = later(1_000)
        default:
            node.isDiskHeld.toggle()
        }
    }

    /// A disk may be lost where another server that is in sync keeps its own, and no word of the lost one is on its way
    /// that might change who is.
    private func mayWipe(_ name: String) -> Bool {
        guard let record = wire.proxyDisk, !wire.links.contains(where: { $0.ports.contains { $0.node == name } }) else {
            return false
        }
        return record.inSync.contains { other in
            other.name != name && wire.nodes[other.name]?.disk.isWiped == false
        }
    }

    private mutating func later(_ milliseconds: Int) -> Instant {
        wire.now.advanced(by: .milliseconds(20 + random.below(milliseconds)))
    }

    private mutating func repairWhatIsDue() {
        for name in repairs.keys.sorted() {
            guard let at = repairs[name], wire.now >= at else { continue }
            repairs[name] = nil
            let node = wire.node(name)
            guard node.replica == nil else {
                wire.thaw(name)
                continue
            }
            if wiped == nil, random.once(in: 4), mayWipe(name) {
                wire.wipe(name)
                wiped = name
            }
            wire.start(name)
        }
        if let at = proxyRepair, wire.now >= at {
            proxyRepair = nil
            wire.startProxy()
        }
        if let at = cutRepair, wire.now >= at {
            cutRepair = nil
            wire.heal()
        }
    }

    // MARK: The end

    /// All faults are over: everybody gets an answer, and all copies become the same.
    private mutating func quiesce() {
        wire.heal()
        if wire.router == nil { wire.startProxy() }
        for name in wire.names {
            wire.thaw(name)
            wire.node(name).isDiskHeld = false
            if wire.node(name).replica == nil {
                if case .failed(let reason)? = wire.node(name).ended { troubles.append("\(name) failed: \(reason)") }
                wire.start(name)
            }
        }
        for _ in 0..<300 {
            for load in loads where !load.client.isOpen {
                load.client.connect()
                for sequence in load.client.unanswered { load.client.transmit(sequence) }
            }
            wire.run(.ms(100))
            checkAnswers()
            if isQuiet || !troubles.isEmpty || !wire.violations.isEmpty { break }
        }
        guard troubles.isEmpty, wire.violations.isEmpty else { return }
        guard isQuiet else {
            let roles = wire.names.map { "\($0) \(wire.node($0).role) \(wire.node($0).state)" }
            let open = loads.map { "\($0.key): \($0.client.unanswered)" }
            troubles.append("no peace: \(wire.record.story); \(roles); unanswered \(open)")
            return
        }
        let digests = Set(wire.names.compactMap { wire.node($0).replica?.state.space.digest })
        if digests.count != 1 { troubles.append("the copies differ") }
        for load in loads {
            for name in wire.names where wire.node(name).value(load.key) != load.value {
                let found = wire.node(name).value(load.key) ?? "nothing"
                troubles.append("\(load.key) is \(found) on \(name), not \(load.value ?? "nothing")")
            }
        }
    }

    private var isQuiet: Bool {
        guard let record = wire.router?.record, record.inSync.map(\.name) == wire.names else { return false }
        let positions = Set(wire.names.compactMap { wire.node($0).replica?.state.position })
        return positions.count == 1 && loads.allSatisfy { $0.client.unanswered.isEmpty }
    }
}
