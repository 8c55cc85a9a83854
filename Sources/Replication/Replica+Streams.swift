import TupleCore
import TupleStore
import WireProtocol

/// Answers that are too large for one frame: they go on as their clients take them.
extension Replica {
    /// Answers with the outcome that is kept of a request.
    ///
    /// - Parameter outcome: as the session has it; empty for a plain `ok`.
    mutating func deliver(
        _ outcome: [UInt8], of sequence: RequestSequence, in session: SessionID, to frame: Frame
    ) {
        guard outcome.count > settings.directAnswerBytes else {
            respond(frame, outcome.isEmpty ? Replica.plainBytes : outcome)
            return
        }
        if let why = active?.searches.refusal(of: frame, isOutcome: true) {
            answer(frame, Answer(status: .unknown, message: "\(why); the answer is kept: ask again later"))
            return
        }
        active?.searches.enqueue(
            Frame(frame.header), .outcome(session, sequence, StoredAnswerCursor()), window: settings.answerWindowBytes,
            after: state.position.index)
        startSearches()
    }

    /// The proxy says that so much more of an answer may be sent.
    mutating func receive(_ credit: Credit, for header: Header) {
        guard let epoch = active?.epoch, header.epoch == epoch else { return }
        active?.searches.give(Int(credit.bytes), to: header)
        startSearches()
    }

    /// Ends answers that nobody takes.
    mutating func tickStreams() {
        guard let searches = active?.searches, !searches.isEmpty else { return }
        for number in searches.parked(before: moment.instant.advanced(by: .zero - Timing.streamPatience)) {
            drop(number, "no credit came for \(Timing.streamPatience)")
        }
        if searches.isCrowded {
            let limit = moment.instant.advanced(by: .zero - Timing.streamPatienceInACrowd)
            for number in searches.oldestHeld(before: limit) {
                guard let job = active?.searches.jobs[number] else { continue }
                let message = "the answer was read too slowly while others waited"
                let status = job.isOutcome ? Status.unknown : .unavailable
                answer(job.frame, Answer(status: status, message: "\(message): try again later"))
                drop(number, message)
            }
        }
        startSearches()
    }

    private mutating func drop(_ number: UInt64, _ reason: String) {
        guard let header = active?.searches.jobs[number]?.frame.header else { return }
        log(
            .info, "answer-dropped",
            [.init("client", header.connection.number), .init("reason", reason)])
        finish(number)
    }
}
