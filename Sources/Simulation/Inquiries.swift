import TupleCore
import WireProtocol

/// Clients that come once, update something and leave, so that older sessions are forgotten; and one client that asks what
/// became of what was asked, with true ages. It must never be told that something was not done which was.
final class Inquiries {
    private unowned let world: World
    private let workload: Workload
    private let plan: SessionPlan?
    private var random: SeededRandom
    private let asker: Caller
    private var passers: [Caller] = []
    private var lastSession: UInt64 = 500_000
    private var isStopped = false
    /// Questions that have no answer yet, by their numbers.
    private var questions: [UInt64: Question] = [:]
    private var openUpdates = 0
    /// What passers-by have asked for.
    private var asked: [Asked] = []
    /// How many passers-by had come when a moment began in which a request had no certain end.
    private var passersAtDoubt: Int?
    private var doubtUntil: Int64 = 0

    private(set) var questionCount = 0
    private(set) var notDoneCount = 0

    /// An update, and when it was sent first.
    struct Asked {
        var session: UInt64
        var sequence: UInt64
        var at: Int64
    }

    private struct Question {
        var key: Watch.RequestKey
        var at: Int64
    }

    private static let timeout = Duration.seconds(6)
    private static let longOutcomes = 8
    /// What a request that ended unknown may still take to be carried out.
    private static let lateness: Int64 = 15_000_000_000

    init(_ world: World, _ workload: Workload, _ plan: SessionPlan?, seed: UInt64) {
        self.world = world
        self.workload = workload
        self.plan = plan
        random = SeededRandom(seed: seed, purpose: 10)
        asker = Caller(world, session: 499_999, timeout: Inquiries.timeout)
        asker.onAnswer = { [unowned self] in told($0.number, $1) }
    }

    /// What has no answer yet.
    var open: Int { questions.count + openUpdates }

    func start() {
        askOn()
        if plan != nil { passOn() }
    }

    func stop() { isStopped = true }

    // MARK: Those who come once

    private func passOn() {
        let pause = Int(plan?.pause.wholeNanoseconds ?? 0)
        world.after(.nanoseconds(Int64(random.below(max(1, 2 * pause))))) { [weak self] in
            guard let self, !isStopped else { return }
            if mayPass { pass() }
            passOn()
        }
    }

    /// Whether none is pushed out of the memory whose request may still be sent again: that is no promise of the service,
    /// which remembers many more. So many may come meanwhile as are remembered, but for those who stay.
    private var mayPass: Bool {
        let now = world.now.nanoseconds
        if workload.hasDoubt || openUpdates > 0 {
            doubtUntil = max(doubtUntil, now + (workload.hasLost ? Inquiries.lateness : 0))
        }
        workload.forgetLost()
        if now > doubtUntil, !workload.hasDoubt, openUpdates == 0 {
            passersAtDoubt = nil
            return true
        }
        let before = passersAtDoubt ?? passers.count
        passersAtDoubt = before
        return passers.count - before < (plan?.sessions ?? 0) - (plan?.forgottenAtOnce ?? 0) - 8
    }

    private func pass() {
        lastSession += 1
        let session = lastSession
        let passer = Caller(world, session: session, timeout: Inquiries.timeout)
        passers.append(passer)
        let isLong = plan.map { $0.longOneIn > 0 && random.once(in: $0.longOneIn) } ?? false
        var left = isLong ? Inquiries.longOutcomes : 1
        openUpdates += left
        passer.onAnswer = { [unowned self, unowned passer] _, answer in
            left -= 1
            openUpdates -= 1
            check(answer)
            if answer.status == .unknown { doubtUntil = world.now.nanoseconds + Inquiries.lateness }
            if left == 0 { passer.leave(silently: false) }
        }
        let item = Term.string([UInt8](repeating: 0x78, count: isLong ? 12_000 : 40))
        for _ in 0..<left {
            let sequence = passer.submit(Request(operatorName: "PUT", payload: .list([item])))
            asked.append(Asked(session: session, sequence: sequence.number, at: world.now.nanoseconds))
        }
    }

    private func check(_ answer: Answer) {
        switch answer.status {
        case .ok:
            if answer.rejected.map(\.reason) != [.malformed] {
                world.violate("a passer-by was not given back its item")
            }
        case .tooLarge, .unavailable, .unknown: break
        case .malformed, .notImplemented, .tooCostly, .refused:
            world.violate("a passer-by was answered \(answer.status.name): \(answer.message)")
        }
    }

    // MARK: The one who asks

    private func askOn() {
        world.after(.milliseconds(20 + random.below(200))) { [weak self] in
            guard let self, !isStopped else { return }
            ask()
            askOn()
        }
    }

    /// Asks about a few, old ones and new ones.
    func ask() {
        let known = workload.updates
        for _ in 0..<3 {
            let count = known.count + asked.count
            guard count > 0, questions.count < 8 else { return }
            let choice = random.below(count)
            let chosen = choice < known.count ? known[choice] : asked[choice - known.count]
            // Rounded up, and as it is when the question's own time is over; to be told that it is older does no harm, and
            // some do not say.
            let age = UInt64(
                (world.now.nanoseconds - chosen.at) / 1_000_000 + 1 + Inquiries.timeout.wholeMilliseconds)
            let told = random.once(in: 6) ? nil : random.once(in: 4) ? age + UInt64(random.below(5_000)) : age
            let operation = OperationID(
                session: SessionID(chosen.session), sequence: RequestSequence(chosen.sequence))
            let sequence = asker.submit(OutcomeQuestion(operation: operation, ageMilliseconds: told).request)
            questionCount += 1
            questions[sequence.number] = Question(
                key: Watch.RequestKey(session: chosen.session, sequence: chosen.sequence), at: world.now.nanoseconds)
        }
    }

    private func told(_ sequence: UInt64, _ answer: Answer) {
        guard let question = questions.removeValue(forKey: sequence) else {
            world.violate("an answer came to no question")
            return
        }
        guard answer.status == .unavailable, answer.warning == OutcomeQuestion.notDone else { return }
        notDoneCount += 1
        if world.watch.wasDone(question.key, before: question.at, world) {
            world.violate("\(question.key.story) is said not to have been carried out, and was")
        }
    }
}
