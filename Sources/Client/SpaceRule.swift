import Runtime
import TupleCore
import WireProtocol

/// What may be an element of the space, asked for when something came back as malformed: the sentences that say why need
/// it. It never changes, so it is asked for once.
final class SpaceRule {
    private let loop: EventLoop
    private let client: ServiceClient
    private var known: ElementRule?
    /// Who waits for the one question that is on its way; empty where there is none.
    private var waiting: [(ElementRule?) -> Void] = []
    /// An answer is not held up longer for the sentences beside it.
    private static let patience = Duration.seconds(1)

    init(on loop: EventLoop, _ client: ServiceClient) {
        self.loop = loop
        self.client = client
    }

    /// Calls `then` with the answer, and with the rule where something in it is malformed and the service says the rule:
    /// at once, or from the loop.
    func complete(_ answer: Answer, then: @escaping (Answer, ElementRule?) -> Void) {
        guard answer.hasMalformed, known == nil else { return then(answer, known) }
        waiting.append { then(answer, $0) }
        guard waiting.count == 1 else { return }
        var isAnswered = false
        let settle: (ElementRule?) -> Void = { rule in
            guard !isAnswered else { return }
            isAnswered = true
            let waiting = self.waiting
            self.waiting = []
            for finish in waiting { finish(rule) }
        }
        let deadline = loop.after(SpaceRule.patience) { settle(nil) }
        client.submit(SpaceQuestion.request) { reply in
            deadline.cancel()
            self.known = SpaceQuestion.rule(in: reply)
            settle(self.known)
        }
    }
}
