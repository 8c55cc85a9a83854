import TupleCore
import WireProtocol

/// What the clients of a run are like.
package struct WorkloadPlan: Hashable, Sendable {
    package var clients: Int
    /// Requests of one client on their way at once.
    package var depth: Int
    package var keys: Int
    /// Whether lists and patterns take in several keys at once.
    package var spansKeys: Bool
    /// Between two requests of a client, on average.
    package var pause: Duration
    package var timeout: Duration
}

/// Clients that make random requests; everything asked and told becomes a history.
final class Workload {
    private unowned let world: World
    private let plan: WorkloadPlan
    private var random: SeededRandom
    private var clients: [Client] = []
    private var lastValue: UInt32 = 0
    private var lastSession: UInt64 = 1_000
    private(set) var history: [Operation] = []
    /// What is asked and has no answer yet, by its place in the history.
    private(set) var open = 0
    /// Updates, and when they were sent first.
    private(set) var updates: [Inquiries.Asked] = []
    /// Whether an update has ended unknown since ``forgetLost()``: it may still be carried out.
    private(set) var hasLost = false
    /// Whether an update is on its way, or has ended so.
    var hasDoubt: Bool { open > 0 || hasLost }
    func forgetLost() { hasLost = false }
    private var isStopped = false

    private final class Client {
        let caller: Caller
        let number: Int
        let session: UInt64
        /// Places in the history, by sequence.
        var asked: [UInt64: Int] = [:]
        var isGone = false
        init(_ caller: Caller, session: UInt64, number: Int) {
            self.caller = caller
            self.session = session
            self.number = number
        }
    }

    init(_ world: World, _ plan: WorkloadPlan, seed: UInt64) {
        self.world = world
        self.plan = plan
        random = SeededRandom(seed: seed, purpose: 2)
    }

    func start() { for _ in 0..<plan.clients { hire() } }

    /// No more requests are made.
    func stop() { isStopped = true }

    private func hire() {
        lastSession += 1
        let caller = Caller(world, session: lastSession, timeout: plan.timeout)
        let client = Client(caller, session: lastSession, number: clients.count)
        client.caller.onAnswer = { [unowned self, unowned client] in answered(client, $0, $1) }
        clients.append(client)
        next(client)
    }

    /// One client's process ends, another one comes.
    func dismiss(_ choice: Int, silently: Bool) {
        let present = clients.filter { !$0.isGone }
        let client = present[choice % present.count]
        client.isGone = true
        world.tell("client \(client.number) leaves")
        open -= client.asked.count
        hasLost = true
        client.caller.leave(silently: silently)
        hire()
    }

    private func next(_ client: Client) {
        let pause = plan.pause.wholeNanoseconds
        let wait = Int64(random.below(Int(2 * pause)))
        world.after(.nanoseconds(wait)) { [weak self] in
            guard let self, !isStopped, !client.isGone else { return }
            // Now and then as many at once as it may have on their way: what comes together is carried out together.
            let burst = random.once(in: 8) ? plan.depth : 1
            for _ in 0..<burst where client.asked.count < plan.depth { ask(client, randomKind()) }
            next(client)
        }
    }

    // MARK: Asking

    private func randomKind() -> Operation.Kind {
        switch random.below(10) {
        case 0...3: .put(randomItems())
        case 4, 5: .post(randomItems())
        case 6, 7: .delete(randomMask())
        default: .get(randomMask())
        }
    }

    private func randomItems() -> [Operation.Item] {
        let count = plan.spansKeys && random.once(in: 3) ? 2 + random.below(2) : 1
        return (0..<count).map { _ in
            lastValue += 1
            return Operation.Item(random.below(plan.keys), lastValue)
        }
    }

    private func randomMask() -> UInt8 {
        guard plan.spansKeys, random.once(in: 4) else { return 1 << UInt8(random.below(plan.keys)) }
        return random.once(in: 2) ? 0x0F : 0xFF
    }

    /// Asks for everything, as a client of its own; the last word on what there is.
    func askForAll() {
        lastSession += 1
        let caller = Caller(world, session: lastSession, timeout: .seconds(20))
        let client = Client(caller, session: lastSession, number: clients.count)
        client.caller.onAnswer = { [unowned self, unowned client] in answered(client, $0, $1) }
        clients.append(client)
        ask(client, .get(0xFF))
    }

    private func ask(_ client: Client, _ kind: Operation.Kind) {
        let place = history.count
        history.append(
            Operation(client: client.number, kind, .unknown, from: world.now.nanoseconds, to: .max))
        open += 1
        let sequence = client.caller.submit(Workload.request(kind))
        client.asked[sequence.number] = place
        if !history[place].changesNothing {
            updates.append(.init(session: client.session, sequence: sequence.number, at: world.now.nanoseconds))
        }
        world.tell("client \(client.number) asks \(sequence.number): \(history[place].asked)")
    }

    static func request(_ kind: Operation.Kind) -> Request {
        switch kind {
        case .get(let mask): Request(operatorName: "GET", payload: expression(mask))
        case .delete(let mask): Request(operatorName: "DELETE", payload: expression(mask))
        case .put(let items): Request(operatorName: "PUT", payload: .list(items.map(term)))
        case .post(let items): Request(operatorName: "POST", payload: .list(items.map(term)))
        }
    }

    private static func expression(_ mask: UInt8) -> Term {
        let keys =
            switch mask {
            case 0xFF: ".*"
            case 0x0F: "k,[0-3]"
            default: "k,\(mask.trailingZeroBitCount)"
            }
        return .list([.string(keys), .string(".*")])
    }

    private static func term(_ item: Operation.Item) -> Term {
        .list([.list([.string("k"), .string("\(item.key)")]), .list([.string("\(item.value)")])])
    }

    // MARK: Answers

    private func answered(_ client: Client, _ sequence: RequestSequence, _ answer: Answer) {
        guard let place = client.asked.removeValue(forKey: sequence.number) else {
            world.violate("client \(client.number) has an answer to what it did not ask (\(sequence.number))")
            return
        }
        open -= 1
        history[place].returned = world.now.nanoseconds
        history[place].ending = ending(answer, to: history[place].kind)
        if history[place].ending == .unknown { hasLost = true }
        world.tell("client \(client.number) is told \(sequence.number): \(history[place].told)")
    }

    private func ending(_ answer: Answer, to kind: Operation.Kind) -> Operation.Ending {
        switch answer.status {
        case .unavailable: return .notDone
        case .unknown: return .unknown
        case .ok: break
        case .malformed, .notImplemented, .tooCostly, .tooLarge, .refused:
            world.violate("a client was answered \(answer.status.name): \(answer.message)")
            return .unknown
        }
        switch kind {
        case .get, .delete:
            var pairs = SpaceVector()
            for pair in answer.pairs {
                guard let key = Workload.number(pair.key.elements.last), key < 8,
                    let value = Workload.number(pair.value.elements.first)
                else {
                    world.violate("a client was given a pair that nobody put")
                    return .unknown
                }
                if pairs[key] != 0 { world.violate("a client was given one key twice") }
                pairs[key] = UInt32(value)
            }
            return .pairs(pairs)
        case .put(let items), .post(let items):
            var places: UInt64 = 0
            var rest = answer.rejected[...]
            for (place, item) in items.enumerated() where rest.first?.item == Workload.term(item) {
                places |= 1 << UInt64(place)
                rest.removeFirst()
            }
            if !rest.isEmpty { world.violate("a client was given back what it did not send") }
            return .rejected(places)
        }
    }

    private static func number(_ element: [UInt8]?) -> Int? {
        element.flatMap { Int(String(decoding: $0, as: UTF8.self)) }
    }
}
