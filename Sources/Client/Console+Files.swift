import Glibc
import Runtime
import TupleCore
import WireProtocol

extension Console {
    func importFile(_ settings: ImportSettings, _ invocation: Invocation) throws(SystemError) -> ExitCode {
        let input = try InputReader.open(settings.path, on: loop)
        let client = try client(invocation)
        var report: ImportReport?
        let run = ImportRun(on: loop, client, rule(of: client), settings, input) { [loop] in
            report = $0
            loop.stop()
        }
        try run.start()
        while report == nil { loop.run() }
        guard let report else { preconditionFailure("an import ends with a report") }
        let isJSON = format(invocation) == .json
        output.write(isJSON ? JSON.text(report.json) : [UInt8](report.text.utf8))
        output.write([UInt8(ascii: "\n")])
        return report.exitCode
    }

    /// Every tuple, those with line feeds in their elements too, which a plain `.*` does not match.
    private static let everything = Request(
        operatorName: Operator.get.rawValue, payload: .list([.string("(?s).*"), .string("(?s).*")]))

    func export(to path: String?, _ invocation: Invocation) throws(SystemError) -> ExitCode {
        // First, so that a path that cannot be written costs no answer.
        let file = try path.map { path throws(SystemError) in try ExportFile(path) }
        let client = try client(invocation)
        let progress = ProgressBar(on: loop)
        let watch = Timer(on: loop) {
            progress.update(done: 0, of: nil, note: "\(client.bytesReceived / 1_024) KiB received")
        }
        watch.schedule(after: .milliseconds(200), repeatingEvery: .milliseconds(200))
        var answer: Answer = wait { client.submit(Console.everything, then: $0) }
        watch.cancel()
        if answer.status == .ok, !answer.warning.isEmpty {
            answer = Answer(status: .malformed, message: "the server cannot export: \(answer.warning)")
        }
        if answer.status == .tooLarge {
            answer.message =
                "the tuples are more than one answer may have; 'get' selects parts by KEYEXP, and a server that is started with "
                + "--export-on-shutdown writes them all"
        }
        guard answer.status == .ok else {
            progress.clear()
            show(renderer(invocation).render(answer, to: Operator.get.rawValue, given: 0))
            return ExitCode(answer.status)
        }
        try write(answer.pairs, to: file, progress)
        progress.clear()
        if let path, let file {
            try file.commit()
            let summary = Term.object([
                .init(name: [UInt8]("status".utf8), value: .string(Status.ok.name)),
                .init(name: [UInt8]("exported".utf8), value: .number("\(answer.pairs.count)")),
            ])
            let isJSON = format(invocation) == .json
            output.write(isJSON ? JSON.text(summary) : [UInt8]("exported \(answer.pairs.count) to \(path)".utf8))
            output.write([UInt8(ascii: "\n")])
        }
        return .done
    }

    private func write(_ pairs: [Pair], to file: ExportFile?, _ progress: ProgressBar) throws(SystemError) {
        var buffer: [UInt8] = []
        for (position, pair) in pairs.enumerated() {
            JSON.write(Term(pair), to: &buffer)
            buffer.append(UInt8(ascii: "\n"))
            guard buffer.count >= 262_144 || position == pairs.count - 1 else { continue }
            if let file { try file.write(buffer) } else { output.write(buffer) }
            buffer.removeAll(keepingCapacity: true)
            progress.update(done: position + 1, of: pairs.count, note: "\(position + 1) tuples")
        }
    }
}
