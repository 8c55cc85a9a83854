import Runtime
import TupleCore
import WireProtocol

/// `batch`: requests in, one a line; answers out, one a line and in the same order, each as soon as it can be given.
/// Input is read only while there is room for more requests on their way.
final class BatchRun {
    private enum Slot {
        case waiting(lineBytes: Int)
        case answered([UInt8])
    }

    private static let maximumSlots = 1_024
    private static let maximumWaitingBytes = 64 * 1_048_576

    private let loop: EventLoop
    private let client: ServiceClient
    private let input: InputReader
    private let output: OutputStream
    private let then: (ExitCode) -> Void
    private var lines = LineSplitter(maximumBytes: BatchLine.maximumBytes)
    private var lineNumber = 0
    private var hasEnded = false
    private var isFinished = false
    /// The lines that have no printed answer yet, in order; the first has the number `firstSlot`.
    private var slots: [Slot] = []
    private var firstSlot = 0
    private var waitingBytes = 0
    private var exitCode = ExitCode.done

    init(
        on loop: EventLoop, _ client: ServiceClient, _ input: InputReader, _ output: OutputStream,
        then: @escaping (ExitCode) -> Void
    ) {
        self.loop = loop
        self.client = client
        self.input = input
        self.output = output
        self.then = then
    }

    func start() { fill() }

    private var hasRoom: Bool {
        slots.count < BatchRun.maximumSlots && waitingBytes < BatchRun.maximumWaitingBytes
    }

    private func fill() {
        while hasRoom, let line = lines.next() { take(line) }
        printAnswers()
        if hasRoom, !hasEnded, !input.isReading { input.read { self.took($0) } }
        guard hasEnded, slots.isEmpty, !isFinished else { return }
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
            exitCode = max(exitCode, .usage)
            lines.end()
            hasEnded = true
        }
        fill()
    }

    private func take(_ line: LineSplitter.Line) {
        lineNumber += 1
        let slot = firstSlot + slots.count
        switch line {
        case .text(let text):
            slots.append(.waiting(lineBytes: text.count))
            waitingBytes += text.count
            do throws(BatchLine.Problem) {
                client.submit(try BatchLine.request(text)) { answer in
                    self.answered(slot, answer)
                    self.fill()
                }
            } catch {
                let message = "line \(lineNumber): \(error.message)"
                answered(slot, Answer(status: .malformed, message: message))
            }
        case .tooLong:
            slots.append(.waiting(lineBytes: 0))
            let message = "line \(lineNumber): longer than \(BatchLine.maximumBytes) bytes"
            answered(slot, Answer(status: .tooLarge, message: message))
        }
    }

    private func answered(_ slot: Int, _ answer: Answer) {
        exitCode = max(exitCode, ExitCode(answer))
        let place = slot - firstSlot
        if case .waiting(let lineBytes) = slots[place] { waitingBytes -= lineBytes }
        var text = JSON.text(answer.json)
        text.append(UInt8(ascii: "\n"))
        // Counted until it is printed, so that one slow request at the head cannot pile up answers without bound.
        waitingBytes += text.count
        slots[place] = .answered(text)
    }

    private func printAnswers() {
        var printed = 0
        for slot in slots {
            guard case .answered(let text) = slot else { break }
            output.write(text)
            waitingBytes -= text.count
            printed += 1
        }
        slots.removeFirst(printed)
        firstSlot += printed
        output.flush()
    }
}
