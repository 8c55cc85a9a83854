import Runtime
import TupleCore
import WireProtocol

/// `batch`: requests in, one a line; answers out, one a line and in the same order, each as soon as it can be given.
/// Input is read only while there is room for more requests on their way.
final class BatchRun {
    private static let maximumSlots = 1_024
    private static let maximumWaitingBytes = 64 * 1_048_576

    private let loop: EventLoop
    private let client: ServiceClient
    private let rules: SpaceRule
    private let input: InputReader
    private let output: OutputStream
    private let then: (ExitCode) -> Void
    private var lines = LineSplitter(maximumBytes: BatchLine.maximumBytes)
    private var lineNumber = 0
    private var hasEnded = false
    private var isFinished = false
    private var answers = AnswerQueue()
    private var exitCode = ExitCode.done

    init(
        on loop: EventLoop, _ client: ServiceClient, _ rules: SpaceRule, _ input: InputReader, _ output: OutputStream,
        then: @escaping (ExitCode) -> Void
    ) {
        self.loop = loop
        self.client = client
        self.rules = rules
        self.input = input
        self.output = output
        self.then = then
    }

    func start() { fill() }

    private var hasRoom: Bool {
        answers.count < BatchRun.maximumSlots && answers.bytes < BatchRun.maximumWaitingBytes
    }

    private func fill() {
        while hasRoom, let line = lines.next() { take(line) }
        printAnswers()
        if hasRoom, !hasEnded, !input.isReading { input.read { self.took($0) } }
        guard hasEnded, answers.count == 0, !isFinished else { return }
        isFinished = true
        then(exitCode)
    }

    private func took(_ piece: InputReader.Piece) {
        switch piece {
        case .bytes(let bytes): lines.append(bytes)
        case .end:
            lines.end()
            hasEnded = true
        case .failed(let error):
            Terminal.writeError("\(Product.name): \(error)\n")
            exitCode = max(exitCode, .localFile)
            lines.end()
            hasEnded = true
        }
        fill()
    }

    private func take(_ line: LineSplitter.Line) {
        lineNumber += 1
        switch line {
        case .text(let text):
            if text.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { return }
            let number = answers.add(lineBytes: text.count)
            do throws(BatchLine.Problem) {
                client.submit(try BatchLine.request(text)) { answer in
                    self.rules.complete(answer) { answer, rule in
                        self.answered(number, answer, rule)
                        self.fill()
                    }
                }
            } catch {
                answered(number, Answer(status: .malformed, message: "line \(lineNumber): \(error.message)"), nil)
            }
        case .tooLong:
            let message = "line \(lineNumber): longer than \(BatchLine.maximumBytes) bytes"
            answered(answers.add(lineBytes: 0), Answer(status: .tooLarge, message: message), nil)
        }
    }

    private func answered(_ number: Int, _ answer: Answer, _ rule: ElementRule?) {
        exitCode = max(exitCode, ExitCode(answer))
        var text: [UInt8] = []
        answer.writeJSON(details: rule, to: &text)
        text.append(UInt8(ascii: "\n"))
        answers.answer(number, text)
    }

    private func printAnswers() {
        while let text = answers.next() { output.write(text) }
        output.flush()
    }
}
