import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// The active server decides what is forgotten, in entries of the log; whoever makes most loses first (G5, G10, G14).
@Suite struct ForgettingTests {
    private func sessions(_ wire: Wire, _ name: String = "a") -> Sessions {
        wire.node(name).replica?.state.sessions ?? Sessions()
    }

    private func client(_ wire: Wire, _ session: Int, from source: UInt32 = 0) -> WireClient {
        let client = wire.client(session: UInt64(session))
        if source != 0 { wire.sources[client.connection] = source }
        return client
    }

    private func update(_ wire: Wire, _ session: Int, from source: UInt32 = 0) {
        let client = client(wire, session, from: source)
        client.put("k\(session)", "1")
        wire.settle()
        client.disconnect()
        wire.settle()
    }

    @Test func idleSessionsAreForgottenOnAllCopiesByTheLogAlone() {
        let wire = Wire.running()
        for session in 1...5 { update(wire, session) }
        wire.now = wire.now.advanced(by: .seconds(599))
        wire.run(.ms(200))
        #expect(sessions(wire).count == 5)
        // The passive server does not hear that more time has passed.
        wire.cut("a", "b")
        let last = sessions(wire)[SessionID(5)]?.lastUsed
        wire.now = wire.now.advanced(by: .seconds(2))
        wire.tick()
        wire.settle()
        #expect(sessions(wire).count == 0)
        #expect(sessions(wire, "b").count == 5, "a copy forgets by no rule of its own")
        wire.heal()
        wire.run(.seconds(3))
        #expect(sessions(wire, "b") == sessions(wire))
        #expect(sessions(wire).horizon == last.map { .upTo($0) })
        #expect(wire.violations == [])
    }

    /// At most so many in one entry, so that no turn forgets everything.
    @Test func anEntryForgetsABoundedNumber() {
        let wire = Wire.running(maximumClients: 64) { $0.sessions.forgottenAtOnce = 3 }
        for session in 1...10 { update(wire, session) }
        wire.now = wire.now.advanced(by: .seconds(700))
        let index = wire.node("a").replica?.state.position.index.number ?? 0
        wire.tick()
        wire.settle()
        #expect(sessions(wire).count == 7)
        wire.run(.seconds(1))
        #expect(sessions(wire).count == 0)
        #expect(wire.node("a").replica?.state.position.index.number == index + 4)
    }

    @Test func tooManySessionsPushOutThoseOfTheSourceWithMost() {
        let wire = Wire.running(maximumClients: 64) { $0.sessions.sessions = 8 }
        for session in 1...3 { update(wire, session, from: 5) }
        for session in 100..<140 { update(wire, session, from: 6) }
        #expect(sessions(wire).count == 8)
        for session in 1...3 {
            #expect(sessions(wire)[SessionID(UInt64(session))] != nil, "the oldest of all, of another source")
        }
        #expect(sessions(wire)[SessionID(139)] != nil)
        #expect(sessions(wire)[SessionID(100)] == nil)
        wire.run(.ms(200))
        #expect(sessions(wire, "b") == sessions(wire))
    }

    /// After a takeover nobody knows the sources of older sessions: the least recently used go first.
    @Test func afterATakeoverTheLeastRecentlyUsedGoFirst() {
        let wire = Wire.running(maximumClients: 64) { $0.sessions.sessions = 8 }
        for session in 1...8 {
            update(wire, session, from: 5)
            wire.run(.ms(1_100))
        }
        wire.crash("a")
        wire.run(.seconds(2))
        for session in 9...12 { update(wire, session, from: 5) }
        #expect(sessions(wire, "b").count == 8)
        for session in 1...4 { #expect(sessions(wire, "b")[SessionID(UInt64(session))] == nil) }
        for session in 5...12 { #expect(sessions(wire, "b")[SessionID(UInt64(session))] != nil) }
    }

    @Test func whoOpensTooManySessionsAtOnceIsToldToReuseOne() {
        let wire = Wire.running(maximumClients: 64) {
            $0.sessions.newAtOnce = 5
            $0.sessions.newPerSecond = 10
        }
        for session in 1...5 { update(wire, session, from: 6) }
        let sixth = client(wire, 6, from: 6)
        let put = sixth.put("x", "1")
        let list = sixth.request("PUT", .list([.pair("y", "1"), .pair("z", "1")]))
        let get = sixth.get("k1")
        wire.settle()
        #expect(sixth.says(put) == "refused" && sixth.says(list) == "refused")
        #expect(sixth.answers[put]?.message.contains("use one session") == true)
        #expect(sixth.says(get) == "ok 1", "reads open no session")
        let known = client(wire, 5, from: 6)
        #expect(known.lastSequence == 0)
        known.post("k5", "2")
        let second = known.post("k5", "3")
        wire.settle()
        #expect(known.says(second) == "ok", "a session that is there goes on")
        update(wire, 7, from: 8)
        #expect(sessions(wire)[SessionID(7)] != nil, "another source has its own share")
        wire.run(.seconds(1))
        let later = sixth.put("x", "1")
        wire.settle()
        #expect(sixth.says(later) == "ok")
    }

    // MARK: Outcomes in bytes

    /// A PUT of one item that is given back: its outcome takes what the item takes.
    private func long(_ client: WireClient, _ bytes: Int) -> UInt64 {
        client.request("PUT", .list([.string([UInt8](repeating: 0x61, count: bytes))]))
    }

    @Test func theOutcomesOfASessionAreBoundedInBytes() {
        let wire = Wire.running { $0.sessions.outcomeBytesPerSession = 3_000 }
        let client = client(wire, 7)
        // The low-water mark stays behind a request that has no answer.
        wire.node("b").isDiskHeld = true
        let first = long(client, 1_000)
        let second = long(client, 1_000)
        let third = long(client, 1_000)
        let small = client.put("k", "1")
        wire.settle()
        wire.node("b").isDiskHeld = false
        wire.settle()
        #expect(client.says(first) == "malformed" && client.says(second) == "malformed")
        #expect(client.says(third) == "too-large")
        #expect(client.answers[third]?.message.contains("low-water mark") == true)
        #expect(client.says(small) == "ok", "a plain ok takes no bytes")
        #expect(sessions(wire)[SessionID(7)]?.outcomes.byteCount ?? .max <= 3_000)
        let again = long(client, 1_000)
        wire.settle()
        #expect(client.says(again) == "malformed", "the client has read the others")
        #expect(wire.violations == [])
    }

    @Test func allOutcomesTogetherAreBoundedAndIdleSessionsMakeRoom() {
        let wire = Wire.running(maximumClients: 64) { $0.sessions.outcomeBytes = 5_000 }
        for session in 1...4 { _ = long(client(wire, session), 1_000) }
        wire.settle()
        update(wire, 50)
        let fifth = client(wire, 5)
        let refused = long(fifth, 1_000)
        wire.settle()
        #expect(fifth.says(refused) == "unavailable", "nobody is idle")
        #expect(sessions(wire)[SessionID(5)] == nil)
        wire.now = wire.now.advanced(by: .seconds(61))
        wire.run(.ms(100))
        let taken = long(fifth, 1_000)
        wire.settle()
        #expect(fifth.says(taken) == "malformed")
        #expect(sessions(wire)[SessionID(1)] == nil, "the least recently used one went")
        for session in [2, 3, 4, 50] { #expect(sessions(wire)[SessionID(UInt64(session))] != nil) }
        #expect(sessions(wire).outcomeBytes <= 5_000)
        wire.run(.ms(200))
        #expect(sessions(wire, "b") == sessions(wire))
    }

    // MARK: Release 0.1

    /// What release 0.1 has forgotten nobody knows: the first entry of the first epoch of this release says so.
    @Test func theFirstEpochStatesHowFarBackIsKnown() {
        let wire = Wire.running()
        #expect(sessions(wire).horizon == .nothingForgotten)
        #expect(sessions(wire, "b").horizon == .nothingForgotten)
        update(wire, 7)
        wire.run(.seconds(1))
        wire.crash("a")
        wire.crash("b")
        let old = LogPosition(epoch: Epoch(1), index: LogIndex(9))
        for name in ["a", "b"] {
            var state = ReplicatedState(rule: .alphanumeric)
            state = ReplicatedState(space: state.space, sessions: Sessions(), position: old, time: 5_000)
            wire.node(name).disk.install(state)
            wire.start(name)
        }
        wire.run(.seconds(3))
        #expect(sessions(wire).horizon == .upTo(5_000))
        #expect(sessions(wire, "b").horizon == .upTo(5_000))
    }
}
