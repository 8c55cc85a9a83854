/// The question what the space is like: a request of its own, which changes nothing. Its answer is a list of pairs of a
/// name and a value; who asks passes over names that it does not know.
public enum SpaceQuestion {
    /// The operator's name in the request.
    public static let operatorName = "SPACE"

    public static let request = Request(operatorName: operatorName, payload: .null)

    private static let ruleName = fact("elements")

    public static func answer(_ rule: ElementRule) -> Answer {
        Answer(pairs: [Pair(key: ruleName, value: fact(rule.name))])
    }

    /// What may be an element, by the answer; nil where it does not say.
    public static func rule(in answer: Answer) -> ElementRule? {
        guard answer.status == .ok, let pair = answer.pairs.first(where: { $0.key == ruleName }) else { return nil }
        return ElementRule(name: String(decoding: pair.value.packed, as: UTF8.self))
    }

    private static func fact(_ word: String) -> Tuple {
        [UInt8](word.utf8).withUnsafeBytes { Tuple(trustedPacked: $0) }
    }
}
