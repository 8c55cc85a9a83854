import TupleCore
import WireProtocol

/// A connection of an operator: one command is on its way at a time, the next ones wait.
struct OperatorState: Sendable {
    var since: Instant
    var greeted = false
    /// The command that is being carried out.
    var present: RequestSequence?
    var isPaused = false
    /// Frames that came before the connection was paused.
    var waiting = FIFO<Frame>()
}

extension Router {
    mutating func connected(_ link: OperatorLink) {
        guard operators.count < RouterSettings.maximumOperators else {
            let message =
                "\(RouterSettings.maximumOperators) operators are connected, the limit is \(RouterSettings.maximumOperators)"
            act(.sendToOperator(link, Refused(message: message).frame))
            act(.closeOperator(link))
            return
        }
        operators[link] = OperatorState(since: now)
    }

    mutating func closed(_ link: OperatorLink) { operators[link] = nil }

    mutating func receive(_ frame: Frame, from link: OperatorLink) {
        guard let state = operators[link] else { return }
        switch frame.type {
        case .hello where !state.greeted:
            guard let version = (try? Hello(frame.payload))?.commonVersion else {
                dismiss(link, "the hello names no protocol version that is spoken here; \(Header.version) is")
                return
            }
            operators[link]?.greeted = true
            act(.sendToOperator(link, Router.welcome(version).frame))
        case .operatorRequest where state.greeted:
            guard state.waiting.count < RouterSettings.waitingOperatorCommands else {
                dismiss(link, "more than \(RouterSettings.waitingOperatorCommands) commands wait")
                return
            }
            operators[link]?.waiting.append(frame.detached)
            goOn(link)
        default: dismiss(link, "an operator may not send a frame of type \(frame.type) here")
        }
    }

    private mutating func dismiss(_ link: OperatorLink, _ message: String) {
        act(.sendToOperator(link, Refused(message: message).frame))
        act(.closeOperator(link))
        operators[link] = nil
    }

    /// Carries out an operator's next commands, as far as it is their turn; else it is not read from.
    private mutating func goOn(_ link: OperatorLink) {
        while operators[link]?.present == nil, commandsThisTick < RouterSettings.operatorCommandsPerTick,
            let frame = operators[link]?.waiting.popFirst()
        {
            operators[link]?.present = frame.header.sequence
            begin(frame, link)
        }
        guard let state = operators[link] else { return }
        let isPaused = state.present != nil || !state.waiting.isEmpty
        guard isPaused != state.isPaused else { return }
        operators[link]?.isPaused = isPaused
        act(.pauseOperator(link, isPaused))
    }

    private mutating func begin(_ frame: Frame, _ link: OperatorLink) {
        guard let request = try? OperatorRequest(frame.payload) else {
            reply(link, frame.header.sequence, OperatorReply(status: .malformed, message: "unreadable request"))
            return
        }
        if request.command != "status" { commandsThisTick += 1 }
        carryOut(request, link, frame.header.sequence)
    }

    /// The end of a command.
    private mutating func reply(_ link: OperatorLink, _ sequence: RequestSequence, _ reply: OperatorReply) {
        act(.sendToOperator(link, reply.frame(sequence: sequence)))
        if operators[link]?.present == sequence { operators[link]?.present = nil }
    }

    /// The end of a command that has taken a while.
    mutating func finish(_ link: OperatorLink, _ sequence: RequestSequence, _ reply: OperatorReply) {
        self.reply(link, sequence, reply)
        goOn(link)
    }

    private mutating func carryOut(_ request: OperatorRequest, _ link: OperatorLink, _ sequence: RequestSequence) {
        switch request.command {
        case "status": askStatus(.link(link, sequence))
        case "shutdown": beginShutdown(asker: (link, sequence))
        case "switchover": switchOver(request.argument, link, sequence)
        case "resync": resync(request.argument, link, sequence)
        default:
            reply(
                link, sequence,
                OperatorReply(
                    status: .notImplemented,
                    message:
                        "command '\(request.command)' is not implemented; status, shutdown, switchover and resync are"))
        }
    }

    private mutating func switchOver(_ argument: Term, _ link: OperatorLink, _ sequence: RequestSequence) {
        let target = argument.text("to")
        if let target, NodeID(target) == nil {
            reply(link, sequence, OperatorReply(status: .malformed, message: "'\(target)' is no server's name"))
            return
        }
        let failure = switchOver(
            to: target.flatMap { NodeID($0) }, acceptDataLoss: argument.member("acceptDataLoss") == .boolean(true))
        reply(
            link, sequence,
            failure.map { OperatorReply(status: .unavailable, message: $0) } ?? OperatorReply())
    }

    private mutating func resync(_ argument: Term, _ link: OperatorLink, _ sequence: RequestSequence) {
        let wanted = argument.text("server")
        let targets = servers.filter { _, server in
            guard let name = server.name, name != record?.active else { return false }
            return wanted == nil || wanted == name.name
        }
        guard !targets.isEmpty else {
            reply(
                link, sequence,
                OperatorReply(status: .unavailable, message: "no passive server \(wanted ?? "") is registered"))
            return
        }
        for target in targets.keys.sorted() { act(.sendToServer(target, Frame(Header(.resync)))) }
        reply(link, sequence, OperatorReply())
    }

    mutating func tickOperators() {
        for (link, state) in operators.sorted(by: { $0.key.number < $1.key.number }) where !state.greeted {
            if now.duration(since: state.since) > RouterSettings.greetingTime {
                dismiss(link, "no hello came in time")
            }
        }
        settleStatus()
        putStatusQuestion()
        commandsThisTick = 0
        for link in operators.keys.sorted(by: { $0.number < $1.number }) { goOn(link) }
        guard let shutdown else { return }
        if shutdown.isEnding != nil {
            goOnEnding()
        } else if now >= shutdown.deadline {
            finishShutdown(isComplete: false)
        }
    }

    // MARK: Shutdown

    private mutating func beginShutdown(asker: (OperatorLink, RequestSequence)?) {
        guard shutdown == nil else {
            if let asker { reply(asker.0, asker.1, OperatorReply(message: "already shutting down")) }
            return
        }
        log(.info, "shutdown", [.init("by", asker == nil ? "signal" : "operator")])
        shutdown = Shutdown(deadline: now.advanced(by: RouterSettings.shutdownTime), asker: asker)
        act(.stopListening)
        if let route { act(.sendToServer(route, Frame(Header(.shutdown)))) }
        shutdownProgress()
    }

    /// The process alone ends; the servers go on without it and wait for it to return.
    mutating func beginTermination() {
        guard shutdown == nil else { return }
        log(.info, "terminated")
        shutdown = Shutdown(deadline: now, asker: nil)
        act(.stopListening)
        act(.finish)
    }

    mutating func activeIsGoing(_ link: ServerLink) {
        guard link == route else { return }
        shutdown?.activeIsGoing = true
        routeLost(isLoss: false)
        shutdownProgress()
    }

    /// Once the active server has given its last answers, the others are stopped, and all is over when all are gone.
    mutating func shutdownProgress() {
        guard shutdown != nil, route == nil else { return }
        for link in servers.keys.sorted() where servers[link]?.name != nil {
            act(.sendToServer(link, Frame(Header(.stop))))
        }
        if !servers.values.contains(where: { $0.name != nil }) { finishShutdown(isComplete: true) }
    }

    private mutating func finishShutdown(isComplete: Bool) {
        guard shutdown != nil, shutdown?.isEnding == nil else { return }
        shutdown?.isEnding = isComplete
        goOnEnding()
    }

    /// Tells clients that it is over, then the operator; then the process ends.
    private mutating func goOnEnding() {
        guard let shutdown, let isComplete = shutdown.isEnding, giveUpSome() else { return }
        if let (link, sequence) = shutdown.asker {
            let late = servers.values.compactMap(\.name).sorted().map(\.name).joined(separator: ", ")
            reply(
                link, sequence,
                isComplete
                    ? OperatorReply()
                    : OperatorReply(status: .unknown, message: "these servers did not end in time: \(late)"))
            act(.closeOperator(link))
        }
        self.shutdown?.deadline = Instant(nanoseconds: .max)
        self.shutdown?.asker = nil
        self.shutdown?.isEnding = nil
        act(.finish)
    }
}

extension Term {
    func member(_ name: String) -> Term? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.elementsEqual(name.utf8) }?.value
    }

    func text(_ name: String) -> String? {
        guard case .string(let bytes)? = member(name) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Term.Member {
    init(_ name: String, _ value: Term) { self.init(name: [UInt8](name.utf8), value: value) }
}
