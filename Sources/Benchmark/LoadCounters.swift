import TupleCore

/// What was seen in the time that is measured.
struct LoadCounters {
    var latencies = [LatencyHistogram](repeating: LatencyHistogram(), count: Operator.allCases.count)
    /// By status.
    var statuses = [UInt64](repeating: 0, count: Status.allCases.count)
    /// Answers with pairs in them.
    var found: UInt64 = 0
    /// Answers that gave the pair back: the key was there, or was not.
    var givenBack: UInt64 = 0
    /// Of the first answer other than `ok`: what was asked, when, how long it took, and the answer's words.
    var firstFailure: String?
    /// Connections that ended and were made again.
    var reconnects: UInt64 = 0

    private(set) var longestPause: UInt64 = 0
    /// When it began.
    private(set) var pauseBegin: UInt64 = 0
    private var lastAnswer: UInt64 = 0
    private var start: UInt64 = 0

    var operations: UInt64 { latencies.reduce(0) { $0 + $1.count } }

    mutating func begin(at now: UInt64) {
        for op in latencies.indices { latencies[op].removeAll() }
        for status in statuses.indices { statuses[status] = 0 }
        found = 0
        givenBack = 0
        firstFailure = nil
        reconnects = 0
        longestPause = 0
        pauseBegin = now
        lastAnswer = now
        start = now
    }

    func seconds(until now: UInt64) -> UInt64 { (now - start) / 1_000_000_000 }

    /// Answers have come, to whichever connection. Called also at the end, which ends the last pause.
    mutating func answered(at now: UInt64) {
        // Times of two sockets read one after the other never go back, those of the beginning might.
        guard now > lastAnswer else { return }
        if now - lastAnswer > longestPause {
            longestPause = now - lastAnswer
            pauseBegin = lastAnswer
        }
        lastAnswer = now
    }
}
