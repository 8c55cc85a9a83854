import Replication
import TupleCore
import TupleStore
import WireProtocol

/// What copies are like, and who may be promoted with his.
extension Watch {
    /// Copies at the same entry are the same, with what they remember of the sessions.
    func noteCopy(_ state: ReplicatedState, _ server: String) {
        guard !expectsDivergence, state.position != .zero, lastNoted[server] != state.position else { return }
        lastNoted[server] = state.position
        let sessions = state.sessionsFingerprint
        guard let known = copies[state.position] else {
            copies[state.position] = (state.space.digest, sessions, server)
            return
        }
        if known.digest != state.space.digest {
            violate("the copies of \(known.server) and \(server) differ at entry \(state.position.story)")
        }
        if known.sessions != sessions {
            violate("the sessions of \(known.server) and \(server) differ at entry \(state.position.story)")
        }
    }

    /// Whoever may be promoted has a copy, and all that was acknowledged durably in it.
    func checkCopy(of name: NodeID, _ what: String, _ record: SwitchRecord, _ world: World) {
        guard let host = world.server(named: name), !host.isStale, !isLostUnheard(host) else { return }
        guard !host.isSpoiled else {
            return violate("\(name) \(what), and has no copy that may serve (\(record.story))")
        }
        let lost = acknowledged.filter { !holds(host.durable, $0.value) }.keys.min()
        if let lost { violate("\(name) \(what), and does not hold \(lost.story) (\(record.story))") }
    }

    /// The disk was lost or damaged, and the proxy cannot know so yet.
    func isLostUnheard(_ host: ServerHost) -> Bool {
        host.isSpoiled && registered[host.machine] != host.life
    }

    /// The word of a server's present process is heard by the proxy, or is not taken.
    func registers(_ host: ServerHost, isTaken: Bool = true) { registered[host.machine] = isTaken ? host.life : nil }

    func proxyStarted() { registered = [:] }

    /// The active server asks the switch for another set: whom it adds has to be noted on its disk before.
    func asking(_ frame: Frame, _ host: ServerHost) {
        guard case .changeInSync(_, _, let wanted)? = try? SwitchRequest(frame) else {
            return violate("\(host.machine) asks for a set in a frame that cannot be read")
        }
        for member in wanted where host.remembered?.inSync.contains(member) != true {
            violate("\(host.machine) asks for \(member) before it has noted it on its disk")
        }
    }
}

extension ReplicatedState {
    /// Of all that is remembered of the sessions, but for their order: that is by last use to within a second alone, and
    /// only the active server goes by it.
    fileprivate var sessionsFingerprint: UInt64 {
        var print = SeededRandom.mix(UInt64(bitPattern: time))
        switch sessions.horizon {
        case .unknown: break
        case .nothingForgotten: print &+= 1
        case .upTo(let time): print &+= SeededRandom.mix(UInt64(bitPattern: time) &+ 2)
        }
        print &+= UInt64(sessions.count)
        var next = sessions.session(after: nil)
        while let id = next {
            if let session = sessions[id] { print &+= session.fingerprint(id) }
            next = sessions.session(after: id)
        }
        return print
    }
}

extension Sessions.Session {
    fileprivate func fingerprint(_ id: SessionID) -> UInt64 {
        var print = SeededRandom.mix(id.number)
        func take(_ number: UInt64) { print = SeededRandom.mix(print &+ 0x9E37_79B9_7F4A_7C15 ^ number) }
        take(UInt64(bitPattern: lastUsed))
        take(lowWater.number)
        for sequence in outcomes.sequences {
            // Of a long outcome its length, and both ends: each value begins with a number of its own.
            let outcome = outcomes[sequence] ?? []
            take(sequence.number)
            take(UInt64(outcome.count))
            for byte in outcome.prefix(64) { take(UInt64(byte)) }
            for byte in outcome.suffix(64) { take(UInt64(byte)) }
        }
        return print
    }
}
