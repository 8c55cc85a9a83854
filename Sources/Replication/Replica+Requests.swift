import TupleCore
import TupleStore
import WireProtocol

/// How the active server carries out what clients ask for, and queues the answers.
extension Replica {
    /// Carries out requests that the proxy relays, and queues their answers. Updates of one pair each that follow each
    /// other become one entry of the log.
    mutating func serve(_ run: FrameRun) {
        run.forEachInPlace { frame in
            if gather(frame, of: run) { return true }
            carryOutGathered(of: run)
            // After a frame that ends the connection nothing counts any more.
            guard proxy != .down, !isFinished else { return false }
            receiveFromProxy(run.frame(at: frame.offset))
            return true
        }
        carryOutGathered(of: run)
    }

    private mutating func gather(_ frame: FrameInPlace, of run: FrameRun) -> Bool {
        let header = frame.header
        guard header.type == .request, let epoch = active?.epoch, header.epoch == epoch, header.connection != .none
        else { return false }
        let rule = state.space.rule
        if active?.gathered.add(header, frame.payload, offset: frame.offset, rule: rule) == true { return true }
        guard active?.gathered.isEmpty == false else { return false }
        // There may be no room for it.
        carryOutGathered(of: run)
        return active?.gathered.add(header, frame.payload, offset: frame.offset, rule: rule) == true
    }

    /// Carries out the gathered requests: updates in one go from the requests' bytes to the log's. One that cannot be taken
    /// as it is goes the long way, in its turn.
    private mutating func carryOutGathered(of run: FrameRun) {
        guard var gathered = active?.gathered, !gathered.isEmpty else { return }
        // Moved out, so that it is not copied when it is emptied.
        active?.gathered = KeyedRequests(capacity: 0)
        let time = loggedNow
        var first = 0
        // What the answers depend on: the entry that is being made, once there is an update for it.
        var index = state.position.index
        var ways = PackedMap.Ways()
        gathered.forEachGroup { begin, group in
            state.prefetch(group, finding: &ways)
            for (number, item) in zip(begin..., group) {
                let way = ways[number - begin]
                let header = gathered.items[number].header
                if gathered.items[number].kind == .lookup {
                    if lookUp(item.key, along: way, header, after: index) { continue }
                } else if carryOut(item, header, along: way, time: time) {
                    index = state.position.index.next
                    active?.outbox.append(
                        Header(response: .first, to: header, epoch: header.epoch), Replica.plainAnswer, after: index)
                    continue
                }
                log(gathered, first..<number, time: time)
                first = number + 1
                serve(run.frame(at: gathered.items[number].offset))
                index = state.position.index
            }
        }
        log(gathered, first..<gathered.items.count, time: time)
        gathered.removeAll()
        active?.gathered = gathered
    }

    /// - Returns: false where the update may not be carried out, was before, or does not fit; nothing has been done then.
    private mutating func carryOut(
        _ update: PackedPairUpdate, _ header: Header, along way: PackedMap.Way, time: Int64
    ) -> Bool {
        guard active?.searches.removalsUnderWay.isEmpty == true, active?.searches.isBusy(update.session) == false,
            active?.stopping == nil, disk == .well, state.space.map.byteCount < settings.maximumSpaceBytes
        else { return false }
        switch state.sessions.admission(of: update.sequence, in: update.session) {
        case .fresh: return state.apply(update, along: way, time: time)
        case .opensSession:
            guard mayOpenSession(header), state.apply(update, along: way, time: time) else { return false }
            sessionOpened(header)
            return true
        case .notFresh: return false
        }
    }

    /// Answers a GET of one key.
    ///
    /// - Returns: false where it may not be answered yet, or at all, or takes more than one frame; nothing has been done
    ///   then.
    private mutating func lookUp(
        _ key: UnsafeRawBufferPointer, along way: PackedMap.Way, _ request: Header, after index: LogIndex
    ) -> Bool {
        guard let epoch = active?.epoch, active?.stopping == nil, active?.searches.isBusy(request.session) == false
        else { return false }
        let header = Header(response: .first, to: request, epoch: epoch)
        #if PLANTED_BUGS
            let index = PlantedBug.readEarly.isOn ? .zero : index
        #endif
        let room = settings.streamSizes.room
        let isAnswered = state.space.map.withValue(forKey: key, along: way) { value in
            guard key.count + value.count <= room, value.count <= Bounds.valueBytesForFree || affords(value.count)
            else { return false }
            active?.outbox.append(header, after: index) { payload in
                // A dot does not match the end of a line.
                guard !value[..<Tuple.joinedCount(ofPacked: value)].contains(UInt8(ascii: "\n")) else {
                    payload.append(contentsOf: Replica.plainBytes)
                    return
                }
                Answer.encode(key: key, value: value, into: &payload)
            }
            return true
        }
        guard isAnswered == nil else { return isAnswered == true }
        active?.outbox.append(header, Replica.plainAnswer, after: index)
        return true
    }

    /// Whether there is time before the next flush to send so many bytes; it is used up then.
    private mutating func affords(_ bytes: Int) -> Bool {
        let work = UInt64(bytes / Bounds.answerBytesPerUnit)
        guard let left = active?.workOnTheSpot, work <= left else { return false }
        active?.workOnTheSpot = left - work
        return true
    }

    /// Puts the updates among requests that were carried out at the log's end, as one entry.
    private mutating func log(_ gathered: KeyedRequests, _ range: Range<Int>, time: Int64) {
        guard let epoch = active?.epoch else { return }
        let position = LogPosition(epoch: epoch, index: state.position.index.next)
        guard let bytes = gathered.entry(range, at: position, time: time) else { return }
        let entry = JournalEntry(position: position, bytes: bytes[...])
        let before = (state.position, state.time)
        precondition(time >= before.1, "an entry's time is no earlier than that of the entry before")
        state.finish(position, time: time)
        noteTime(since: before)
        unjournaled.append(entry)
        active?.tail.append(entry)
    }

    /// Carries out one request, and queues its answer.
    mutating func serve(_ frame: Frame) {
        guard let epoch = active?.epoch, frame.header.epoch == epoch else {
            log(.warn, "stale-request", [.init("epoch", frame.header.epoch.number)])
            return
        }
        serveAny(frame)
    }

    /// `ok`, and nothing else.
    static let plainBytes = Answer().payloadBytes
    private static let plainAnswer = PreparedPayload(plainBytes)

    private mutating func serveAny(_ frame: Frame) {
        guard let active else { return }
        guard frame.header.connection != .none else {
            answer(
                frame,
                Answer(
                    status: .refused,
                    message: "a request without a connection indicator is refused: clients speak to the proxy"))
            return
        }
        guard !active.searches.isBusy(frame.header.session) else {
            if self.active?.searches.block(frame) == false {
                answer(
                    frame,
                    Answer(
                        status: .unavailable, message: "too much waits for a search; nothing was done: try again later")
                )
            }
            return
        }
        if frame.payload.count > Bounds.payloadReadOnTheSpot, active.stopping == nil {
            switch Request.operatorName(in: frame.payload).flatMap(Operator.init(rawValue:)) {
            case .get:
                search(frame, nil, isRemoval: false)
                return
            case .delete:
                if isFresh(frame) { search(frame, nil, isRemoval: true) }
                return
            case .put, .post, nil: break
            }
        }
        let request: Request
        do throws(DecodingError) {
            request = try Request(decoding: frame.payload)
        } catch {
            answer(frame, Answer(status: .malformed, message: "the request cannot be read (\(error))"))
            return
        }
        if request.operatorName == OutcomeQuestion.operatorName {
            tellOutcome(frame, request.payload)
            return
        }
        if request.operatorName == SpaceQuestion.operatorName {
            answer(frame, SpaceQuestion.answer(state.space.rule))
            return
        }
        guard let known = Operator(rawValue: request.operatorName) else {
            answer(
                frame,
                Answer(
                    status: .notImplemented,
                    message: "operator '\(request.operatorName)' is not implemented; GET, PUT, POST and DELETE are"))
            return
        }
        guard active.stopping == nil else {
            // What was carried out before is answered all the same.
            if known == .get || isFresh(frame) {
                answer(frame, Answer(status: .unavailable, message: "the service is shutting down"))
            }
            return
        }
        switch known {
        case .get: search(frame, request.payload, isRemoval: false)
        case .put: if isFresh(frame) { commit(frame, state.space.decidePut(request.payload)) }
        case .post: if isFresh(frame) { commit(frame, state.space.decidePost(request.payload)) }
        case .delete: if isFresh(frame) { search(frame, request.payload, isRemoval: true) }
        }
    }

    /// Whether an update has not been carried out before; otherwise it is answered from what is kept of it.
    private mutating func isFresh(_ frame: Frame) -> Bool {
        let header = frame.header
        switch state.sessions.standing(of: header.sequence, in: header.session) {
        case .done(let outcome):
            #if PLANTED_BUGS
                if PlantedBug.replayWithoutSession.isOn { return true }
            #endif
            deliver(outcome, of: header.sequence, in: header.session, to: frame)
            return false
        case .forgotten:
            answer(
                frame,
                Answer(
                    status: .unknown,
                    message: "the outcome of this request is not kept any more; look whether it took effect"))
            return false
        case .fresh: break
        }
        if let refusal = updateRefusal {
            answer(frame, Answer(status: .unavailable, message: refusal))
            return false
        }
        if let refusal = openingRefusal(header) {
            answer(frame, refusal)
            return false
        }
        return true
    }

    /// Puts an update into the log with its outcome, and queues its answer.
    ///
    /// - Parameter isOrphan: the client has left; there is no use in a long answer.
    mutating func commit(_ frame: Frame, _ decision: Decision, isOrphan: Bool = false) {
        guard decision.answer.status == .ok, decision.answer.warning.isEmpty else {
            answer(frame, decision.answer)
            return
        }
        let isPlain = decision.answer == Answer()
        commit(
            frame, decision.effects, effectBytes: decision.effectBytes,
            outcome: isPlain ? [] : decision.answer.payloadBytes, isOrphan: isOrphan)
    }

    /// The same where it is known what the log takes.
    mutating func commit(
        _ frame: Frame, _ effects: [Effect], effectBytes: Int, outcome: [UInt8], isOrphan: Bool
    ) {
        let header = frame.header
        guard effectBytes + outcome.count <= Limits.maximumEntryBytes else {
            answer(
                frame,
                Answer(
                    status: .tooLarge,
                    message:
                        "the update takes more than \(Limits.maximumEntryBytes) bytes in the log; nothing was changed: send it in parts"
                ))
            return
        }
        if let refusal = spaceRefusal(effects) ?? outcomeRefusal(header, outcome) {
            answer(frame, refusal)
            return
        }
        let opensSession = !state.sessions.isOpen(header.session)
        appendEntry(
            .update(
                .init(
                    session: header.session, sequence: header.sequence, lowWater: header.lowWater,
                    effects: effects, outcome: outcome)))
        if opensSession { sessionOpened(header) }
        guard !isOrphan else { return }
        deliver(outcome, of: header.sequence, in: header.session, to: frame)
    }

    mutating func answer(_ frame: Frame, _ answer: Answer) { respond(frame, answer.payloadBytes) }

    /// Queues an answer of one frame behind everything that this state depends on: also a read must not show what could
    /// still be lost.
    mutating func respond(_ frame: Frame, _ payload: [UInt8]) {
        #if PLANTED_BUGS
            if PlantedBug.readEarly.isOn, (try? Request(decoding: frame.payload))?.operatorName == "GET" {
                let early = Header(response: .first, to: frame.header, epoch: frame.header.epoch)
                actions.append(.sendToProxy(FrameRun(Frame(early, payload: payload))))
                return
            }
        #endif
        respond(frame.header, payload[...], flags: .first, after: state.position.index)
    }

    /// Queues a frame of an answer behind an entry of the log.
    mutating func respond(
        _ request: Header, _ payload: ArraySlice<UInt8>, flags: Header.Flags, after index: LogIndex
    ) {
        guard let epoch = active?.epoch else { return }
        active?.outbox.append(Header(response: flags, to: request, epoch: epoch), after: index) {
            $0.append(contentsOf: payload)
        }
    }
}

extension Header {
    /// Of an answer, or a part of it.
    fileprivate init(response flags: Flags, to request: Header, epoch: Epoch) {
        self.init(
            .response, flags: flags, session: request.session, sequence: request.sequence, epoch: epoch,
            connection: request.connection)
    }
}
