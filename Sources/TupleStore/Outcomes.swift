public import TupleCore

/// The outcomes that are kept for a session: encoded answers by sequence; an empty one stands for a plain `ok`.
///
/// They are in the order of their sequences, which is nearly always the order in which they come and go.
public struct Outcomes: Hashable, Sendable {
    private var kept: [RequestSequence] = []
    /// What is before this is forgotten.
    private var begin = 0
    /// Of those of `kept`, the few outcomes that are not empty.
    private var answers: [RequestSequence: [UInt8]] = [:]
    /// What the outcomes take, each as ``cost(of:)`` says.
    public private(set) var byteCount = 0

    /// What is counted for keeping an outcome that is not empty, beside its bytes.
    static let overheadBytes = 64

    /// What an outcome counts, in bytes; a plain `ok` counts nothing.
    public static func cost(of outcome: [UInt8]) -> Int { outcome.isEmpty ? 0 : outcome.count + overheadBytes }

    public init() {}

    public var count: Int { kept.count - begin }
    /// The sequences, ascending.
    public var sequences: [RequestSequence] { [RequestSequence](kept[begin...]) }

    /// - Complexity: O(log *n*).
    public subscript(sequence: RequestSequence) -> [UInt8]? {
        contain(sequence) ? answers[sequence] ?? [] : nil
    }

    /// - Complexity: O(log *n*).
    public func contain(_ sequence: RequestSequence) -> Bool {
        let place = place(of: sequence)
        return place < kept.count && kept[place] == sequence
    }

    /// Where the sequence is, or belongs.
    private func place(of sequence: RequestSequence) -> Int {
        guard let last = kept.last, begin < kept.count, last >= sequence else { return kept.count }
        var low = begin
        var high = kept.count - 1
        while low < high {
            let middle = (low + high) / 2
            if kept[middle] < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func set(_ outcome: [UInt8], for sequence: RequestSequence) {
        let place = place(of: sequence)
        if place == kept.count {
            kept.append(sequence)
        } else if kept[place] != sequence {
            kept.insert(sequence, at: place)
        }
        if !outcome.isEmpty || !answers.isEmpty { setAnswer(outcome, for: sequence) }
    }

    private mutating func setAnswer(_ outcome: [UInt8], for sequence: RequestSequence) {
        if let old = answers[sequence] { byteCount -= Outcomes.cost(of: old) }
        answers[sequence] = outcome.isEmpty ? nil : outcome
        byteCount += Outcomes.cost(of: outcome)
    }

    /// What the outcomes from a sequence on take.
    ///
    /// - Complexity: O(*n*).
    func byteCount(from lowWater: RequestSequence) -> Int {
        answers.reduce(0) { $0 + ($1.key >= lowWater ? Outcomes.cost(of: $1.value) : 0) }
    }

    mutating func forget(below lowWater: RequestSequence) {
        while begin < kept.count, kept[begin] < lowWater { drop() }
        tidy()
    }

    /// - Returns: the sequence whose outcome is forgotten.
    mutating func forgetFirst() -> RequestSequence? {
        guard begin < kept.count else { return nil }
        let first = kept[begin]
        drop()
        tidy()
        return first
    }

    private mutating func drop() {
        if !answers.isEmpty { setAnswer([], for: kept[begin]) }
        begin += 1
    }

    private mutating func tidy() {
        if begin == kept.count {
            kept.removeAll(keepingCapacity: kept.capacity <= 64)
            begin = 0
        } else if begin >= 16, begin > kept.count / 2 {
            kept.removeSubrange(..<begin)
            begin = 0
        }
    }

    public static func == (a: Outcomes, b: Outcomes) -> Bool {
        a.kept[a.begin...] == b.kept[b.begin...] && a.answers == b.answers
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kept[begin...])
        hasher.combine(answers)
    }
}
