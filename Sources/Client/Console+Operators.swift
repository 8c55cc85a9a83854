import Glibc
import Runtime
import TupleCore
import WireProtocol

extension Console {
    private static let pollInterval = Duration.milliseconds(100)

    private func ask(_ request: OperatorRequest, _ invocation: Invocation, timeout: Duration? = nil) -> OperatorReply {
        let addresses = invocation.operators.map(\.description).joined(separator: ", ")
        let silence = loop.after(.seconds(1)) { [unowned self] in
            self.tell("waiting: no reply of \(addresses) yet (--timeout \(invocation.timeout.unitText))")
        }
        defer { silence.cancel() }
        return wait { finish in
            OperatorClient(
                on: loop, addresses: invocation.operators, request, timeout: timeout ?? invocation.timeout, then: finish
            )
        }
    }

    func command(_ request: OperatorRequest, _ invocation: Invocation) -> ExitCode {
        let began = loop.now
        let before = (invocation.followsUp ? OperatorProgress(request) : nil).map { progress in
            var progress = progress
            progress.begin(status(invocation, timeout: invocation.timeout))
            return progress
        }
        var reply = ask(request, invocation)
        if reply.status == .ok, let before {
            reply = follow(before, until: began.advanced(by: invocation.timeout), invocation)
        }
        show(renderer(invocation).render(reply, to: request.command))
        return ExitCode(reply.status)
    }

    /// The reply that says what became of a command that was taken on.
    private func follow(_ progress: OperatorProgress, until deadline: Instant, _ invocation: Invocation)
        -> OperatorReply
    {
        var progress = progress
        var nextWords = loop.now.advanced(by: .seconds(1))
        while true {
            let left = deadline.duration(since: loop.now)
            guard left > .zero else {
                return OperatorReply(
                    status: .unknown,
                    message:
                        "the command was taken on, but within \(invocation.timeout.unitText) \(progress.missing); 'status' "
                        + "shows how things are")
            }
            if let reply = progress.reply(to: status(invocation, timeout: left)) { return reply }
            if loop.now >= nextWords {
                tell("waiting: \(progress.missing)")
                nextWords = deadline
            }
            let () = wait { finish in loop.after(Console.pollInterval) { finish(()) } }
        }
    }

    /// How things are; nil where nobody says so.
    private func status(_ invocation: Invocation, timeout: Duration) -> Term? {
        let reply = ask(OperatorRequest(command: "status"), invocation, timeout: min(timeout, .seconds(2)))
        return reply.status == .ok ? reply.result : nil
    }

    func showStatus(_ invocation: Invocation) -> ExitCode {
        let reply = ask(OperatorRequest(command: "status"), invocation)
        let renderer = renderer(invocation)
        if reply.status == .ok {
            output.write(StatusView.text(reply.result, format: renderer.format, style: renderer.outputStyle))
        } else {
            show(renderer.render(reply, to: "status"))
        }
        return ExitCode(reply.status)
    }

    func watchStatus(_ interval: Duration, _ invocation: Invocation) -> ExitCode {
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
            if reply.result != .null, message.isEmpty {
                rendering.output = JSON.text(reply.result) + [UInt8(ascii: "\n")]
            }
            let words = message.isEmpty ? "\(command): done" : message
            if format == .table || !message.isEmpty {
                rendering.output.append(contentsOf: Style.harmless([UInt8](words.utf8)) + [UInt8(ascii: "\n")])
            }
        }
        return rendering
    }
}
