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
    private var rule: SpaceRule?
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
        case .set(let pairs): return try set(pairs, invocation)
        case .pagedDelete(let request): return try removeInParts(request, invocation)
        case .batch(let path):
            let client = try client(invocation)
            let input = try InputReader.open(path, on: loop)
            return wait { finish in
                BatchRun(on: loop, client, rule(of: client), input, output, then: finish).start()
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
        client.onSilence = { [unowned self] in self.tell($0) }
        self.client = client
        rule = nil
        clientSettings = settings
        return client
    }

    /// The rule of the space that `client` speaks to: asked for once.
    func rule(of client: ServiceClient) -> SpaceRule {
        let rule = rule ?? SpaceRule(on: loop, client)
        self.rule = rule
        return rule
    }

    /// A line about how things stand, on standard error.
    func tell(_ text: String) {
        output.flush()
        // A progress bar may stand there.
        if Terminal.isTerminal(STDERR_FILENO) { Terminal.writeError("\r\u{1b}[K") }
        _ = Terminal.write([UInt8]("\(Product.name): ".utf8) + Style.harmless([UInt8](text.utf8)) + [0x0A], to: 2)
    }

    /// The answer to one request.
    func ask(_ request: Request, _ client: ServiceClient) -> Answer { wait { client.submit(request, then: $0) } }

    /// Shows an answer, with why what is malformed in it is.
    ///
    /// - Parameter name: the operator's.
    func show(_ answer: Answer, to name: String, given: Int, _ invocation: Invocation) throws(SystemError) {
        let rule = answer.hasMalformed ? rule(of: try client(invocation)) : nil
        let known: ElementRule? = rule.map { rule in wait { finish in rule.complete(answer) { finish($1) } } } ?? nil
        show(
            renderer(invocation).render(
                answer, to: name, given: given, rule: known, selection: invocation.selection))
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
            client.onSilence = { [unowned self] in self.tell($0) }
        } else {
            client = try self.client(invocation)
        }
        let begin = loop.now
        var answer = ask(request, client)
        let time = loop.now.duration(since: begin)
        if answer.status == .tooLarge, request.operatorName == Operator.delete.rawValue {
            answer.message += "; 'delete --paged' does so, pair by pair"
        }
        if request.operatorName == OutcomeQuestion.operatorName { answer = answer.toOutcomeQuestion }
        try show(answer, to: request.operatorName, given: given, invocation)
        if request.isExplained { show(Rendering(errors: AnswerRenderer.explanation(of: answer, after: time))) }
        return ExitCode(answer)
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
