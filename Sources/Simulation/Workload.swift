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
    private let scale: ScalePlan?
    private let filler: String
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
        /// It makes one request, and leaves.
        let isVisitor: Bool
        var isGone = false
        init(_ caller: Caller, session: UInt64, number: Int, isVisitor: Bool) {
            self.caller = caller
            self.session = session
            self.number = number
            self.isVisitor = isVisitor
        }
    }

    init(_ world: World, _ plan: WorkloadPlan, scale: ScalePlan?, seed: UInt64) {
        self.world = world
        self.plan = plan
        self.scale = scale
        filler = String(repeating: "f", count: scale?.valueBytes ?? 0)
        random = SeededRandom(seed: seed, purpose: 2)
    }

    /// - Parameter milliseconds: how long requests are going to be made.
    func start(milliseconds: Int) {
        for _ in 0..<plan.clients { hire() }
        for _ in 0..<(scale?.visitors ?? 0) {
            world.after(.milliseconds(random.below(max(1, milliseconds)))) { [weak self] in self?.receiveVisitor() }
        }
    }

    private func receiveVisitor() {
        guard !isStopped else { return }
        ask(client(timeout: plan.timeout, isVisitor: true), randomKind())
    }

    /// No more requests are made.
    func stop() { isStopped = true }

    private func hire() { next(client(timeout: plan.timeout)) }

    private func client(timeout: Duration, isVisitor: Bool = false) -> Client {
        lastSession += 1
        let caller = Caller(world, session: lastSession, timeout: timeout)
        let client = Client(caller, session: lastSession, number: clients.count, isVisitor: isVisitor)
        caller.onAnswer = { [unowned self, unowned client] in answered(client, $0, $1) }
        clients.append(client)
        return client
    }

    /// One client's process ends, another one comes.
    func dismiss(_ choice: Int, silently: Bool) {
        let present = clients.filter { !$0.isGone && !$0.isVisitor }
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
    func askForAll() { ask(client(timeout: .seconds(20)), .get(0xFF)) }

    private func ask(_ client: Client, _ kind: Operation.Kind) {
        let place = history.count
        history.append(
            Operation(client: client.number, kind, .unknown, from: world.now.nanoseconds, to: .max))
        open += 1
        let sequence = client.caller.submit(request(kind))
        client.asked[sequence.number] = place
        if !history[place].changesNothing {
            updates.append(.init(session: client.session, sequence: sequence.number, at: world.now.nanoseconds))
        }
        world.tell("client \(client.number) asks \(sequence.number): \(history[place].asked)")
    }

    private func request(_ kind: Operation.Kind) -> Request {
        switch kind {
        case .get(let mask): Request(operatorName: "GET", payload: Workload.expression(mask))
        case .delete(let mask): Request(operatorName: "DELETE", payload: Workload.expression(mask))
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

    private func term(_ item: Operation.Item) -> Term {
        let value = [Term.string("\(item.value)")] + (filler.isEmpty ? [] : [.string(filler)])
        return .list([.list([.string("k"), .string("\(item.key)")]), .list(value)])
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
        guard client.isVisitor else { return }
        client.isGone = true
        client.caller.leave(silently: random.once(in: 2))
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
            for (place, item) in items.enumerated() where rest.first?.item == term(item) {
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
