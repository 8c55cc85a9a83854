import Glibc
import Runtime
import TupleCore
import WireProtocol

/// `import`: the rows of a file into PUTs or POSTs, several on their way at a time. Whatever does not go in is reported
/// on standard error with its line. The first request that fails as a whole ends the reading.
final class ImportRun {
    private static let maximumRequests = 16
    private static let maximumRequestBytes = 4 * 1_048_576

    private let loop: EventLoop
    private let client: ServiceClient
    private let spaceRule: SpaceRule
    private let settings: ImportSettings
    private let input: InputReader
    private let then: (ImportReport) -> Void
    private let progress: ProgressBar
    private var rows: ImportRows
    private var report: ImportReport
    private var meter = PauseMeter()
    /// Rows that were read and wait for room.
    private var waiting: ArraySlice<ImportRows.Row> = []
    private var batch = Batch()
    private var outstanding = 0
    private var bytesRead = 0
    private var hasEnded = false
    private var isFinished = false
    private var interrupts: SignalHandler?
    /// Of the last row that was taken.
    private var lastLine = 0

    private struct Batch {
        var items: [Term] = []
        var lines: [Int] = []
        var bytes = 0
    }

    init(
        on loop: EventLoop, _ client: ServiceClient, _ spaceRule: SpaceRule, _ settings: ImportSettings,
        _ input: InputReader, then: @escaping (ImportReport) -> Void
    ) {
        self.loop = loop
        self.client = client
        self.spaceRule = spaceRule
        self.settings = settings
        self.input = input
        self.then = then
        progress = ProgressBar(on: loop)
        rows = ImportRows(settings)
        report = ImportReport(operation: settings.operation)
    }

    /// - Throws: where the interrupt key cannot be handled.
    func start() throws(SystemError) {
        interrupts = try SignalHandler(on: loop, .interrupt) { [unowned self] in self.interrupted() }
        fill()
    }

    /// The first time what is on its way comes to its end, so that it is known how far it came.
    private func interrupted() {
        guard !report.isInterrupted else { _exit(ExitCode.interrupted.rawValue) }
        report.isInterrupted = true
        giveUp()
        fill()
    }

    private func fill() {
        while outstanding < ImportRun.maximumRequests, let row = waiting.popFirst() { take(row) }
        if hasEnded, waiting.isEmpty, !batch.items.isEmpty, outstanding < ImportRun.maximumRequests { send() }
        progress.update(done: bytesRead, of: input.size, note: "\(report.rows) rows, \(report.imported) imported")
        if waiting.isEmpty, !hasEnded, !input.isReading { input.read { self.took($0) } }
        guard hasEnded, waiting.isEmpty, batch.items.isEmpty, outstanding == 0, !isFinished else { return }
        isFinished = true
        progress.clear()
        interrupts?.close()
        if let next = report.nextLine, lastLine > 0 {
            complain(
                "\(settings.path): all rows before line \(next) are answered; to go on, add --from-line \(next) to the same "
                    + "command")
        }
        report.longestPause = meter.longest
        then(report)
    }

    private func took(_ piece: InputReader.Piece) {
        guard !hasEnded else { return }
        do throws(ImportRows.Problem) {
            switch piece {
            case .bytes(let bytes):
                bytesRead += bytes.count
                waiting = try rows.read(bytes)[...]
            case .end:
                hasEnded = true
                waiting = try rows.finish()[...]
            case .failed(let error): throw ImportRows.Problem(message: error.description, code: .localFile)
            }
        } catch {
            complain("\(settings.path): \(error.message)")
            report.problem = error.message
            report.problemCode = error.code
            giveUp()
        }
        fill()
    }

    private func take(_ row: ImportRows.Row) {
        report.rows += 1
        lastLine = row.line
        switch row.content {
        case .malformed(let reason):
            report.malformed += 1
            complain("\(settings.path):\(row.line): malformed: \(reason)")
        case .pair(let pair):
            batch.items.append(pair)
            batch.lines.append(row.line)
            batch.bytes += pair.approximateByteCount
            if batch.items.count >= settings.pairsPerRequest || batch.bytes >= ImportRun.maximumRequestBytes { send() }
        }
    }

    private func send() {
        let batch = batch
        self.batch = Batch()
        outstanding += 1
        meter.submitted(at: loop.now)
        let request = Request(operatorName: settings.operation.rawValue, payload: .list(batch.items))
        client.submit(request) { answer in
            self.meter.answered(at: self.loop.now)
            self.spaceRule.complete(answer) { answer, rule in
                self.outstanding -= 1
                self.took(answer, to: batch, rule)
                self.fill()
            }
        }
    }

    private func took(_ answer: Answer, to batch: Batch, _ rule: ElementRule?) {
        guard answer.status == .ok else {
            report.errors += batch.items.count
            let (first, last) = (batch.lines.first ?? 0, batch.lines.last ?? 0)
            complain("\(settings.path): lines \(first) to \(last): \(answer.status.name): \(answer.message)")
            if report.failure == nil { report.failure = answer }
            report.nextLine = min(report.nextLine ?? first, first)
            return giveUp()
        }
        report.imported += batch.items.count - answer.rejected.count
        for rejected in answer.rejected { report.count(rejected.reason) }
        for (position, reason) in ImportReport.positions(of: answer.rejected, in: batch.items) {
            var text = "\(settings.path):\(batch.lines[position]): \(reason.name)"
            if case .list(let parts) = batch.items[position], let key = parts.first {
                text += ": \(String(decoding: TupleText.text(of: key), as: UTF8.self))"
            }
            if let rule, let detail = Rejected(item: batch.items[position], reason: reason).detail(rule) {
                text += ": \(detail)"
            }
            complain(text)
        }
    }

    /// Reads no further; what is on its way comes to its end.
    private func giveUp() {
        if !hasEnded || !waiting.isEmpty || !batch.items.isEmpty {
            let next = batch.lines.first ?? waiting.first?.line ?? max(lastLine + 1, settings.firstLine)
            report.nextLine = min(report.nextLine ?? next, next)
        }
        hasEnded = true
        waiting = []
        batch = Batch()
    }

    private func complain(_ text: String) {
        progress.clear()
        _ = Terminal.write(Style.harmless([UInt8](text.utf8)) + [UInt8(ascii: "\n")], to: 2)
    }
}
