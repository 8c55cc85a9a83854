import TupleCore
import WireProtocol

/// What a load has shown.
struct LoadReport {
    let settings: LoadSettings
    let counters: LoadCounters
    let nanoseconds: UInt64
    /// Of this process, in the time that was measured.
    let cpuNanoseconds: UInt64
    let start: UInt64
    /// Answers from the first connection on, those before and after the time that is measured included.
    let answeredAtAll: UInt64
    /// Requests that had no answer when it was over, nor in the time after that.
    let unanswered: Int
    let nextKey: UInt64
    let lastProblem: String

    /// Answers other than `ok`, and missing ones.
    var failures: UInt64 {
        counters.statuses.enumerated().reduce(UInt64(unanswered)) { $0 + ($1.offset == 0 ? 0 : $1.element) }
    }

    private var seconds: Double { Double(nanoseconds) / 1e9 }
    private var perSecond: Double { Double(counters.operations) / seconds }
    private var cpuMicroseconds: Double {
        Double(cpuNanoseconds) / 1e3 / Double(max(1, counters.operations))
    }
    private var pauseAtSeconds: Double { Double(counters.pauseBegin - start) / 1e9 }

    private var all: LatencyHistogram {
        var sum = LatencyHistogram()
        for histogram in counters.latencies { sum.add(histogram) }
        return sum
    }

    private static let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)]

    // MARK: JSON

    var json: String {
        var statuses: [Term.Member] = []
        for status in Status.allCases where counters.statuses[Int(status.rawValue)] > 0 {
            statuses.append(LoadReport.member(status.name, .number("\(counters.statuses[Int(status.rawValue)])")))
        }
        var operators: [Term.Member] = []
        for op in settings.mix.operators {
            let histogram = counters.latencies[op.number]
            operators.append(LoadReport.member(op.rawValue, LoadReport.latencies(histogram, withCount: true)))
        }
        let object = Term.object([
            LoadReport.member("operations", .number("\(counters.operations)")),
            LoadReport.member("totalOperations", .number("\(answeredAtAll)")),
            LoadReport.member("seconds", LoadReport.decimal(seconds, 6)),
            LoadReport.member("perSecond", LoadReport.decimal(perSecond, 1)),
            LoadReport.member("latency", LoadReport.latencies(all, withCount: false)),
            LoadReport.member("operators", .object(operators)),
            LoadReport.member("statuses", .object(statuses)),
            LoadReport.member("failures", .number("\(failures)")),
            LoadReport.member("firstFailure", .string(Array((counters.firstFailure ?? "").utf8))),
            LoadReport.member("unanswered", .number("\(unanswered)")),
            LoadReport.member("found", .number("\(counters.found)")),
            LoadReport.member("givenBack", .number("\(counters.givenBack)")),
            LoadReport.member("reconnects", .number("\(counters.reconnects)")),
            LoadReport.member("longestPause", LoadReport.decimal(Double(counters.longestPause) / 1e3, 1)),
            LoadReport.member("longestPauseAt", LoadReport.decimal(pauseAtSeconds, 3)),
            LoadReport.member("cpuPerOperation", LoadReport.decimal(cpuMicroseconds, 3)),
            LoadReport.member("cpuSeconds", LoadReport.decimal(Double(cpuNanoseconds) / 1e9, 4)),
            LoadReport.member("seed", .number("\(settings.seed)")),
            LoadReport.member("nextKey", .number("\(nextKey)")),
        ])
        return String(decoding: JSON.text(object), as: UTF8.self) + "\n"
    }

    private static func latencies(_ histogram: LatencyHistogram, withCount: Bool) -> Term {
        var members: [Term.Member] = []
        if withCount { members.append(LoadReport.member("count", .number("\(histogram.count)"))) }
        for (name, fraction) in quantiles {
            members.append(LoadReport.member(name, decimal(Double(histogram.quantile(fraction)) / 1e3, 1)))
        }
        members.append(LoadReport.member("max", decimal(Double(histogram.maximum) / 1e3, 1)))
        return .object(members)
    }

    private static func member(_ name: String, _ value: Term) -> Term.Member {
        Term.Member(name: Array(name.utf8), value: value)
    }

    private static func decimal(_ value: Double, _ digits: Int) -> Term { .number(fixed(value, digits)) }

    // MARK: Text

    var text: String {
        var lines = [
            "\(counters.operations) requests in \(LoadReport.fixed(seconds, 2)) s: "
                + "\(LoadReport.fixed(perSecond, 0)) a second over \(settings.connections) connections, "
                + "up to \(settings.depth) in flight on each",
            "",
            "latency, ms      p50       p90       p99     p99.9       max     requests",
        ]
        for op in settings.mix.operators { lines.append(row(op.rawValue, counters.latencies[op.number])) }
        if settings.mix.operators.count > 1 { lines.append(row("all", all)) }
        lines += [
            "",
            "longest time without any answer: \(LoadReport.fixed(Double(counters.longestPause) / 1e6, 2)) ms, "
                + "\(LoadReport.fixed(pauseAtSeconds, 2)) s after the beginning",
            "CPU of this program: \(LoadReport.fixed(cpuMicroseconds, 2)) µs a request",
            "answers with pairs: \(counters.found); pairs given back: \(counters.givenBack)",
            "failures: \(failures == 0 ? "none" : failureWords)",
        ]
        if let first = counters.firstFailure { lines.append("the first one: \(first)") }
        if counters.reconnects > 0 {
            lines.append("connections made again: \(counters.reconnects) (\(lastProblem))")
        }
        lines.append("seed \(settings.seed), next key \(nextKey)")
        return lines.joined(separator: "\n") + "\n"
    }

    private var failureWords: String {
        var words: [String] = []
        for status in Status.allCases where status != .ok && counters.statuses[Int(status.rawValue)] > 0 {
            words.append("\(counters.statuses[Int(status.rawValue)]) \(status.name)")
        }
        if unanswered > 0 { words.append("\(unanswered) without an answer") }
        return words.joined(separator: ", ")
    }

    private func row(_ name: String, _ histogram: LatencyHistogram) -> String {
        var cells = LoadReport.quantiles.map { Double(histogram.quantile($0.1)) / 1e6 }
        cells.append(Double(histogram.maximum) / 1e6)
        let columns = cells.map { LoadReport.right(LoadReport.fixed($0, 3), 10) }.joined()
        return name + String(repeating: " ", count: 10 - name.utf8.count) + columns
            + LoadReport.right("\(histogram.count)", 13)
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.utf8.count)) + text
    }

    /// With so many digits after the point, rounded to the nearest.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((value * scale).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let whole = scaled / Int64(scale)
        let part = "\(scaled % Int64(scale))"
        return "\(whole)." + String(repeating: "0", count: digits - part.utf8.count) + part
    }
}
