public import TupleCore

/// What an operator has decided: the effects that the log carries, and the answer that the client gets.
public struct Decision: Sendable {
    public var effects: [Effect]
    public var answer: Answer
    public init(effects: [Effect] = [], answer: Answer) {
        self.effects = effects
        self.answer = answer
    }

    /// About what the effects take in the log, in bytes.
    public var effectBytes: Int {
        effects.reduce(0) { sum, effect in
            switch effect {
            case .added(let pair), .replaced(let pair): sum + pair.byteCount + 11
            case .removed(let key): sum + key.packed.count + 6
            }
        }
    }
}

/// The four operators. They decide on a snapshot and change nothing; ``Space/apply(_:)`` carries the effects out, here and
/// on every other copy.
extension Space {
    /// PUT: adds the pairs whose keys are absent; gives back what it could not add. The whole list takes effect as one; of
    /// a key that is given twice the first is added.
    public func decidePut(_ payload: Term) -> Decision {
        decideUpdate(payload, operatorName: "PUT") { space, pair, inList in
            if inList.contains(pair.key) || space.contains(pair.key) { return .failure(.exists) }
            inList.insert(pair.key)
            return .success(.added(pair))
        }
    }

    /// POST: replaces the values of the pairs whose keys are present; gives back what it could not use. Of a key that is
    /// given twice the last one stands.
    public func decidePost(_ payload: Term) -> Decision {
        decideUpdate(payload, operatorName: "POST") { space, pair, _ in
            space.contains(pair.key) ? .success(.replaced(pair)) : .failure(.absent)
        }
    }

    private enum Judgement {
        case success(Effect)
        case failure(Reason)
    }

    private func decideUpdate(
        _ payload: Term, operatorName: String, _ judge: (Space, Pair, inout Set<Tuple>) -> Judgement
    ) -> Decision {
        guard case .list(let items) = payload else {
            return Decision(
                answer: Answer(
                    status: .malformed,
                    message: "\(operatorName) takes a list of pairs; the payload is no list, and nothing was changed"))
        }
        guard items.count <= Limits.maximumPairsPerRequest else {
            return Decision(
                answer: Answer(
                    status: .tooLarge,
                    message:
                        "the list has \(items.count) pairs; \(Limits.maximumPairsPerRequest) is the limit: send it in parts"
                ))
        }
        var decision = Decision(answer: Answer())
        var inList: Set<Tuple> = []
        for item in items {
            guard let pair = Pair(item, rule: rule) else {
                decision.answer.rejected.append(Rejected(item: item, reason: .malformed))
                continue
            }
            switch judge(self, pair, &inList) {
            case .success(let effect): decision.effects.append(effect)
            case .failure(let reason): decision.answer.rejected.append(Rejected(item: item, reason: reason))
            }
        }
        return decision
    }

    /// GET: every pair that matches.
    public func decideGet(_ payload: Term, matcher: Matcher) -> Decision {
        do throws(ExpressionError) {
            let result = matcher.run(try matcher.get(payload), in: self, work: Search.Work.request)
            return Decision(answer: result.failure ?? Answer(pairs: result.pairs))
        } catch { return Decision(malformed: error) }
    }

    /// DELETE: removes every pair that matches, and returns them.
    public func decideDelete(_ payload: Term, matcher: Matcher) -> Decision {
        do throws(ExpressionError) {
            let result = matcher.run(try matcher.delete(payload), in: self, work: Search.Work.request)
            return result.failure.map { Decision(answer: $0) } ?? Decision(removing: result)
        } catch { return Decision(malformed: error) }
    }
}

extension Decision {
    /// A malformed expression matches nothing; beside the empty list the client is told why.
    public init(malformed error: ExpressionError) {
        self.init(answer: Answer(warning: error.explanation))
    }

    /// What was found is removed, and returned.
    public init(removing result: SearchResult) {
        self.init(
            effects: result.pairs.map { .removed($0.key) }, answer: Answer(pairs: result.pairs).explained(by: result))
    }
}
