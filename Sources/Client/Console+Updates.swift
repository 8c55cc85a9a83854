import Runtime
import TupleCore
import WireProtocol

extension Console {
    /// Gives keys their values: a PUT, then a POST of what was there already. Somebody else may add or remove a key in
    /// between; then another round follows.
    func set(_ pairs: [Term], _ invocation: Invocation) throws(SystemError) -> ExitCode {
        let client = try client(invocation)
        var left = Array(pairs.enumerated())
        var back: [(position: Int, reason: Reason)] = []
        var carriedOut = 0
        var isAdding = true
        for _ in 0..<Console.rounds where !left.isEmpty {
            let items = left.map(\.element)
            let name = isAdding ? Operator.put : .post
            let answer = ask(Request(operatorName: name.rawValue, payload: .list(items)), client)
            guard answer.status == .ok else {
                return try fail(answer, after: carriedOut, of: pairs.count, invocation)
            }
            carriedOut += items.count - answer.rejected.count
            var next: [(offset: Int, element: Term)] = []
            for (position, reason) in ImportReport.positions(of: answer.rejected, in: items) {
                switch reason {
                case .exists, .absent: next.append(left[position])
                case .malformed: back.append((left[position].offset, reason))
                }
            }
            left = next
            isAdding.toggle()
        }
        back += left.map { ($0.offset, isAdding ? .absent : .exists) }
        let rejected = back.sorted { $0.position < $1.position }.map {
            Rejected(item: pairs[$0.position], reason: $0.reason)
        }
        let answer = Answer(rejected: rejected)
        try show(answer, to: Command.set.rawValue, given: pairs.count, invocation)
        return ExitCode(answer)
    }

    /// Each is a PUT or a POST; more than two are needed only where others change the same keys meanwhile.
    private static let rounds = 16

    private func fail(
        _ failure: Answer, after count: Int, of all: Int, _ invocation: Invocation
    ) throws(SystemError) -> ExitCode {
        var answer = failure
        if count > 0 { answer.message += "; \(count) of \(all) pairs were set before that" }
        try show(answer, to: Command.set.rawValue, given: all, invocation)
        return ExitCode(answer)
    }

    /// Removes what the GET finds, pair by pair, many on their way at a time: no size is too large for it, and it does not
    /// take effect at one moment. A pair whose value does not match any more when its turn comes stays.
    func removeInParts(_ search: Request, _ invocation: Invocation) throws(SystemError) -> ExitCode {
        let client = try client(invocation)
        let name = Operator.delete.rawValue
        let found = ask(search, client)
        guard found.status == .ok, case .list(let expressions) = search.payload, expressions.count == 2 else {
            try show(found, to: name, given: 0, invocation)
            return ExitCode(found)
        }
        var result = Answer(warning: found.warning)
        var failure: Answer?
        var (next, outstanding) = (0, 0)
        let _: Void = wait { finish in
            func fill() {
                while outstanding < Console.window, next < found.pairs.count, failure == nil {
                    let key = TupleText.literal(found.pairs[next].key)
                    next += 1
                    outstanding += 1
                    client.submit(Request(operatorName: name, payload: .list([key, expressions[1]]))) { answer in
                        outstanding -= 1
                        result.append(answer)
                        if answer.status != .ok, failure == nil { failure = answer }
                        fill()
                    }
                }
                if outstanding == 0 { finish(()) }
            }
            fill()
        }
        result.pairs.sort { $0.key < $1.key }
        if let failure {
            result.status = failure.status
            result.message =
                "\(failure.message); \(result.pairs.count) of \(found.pairs.count) pairs were removed before"
        }
        try show(result, to: name, given: 0, invocation)
        return ExitCode(result)
    }

    private static let window = 256
}
