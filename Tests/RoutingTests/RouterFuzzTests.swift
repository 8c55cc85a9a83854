import Routing
import TestSupport
import Testing
import TupleCore
import WireProtocol

/// Random and damaged frames on the servers' and the operators' port: nothing traps, and what must hold holds.
@Suite struct RouterFuzzTests {
    /// Runs of some eighty events each; `TWINSPACE_FUZZ_RUNS` sets how many.
    @Test func noFrameStopsTheProxy() {
        var random = SeededRandom()
        for _ in 0..<(setting("TWINSPACE_FUZZ_RUNS") ?? 150) {
            var run = FuzzedRouter(SeededRandom(seed: random.next()))
            run.go(events: 80)
        }
    }
}

private struct FuzzedRouter {
    var random: SeededRandom
    var proxy: RouterFixture
    private var servers: [UInt64] = []
    private var lastLink: UInt64 = 0
    private var isConnected = false

    init(_ seeded: SeededRandom) {
        random = seeded
        proxy = RouterFixture(record: nil)
        if random.once(in: 2) { proxy = RouterFixture(record: random.switchRecord(isValid: true)) }
    }

    mutating func go(events: Int) {
        let seed = random.seed
        for _ in 0..<events where !proxy.isFinished {
            step()
            let broken = proxy.router.checkInvariants() + (proxy.router.record?.invalidField.map { [$0] } ?? [])
            #expect(broken == [], "seed \(seed)")
            if !broken.isEmpty { return }
        }
        #expect(proxy.persisted.allSatisfy { $0.invalidField == nil }, "seed \(seed)")
    }

    private mutating func step() {
        switch random.below(12) {
        case 0, 1:
            lastLink += 1
            servers.append(lastLink)
            proxy.happen(.serverConnected(ServerLink(lastLink)))
            send(random.registration().frame, as: lastLink)
        case 2:
            guard !servers.isEmpty else { return }
            let number = servers.remove(at: random.below(servers.count))
            proxy.happen(.serverClosed(ServerLink(number)))
        case 3: proxy.pass(.milliseconds(10 + random.below(400)))
        case 4:
            let console = OperatorLink(UInt64(random.below(3)))
            if random.once(in: 3) { proxy.happen(.operatorConnected(console)) }
            let command = ["status", "switchover", "shutdown", "resync", "", "?"][random.below(6)]
            let request = OperatorRequest(command: command, argument: random.once(in: 2) ? .null : .list([.null]))
            let frame =
                random.once(in: 4) ? Hello(agent: "x").frame : request.frame(sequence: RequestSequence(random.number()))
            proxy.happen(.operatorFrame(console, random.damaged(frame)))
        case 5:
            if !isConnected { proxy.connect(900) }
            isConnected = true
            proxy.ask(900, random.number())
        default:
            guard !servers.isEmpty else { return }
            send(random.serverFrame(), as: servers[random.below(servers.count)])
        }
    }

    private mutating func send(_ frame: Frame, as number: UInt64) {
        proxy.happen(.serverFrame(ServerLink(number), random.once(in: 4) ? random.damaged(frame) : frame))
    }
}

extension SeededRandom {
    /// Small ones, so that they meet, and those at the ends.
    fileprivate mutating func number() -> UInt64 {
        switch below(8) {
        case 0: next()
        case 1: UInt64.max - UInt64(below(3))
        case 2: Limits.maximumNumber - UInt64(below(3))
        default: UInt64(below(6))
        }
    }

    fileprivate mutating func name() -> NodeID { server(["a", "b", "c"][below(3)]) }

    fileprivate mutating func switchRecord(isValid: Bool) -> SwitchRecord {
        while true {
            let active = name()
            var inSync = (0..<below(4)).map { _ in name() }
            if isValid { inSync = Set(inSync + [active]).sorted() }
            var record = SwitchRecord(
                cluster: ClusterID(once(in: 8) ? number() : 9), epoch: Epoch(number()), version: number(),
                active: active,
                inSync: inSync, rule: .alphanumeric)
            for _ in 0..<below(3) { record.incarnations[name()] = lineage().incarnation }
            if !isValid || record.invalidField == nil { return record }
        }
    }

    fileprivate mutating func lineage() -> Lineage {
        Lineage(
            incarnation: Incarnation(directory: number(), starts: max(1, number()), life: number()),
            earlierLives: (0..<below(4)).map { _ in number() })
    }

    fileprivate mutating func registration() -> Register {
        Register(
            name: name(), address: once(in: 6) ? "0.0.0.0:1" : "x:1", rule: .alphanumeric,
            activeEpoch: Epoch(once(in: 2) ? 0 : number()),
            position: LogPosition(epoch: Epoch(number()), index: LogIndex(number())),
            record: once(in: 3) ? nil : switchRecord(isValid: !once(in: 6)), holdsCopy: !once(in: 4),
            lineage: once(in: 4) ? nil : lineage())
    }

    fileprivate mutating func serverFrame() -> Frame {
        let sequence = RequestSequence(number())
        switch below(10) {
        case 0:
            return ProxyHeartbeat(timeout: .milliseconds(number() & 0xFFFF_FFFF), commit: LogIndex(number()))
                .frame(epoch: Epoch(number()), sequence: sequence)
        case 1, 2: return SwitchRequest.takeOver(epoch: Epoch(number()), reason: "x").frame(sequence: sequence)
        case 3, 4:
            let set = (0..<below(4)).map { _ in name() }
            return SwitchRequest.changeInSync(epoch: Epoch(number()), version: number(), inSync: set)
                .frame(sequence: sequence)
        case 5: return registration().frame
        case 6: return Frame(Header(.probeReply, sequence: sequence, epoch: Epoch(number())))
        case 7: return Frame(Header(.holding))
        case 8: return Answer().payloadBytes.withResponse(sequence, Epoch(number()))
        default:
            let types = FrameType.allCases
            return Frame(
                Header(types[below(types.count)], sequence: sequence, epoch: Epoch(number())), payload: bytes(below(40))
            )
        }
    }

    /// With some bytes of its payload changed, lost or added.
    fileprivate mutating func damaged(_ frame: Frame) -> Frame {
        var payload = [UInt8](frame.payload)
        switch below(4) {
        case 0: payload = bytes(below(60))
        case 1: payload = Array(payload.prefix(below(payload.count + 1)))
        case 2: payload += bytes(1 + below(9))
        default:
            for _ in 0...below(3) where !payload.isEmpty { payload[below(payload.count)] = UInt8(below(256)) }
        }
        return Frame(frame.header, payload: payload)
    }
}

extension [UInt8] {
    fileprivate func withResponse(_ sequence: RequestSequence, _ epoch: Epoch) -> Frame {
        let header = Header(
            .response, flags: [.first], session: SessionID(5), sequence: sequence, epoch: epoch,
            connection: ConnectionIndicator(900))
        return Frame(header, payload: self)
    }
}
