import Replication
import Routing
import TupleCore
import TupleStore
import WireProtocol

/// Looks on, and knows what must hold at every moment. It sees what no client can see: who has which entry, and where.
package final class Watch {
    /// What must never be and was.
    package private(set) var violations: [String] = []
    package var isViolated: Bool { !violations.isEmpty }

    /// The entries of an epoch, as they were first made.
    private struct EpochLog {
        var server: String
        /// The entry before the epoch's first.
        var base: LogPosition
        var prints: [UInt64] = []
    }

    /// A request, by session and sequence.
    struct RequestKey: Hashable {
        var session: UInt64
        var sequence: UInt64
        init(_ header: Header) {
            session = header.session.number
            sequence = header.sequence.number
        }
        init(session: UInt64, sequence: UInt64) {
            self.session = session
            self.sequence = sequence
        }
    }

    private var logs: [UInt64: EpochLog] = [:]
    /// Where a request stands in the log; in several places where a tail was thrown away.
    private var places: [RequestKey: [LogPosition]] = [:]
    /// When the entry of an update was made.
    private var loggedAt: [LogPosition: Int64] = [:]
    /// The logged times of entries.
    private var times: [LogPosition: Int64] = [:]
    /// The first entry's time, and when it was made.
    private var founding: (time: Int64, at: Instant)?
    /// Sessions that entries have forgotten: how many, and which where.
    private(set) var forgotten = 0
    private var forgettings: [UInt64: [LogPosition]] = [:]
    /// A request came again after its session was forgotten, and took effect again, as it may: the history does not tell.
    private(set) var hasRepeats = false
    /// Where a value was written: each is written by one request.
    private var writings: [Tuple: [LogPosition]] = [:]
    /// What the copies at an entry are, by the first server that had it; and what was looked at last of each server.
    var copies: [LogPosition: (digest: Digest, sessions: UInt64, server: String)] = [:]
    var lastNoted: [String: LogPosition] = [:]
    /// The servers whose present process has registered with the present proxy: what that one knows of them is their own
    /// word.
    var registered: [String: Int] = [:]
    /// Who answered in each epoch, and who has taken it: was granted it, and knows so durably. What is granted and never
    /// taken may be forgotten, and granted anew: a server acts on nothing that it has not remembered.
    package private(set) var answeredIn: [UInt64: Set<String>] = [:]
    private var taken: [UInt64: NodeID] = [:]
    private var sentToServers: Set<RequestKey> = []
    /// What the server that requests were passed to last has of them, and for whom.
    private var route: ServerLink?
    private var inFlight: [RequestKey: ConnectionIndicator] = [:]
    /// Requests that were given up since servers died of them.
    package private(set) var suspects = 0
    /// Updates that were answered `ok`.
    private(set) var acknowledged: [RequestKey: LogPosition] = [:]
    /// Requests of which the proxy said that they were not carried out.
    private var refused: Set<RequestKey> = []
    /// Response frames that reached the proxy.
    package private(set) var responses = 0
    /// Entries that several requests made together.
    private(set) var groups = 0
    /// Copies were made to differ on purpose.
    package var expectsDivergence = false

    func violate(_ what: String) {
        if violations.count < 20 { violations.append(what) }
    }

    // MARK: The log

    /// A server's log goes on with these entries after `previous`.
    func appended(_ entries: [JournalEntry], after previous: LogPosition, by server: String, at now: Instant) {
        var previous = previous
        for entry in entries {
            let position = entry.position
            let fingerprint = Watch.fingerprint(entry.bytes)
            if logs[position.epoch.number] == nil {
                logs[position.epoch.number] = EpochLog(server: server, base: previous)
            }
            guard let log = logs[position.epoch.number] else { return }
            let offset = Int(position.index.number) - Int(log.base.index.number) - 1
            if offset == log.prints.count {
                logs[position.epoch.number]?.prints.append(fingerprint)
                note(entry, after: previous, at: now)
            } else if offset < 0 || offset > log.prints.count {
                violate("\(server) has entry \(position.story) out of its place")
            } else if log.prints[offset] != fingerprint {
                violate("there are two different entries \(position.story); one is \(server)'s")
            }
            if position.index == log.base.index.next, previous != log.base {
                violate(
                    "epoch \(position.epoch.number) begins after \(previous.story) on \(server), elsewhere differently")
            }
            previous = position
        }
    }

    /// Logged time runs neither backwards nor faster than any clock does.
    private func noteTime(_ entry: LogEntry, after previous: LogPosition, at now: Instant) {
        times[entry.position] = entry.time
        if let before = times[previous], entry.time < before {
            violate("entry \(entry.position.story) is \(before - entry.time) ms older than the one before")
        }
        // What nobody has but the first founder was never acknowledged: another one may found anew.
        guard let founding, previous != .zero else {
            founding = (entry.time, now)
            return
        }
        let passed = now.duration(since: founding.at).wholeMilliseconds
        let most = passed + passed * Int64(ClockPlan.mostDrift) / 1_000_000 + 2
        if entry.time - founding.time > most {
            violate(
                "entry \(entry.position.story) is of \(entry.time - founding.time) ms after the founding, \(passed) ms have passed"
            )
        }
    }

    private func note(_ entry: JournalEntry, after previous: LogPosition, at now: Instant) {
        guard let decoded = try? LogEntry(decoding: entry.bytes) else {
            violate("entry \(entry.position.story) cannot be decoded")
            return
        }
        noteTime(decoded, after: previous, at: now)
        if case .sessionsForgotten(let forgotten) = decoded.body {
            self.forgotten += forgotten.sessions.count
            for session in forgotten.sessions { forgettings[session.number, default: []].append(entry.position) }
        }
        let requests: [(session: SessionID, sequence: RequestSequence)] =
            switch decoded.body {
            case .epochBegun, .sessionsForgotten: []
            case .update(let update): [(update.session, update.sequence)]
            case .pairs(let updates):
                updates.map { ($0.session, $0.sequence) }
            }
        for value in Watch.values(decoded) { writings[value, default: []].append(entry.position) }
        if requests.count > 1 { groups += 1 }
        for request in requests where request.session != .none {
            let key = RequestKey(session: request.session.number, sequence: request.sequence.number)
            places[key, default: []].append(entry.position)
            loggedAt[entry.position] = loggedAt[entry.position] ?? now.nanoseconds
        }
    }

    private static func values(_ entry: LogEntry) -> [Tuple] {
        switch entry.body {
        case .epochBegun, .sessionsForgotten: []
        case .update(let update):
            update.effects.compactMap { effect in
                switch effect {
                case .added(let pair), .replaced(let pair): pair.value
                case .removed: nil
                }
            }
        case .pairs(let updates): updates.map(\.pair.value)
        }
    }

    private static func fingerprint(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    /// Whether a request was written down before a moment, in an entry that is the log's still. One that was thrown away
    /// does not count: the request may have been carried out anew since.
    func wasDone(_ key: RequestKey, before moment: Int64, _ world: World) -> Bool {
        guard let places = places[key], let record = world.proxy.router?.record,
            let place = present(places, record, world), let logged = loggedAt[place]
        else { return false }
        return logged < moment
    }

    /// Whether a log that ends with `end` has the entry at `position`.
    func holds(_ end: LogPosition, _ position: LogPosition) -> Bool {
        if position == .zero { return true }
        var end = end
        while end.epoch > position.epoch {
            guard let log = logs[end.epoch.number] else { return false }
            end = log.base
        }
        return end.epoch == position.epoch && position.index <= end.index
    }

    // MARK: Disks

    func switchRecovered(_ record: SwitchRecord?, _ durable: SwitchRecord?) {
        guard let durable else { return }
        if record == nil || record!.version < durable.version {
            violate("the switch went back from version \(durable.version) to \(record?.version ?? 0)")
        }
    }

    // MARK: The switch

    func switched(to record: SwitchRecord, from before: SwitchRecord?, _ world: World) {
        if let before, before.cluster == record.cluster, record.version <= before.version {
            violate("the switch went back from version \(before.version) to \(record.version)")
        }
        if let other = taken[record.epoch.number], other != record.active {
            violate("epoch \(record.epoch.number) was taken by \(other), and granted to \(record.active)")
        }
        guard let before, before.cluster == record.cluster else { return }
        if record.epoch != before.epoch { checkCopy(of: record.active, "is made active", record, world) }
        for member in record.inSync where !before.inSync.contains(member) {
            checkCopy(of: member, "is taken into the set", record, world)
        }
    }

    /// A server has remembered a record durably.
    func remembered(_ record: SwitchRecord, by server: NodeID) {
        guard record.active == server else { return }
        if let other = taken[record.epoch.number], other != server {
            violate("epoch \(record.epoch.number) was taken by \(other) and by \(server)")
        }
        taken[record.epoch.number] = server
    }

    /// The proxy says that a member brings less than it held.
    func calledStale(_ server: String, _ world: World) {
        guard let name = NodeID(server), let host = world.server(named: name) else { return }
        if !host.isStale, !host.isDamaged, !host.hasLostTail, !host.isOnForeignDirectory {
            violate("\(server) is said to stand on an older copy, and stands on its own")
        }
    }

    // MARK: Answers

    /// A response of a server has reached the proxy.
    func answered(_ frame: Frame, by host: ServerHost) {
        let epoch = frame.header.epoch.number
        responses += 1
        if answeredIn[epoch]?.contains(host.machine) == true { return }
        answeredIn[epoch, default: []].insert(host.machine)
        if answeredIn[epoch, default: []].count > 1 { violate("epoch \(epoch) was answered in by two servers") }
    }

    /// A server confirms to the active one what it holds: that is on its disk.
    func confirming(_ frame: Frame, _ host: ServerHost) {
        guard let reply = try? AppendReply(frame.payload) else {
            violate("\(host.machine) confirms what cannot be read")
            return
        }
        if reply.durable > host.durable.index {
            violate("\(host.machine) confirms entry \(reply.durable.number), and holds \(host.durable.story)")
        }
    }

    func forwarded(_ frame: Frame, to link: ServerLink) {
        let key = RequestKey(frame.header)
        sentToServers.insert(key)
        if link != route {
            route = link
            inFlight = [:]
        }
        inFlight[key] = frame.header.connection
    }

    /// A client has the end of an answer, or a part of it.
    func settled(_ frame: Frame) {
        if !frame.header.flags.contains(.more) { inFlight[RequestKey(frame.header)] = nil }
    }

    func left(_ client: ConnectionIndicator) { inFlight = inFlight.filter { $0.value != client } }

    /// A request is not sent again: for that it must have been the only one at the server that was lost.
    private func givenUp(_ key: RequestKey, _ frame: Frame) {
        guard (try? Answer(decoding: frame.payload))?.message.hasPrefix(Router.givenUpAsSuspect) == true else { return }
        suspects += 1
        if Set(inFlight.keys) != [key] {
            violate("\(key.story) is given up for the loss of a server that had \(inFlight.count) requests")
        }
    }

    /// The proxy gives a client its answer: what was answered `ok`, and what an answer shows, is on the disk of every server
    /// that may be promoted.
    func answering(_ frame: Frame, _ router: Router, _ world: World) {
        guard frame.header.flags.contains(.first) else { return }
        guard let byte = frame.payload.first, let status = Status(rawValue: byte) else {
            violate("an answer cannot be decoded")
            return
        }
        let key = RequestKey(frame.header)
        switch status {
        case .ok:
            acknowledge(key, router, world)
            show(frame, key, router, world)
        case .unknown:
            if !sentToServers.contains(key) {
                violate("\(key.story) is said to be unknown, and was never sent to a server")
            }
            givenUp(key, frame)
        case .unavailable:
            refused.insert(key)
            givenUp(key, frame)
        case .malformed, .notImplemented, .tooCostly, .tooLarge, .refused: break
        }
    }

    private func acknowledge(_ key: RequestKey, _ router: Router, _ world: World) {
        guard let places = places[key], let record = router.record,
            let position = present(places, record, world)
        else { return }
        acknowledged[key] = position
        for member in lacking(position, record, world) {
            violate("\(key.story) was answered, and \(member) does not hold it (\(record.story))")
        }
    }

    /// The first part of a long answer is no whole one; those that the simulation asks for are short.
    private func show(_ frame: Frame, _ key: RequestKey, _ router: Router, _ world: World) {
        guard let record = router.record, !frame.header.flags.contains(.more) else { return }
        guard let answer = try? Answer(decoding: frame.payload) else {
            violate("the answer to \(key.story) cannot be decoded")
            return
        }
        for pair in answer.pairs {
            guard let places = writings[pair.value], let position = present(places, record, world) else { continue }
            for member in lacking(position, record, world) {
                violate(
                    "\(key.story) was shown entry \(position.story), and \(member) does not hold it (\(record.story))")
            }
        }
    }

    /// The place among these that is in the active server's log. Nil where there is none: a server that is not active any
    /// more may have been reset since.
    private func present(_ places: [LogPosition], _ record: SwitchRecord, _ world: World) -> LogPosition? {
        guard let replica = world.server(named: record.active)?.replica else { return nil }
        return places.last { holds(replica.state.position, $0) }
    }

    /// The servers that may be promoted and do not hold this entry durably.
    private func lacking(_ position: LogPosition, _ record: SwitchRecord, _ world: World) -> [NodeID] {
        record.inSync.filter { member in
            guard let host = world.server(named: member), !host.isStale, !isLostUnheard(host) else { return false }
            return !holds(host.durable, position)
        }
    }

    // MARK: Inside

    func check(_ broken: [String], _ who: String) {
        for what in broken { violate("\(who): \(what)") }
    }

    // MARK: The end

    /// Everything that was acknowledged is in the log that ends here, once; what was refused is not.
    func checkFinal(_ end: LogPosition) {
        for (key, position) in acknowledged.sorted(by: { $0.key < $1.key }) where !holds(end, position) {
            violate("\(key.story) was answered ok, and its entry \(position.story) is lost")
        }
        for (key, positions) in places.sorted(by: { $0.key < $1.key }) {
            let final = positions.filter { holds(end, $0) }
            // What comes again after its session was forgotten is a new request (G5).
            let forgettings = (forgettings[key.session] ?? []).filter { holds(end, $0) }
            for (one, next) in zip(final, final.dropFirst()) {
                if forgettings.contains(where: { one.index < $0.index && $0.index < next.index }) {
                    hasRepeats = true
                } else {
                    violate("\(key.story) took effect \(final.count) times")
                }
            }
            if !final.isEmpty, refused.contains(key), acknowledged[key] == nil {
                late.insert(key)
            }
        }
    }

    /// Requests that were refused by the proxy on one connection, and carried out nevertheless.
    private(set) var late: Set<RequestKey> = []
}

extension Watch.RequestKey: Comparable {
    static func < (a: Self, b: Self) -> Bool { (a.session, a.sequence) < (b.session, b.sequence) }
    var story: String { "session \(session) request \(sequence)" }
}

extension LogPosition {
    var story: String { "\(epoch.number)/\(index.number)" }
}
