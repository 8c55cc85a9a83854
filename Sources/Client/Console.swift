import Glibc
import Runtime
import TupleCore
import WireProtocol

/// Carries invocations out one after the other, on one event loop and, where the proxies stay the same, one session.
final class Console {
    let loop: EventLoop
    let output = OutputStream()
    let environment: [String: String]
    private var client: ServiceClient?
    private var clientSettings: ClientSettings?

    private struct ClientSettings: Equatable {
        var proxies: [Address]
        var timeout: Duration
    }

    init(environment: [String: String]) throws(SystemError) {
        loop = try EventLoop()
        self.environment = environment
    }

    /// - Throws: where this machine fails us: a file that cannot be opened, no descriptor.
    func run(_ invocation: Invocation) throws(SystemError) -> ExitCode {
        defer { output.flush() }
        switch invocation.task {
        case .request(let request, let given): return try send(request, given, invocation)
        case .batch(let path):
            let client = try client(invocation)
            let input = try InputReader.open(path, on: loop)
            return wait { finish in
                BatchRun(on: loop, client, input, output, then: finish).start()
            }
        case .import(let settings): return try importFile(settings, invocation)
        case .export(let path): return try export(to: path, invocation)
        case .shell: preconditionFailure("a shell runs a console, not the other way round")
        case .status(let watch, let interval):
            return watch ? watchStatus(interval, invocation) : showStatus(invocation)
        case .operatorCommand(let request): return command(request, invocation)
        case .completions(let script):
            output.write([UInt8](script.text.utf8))
            return .done
        }
    }

    func format(_ invocation: Invocation) -> OutputFormat {
        invocation.format ?? (Terminal.isTerminal(STDOUT_FILENO) ? .table : .plain)
    }

    func renderer(_ invocation: Invocation) -> AnswerRenderer {
        AnswerRenderer(
            format: format(invocation), outputStyle: Terminal.style(STDOUT_FILENO, environment: environment),
            errorStyle: Terminal.style(STDERR_FILENO, environment: environment))
    }

    /// Runs the loop until `finish` is called.
    func wait<Value>(_ start: (_ finish: @escaping (Value) -> Void) -> Void) -> Value {
        var value: Value?
        start { [loop] in
            value = $0
            loop.stop()
        }
        while true {
            if let value { return value }
            loop.run()
        }
    }

    func client(_ invocation: Invocation) throws(SystemError) -> ServiceClient {
        let settings = ClientSettings(proxies: invocation.proxies, timeout: invocation.timeout)
        if let client, settings == clientSettings { return client }
        let client = try ServiceClient(on: loop, proxies: settings.proxies, timeout: settings.timeout)
        self.client = client
        clientSettings = settings
        return client
    }

    func show(_ rendering: Rendering) {
        output.write(rendering.output)
        guard !rendering.errors.isEmpty else { return }
        output.flush()
        _ = Terminal.write(rendering.errors, to: STDERR_FILENO)
    }

    private func send(_ request: Request, _ given: Int, _ invocation: Invocation) throws(SystemError) -> ExitCode {
        let client: ServiceClient
        if let operation = invocation.operation {
            client = try ServiceClient(
                on: loop, proxies: invocation.proxies, timeout: invocation.timeout, operation: operation)
        } else {
            client = try self.client(invocation)
        }
        let begin = loop.now
        var answer: Answer = wait { client.submit(request, then: $0) }
        if request.operatorName == OutcomeQuestion.operatorName { answer = answer.toOutcomeQuestion }
        var rendering = renderer(invocation).render(answer, to: request.operatorName, given: given)
        if request.isExplained {
            rendering.errors += AnswerRenderer.explanation(of: answer, after: loop.now.duration(since: begin))
        }
        show(rendering)
        return ExitCode(answer)
    }

    // MARK: Operators

    private func ask(_ request: OperatorRequest, _ invocation: Invocation) -> OperatorReply {
        wait { finish in
            OperatorClient(
                on: loop, addresses: invocation.operators, request, timeout: invocation.timeout, then: finish)
        }
    }

    private func command(_ request: OperatorRequest, _ invocation: Invocation) -> ExitCode {
        let reply = ask(request, invocation)
        show(renderer(invocation).render(reply, to: request.command))
        return ExitCode(reply.status)
    }

    private func showStatus(_ invocation: Invocation) -> ExitCode {
        let reply = ask(OperatorRequest(command: "status"), invocation)
        let renderer = renderer(invocation)
        if reply.status == .ok {
            output.write(StatusView.text(reply.result, format: renderer.format, style: renderer.outputStyle))
        } else {
            show(renderer.render(reply, to: "status"))
        }
        return ExitCode(reply.status)
    }

    private func watchStatus(_ interval: Duration, _ invocation: Invocation) -> ExitCode {
        let isTable = format(invocation) == .table && Terminal.isTerminal(STDOUT_FILENO)
        while true {
            // Home and clear: each look replaces the one before.
            if isTable { output.write([UInt8]("\u{1b}[H\u{1b}[2J".utf8)) }
            _ = showStatus(invocation)
            output.flush()
            let () = wait { finish in loop.after(interval) { finish(()) } }
        }
    }
}

extension Answer {
    /// The answer to ``OutcomeQuestion``: where the question itself was not answered, nobody knows of the operation.
    var toOutcomeQuestion: Answer {
        guard status == .unavailable || status == .refused else { return self }
        var answer = self
        if warning == OutcomeQuestion.notDone {
            answer.warning = ""
        } else {
            answer.status = .unknown
            answer.message = "the service could not be asked: \(message)"
        }
        return answer
    }
}

extension AnswerRenderer {
    /// An operators' command's reply.
    func render(_ reply: OperatorReply, to command: String) -> Rendering {
        var rendering = Rendering()
        let message = reply.message.isEmpty && reply.status != .ok ? reply.status.explanation : reply.message
        if format == .json {
            var answer = Answer(status: reply.status, message: message).json
            if reply.result != .null, case .object(let members) = answer {
                answer = .object(members + [Term.Member(name: [UInt8]("result".utf8), value: reply.result)])
            }
            rendering.output = JSON.text(answer) + [UInt8(ascii: "\n")]
        } else if reply.status != .ok {
            append(problem: reply.status.name, message, to: &rendering.errors)
        } else {
            if reply.result != .null { rendering.output = JSON.text(reply.result) + [UInt8(ascii: "\n")] }
            let words = message.isEmpty ? "\(command): done" : message
            if format == .table || !message.isEmpty {
                rendering.output.append(contentsOf: Style.harmless([UInt8](words.utf8)) + [UInt8(ascii: "\n")])
            }
        }
        return rendering
    }
}
