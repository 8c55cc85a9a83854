import PythonRegex
import TupleCore

/// A tuple's expression made ready for very many tuples.
struct TupleProbe {
    /// One for the joined elements, or one for each of them.
    private let probes: [ExpressionProbe]
    /// The only one, of the joined elements; nil where there is one for each. Kept alive by `probes`: counting
    /// references for each tuple would take longer than many a match.
    private let joined: Unmanaged<ExpressionProbe>?
    /// Of expressions.
    var count: Int { probes.count }
    let cost: Cost

    /// What it takes to be told no: the cheaper side of a pair is asked first.
    enum Cost: Int, Comparable {
        /// Some text is compared.
        case comparison
        case engine
        /// Nearly everything matches, so that the other side decides.
        case vain

        static func < (a: Cost, b: Cost) -> Bool { a.rawValue < b.rawValue }
    }

    init(_ expression: TupleExpression, using scratch: MatchScratch) {
        switch expression {
        case .joined(let expression):
            probes = [ExpressionProbe(expression, using: scratch)]
            joined = Unmanaged.passUnretained(probes[0])
        case .elements(let expressions):
            probes = expressions.map { ExpressionProbe($0, using: scratch) }
            joined = nil
        }
        if probes.allSatisfy(\.isSimple) {
            cost = probes.contains(where: \.hasText) ? .comparison : .vain
        } else {
            cost = .engine
        }
    }

    /// - Parameter packed: a packed tuple.
    @inline(__always)
    func matches(_ packed: UnsafeRawBufferPointer, _ budget: inout MatchBudget) -> MatchResult {
        guard let joined else { return matchElements(packed, &budget) }
        // Only a boundary table ends with this byte.
        let hasTable = packed.count > 0 && packed[packed.count &- 1] == 0xFF
        let count = hasTable ? Tuple.joinedCount(ofPacked: packed) : packed.count
        return joined._withUnsafeGuaranteedRef {
            $0.fullMatch(UnsafeRawBufferPointer(start: packed.baseAddress, count: count), budget: &budget)
        }
    }

    @inline(never)
    private func matchElements(_ packed: UnsafeRawBufferPointer, _ budget: inout MatchBudget) -> MatchResult {
        var count = 0
        var result = MatchResult.match
        Tuple.forEachElement(ofPacked: packed) { range in
            guard count < probes.count else {
                result = .noMatch
                return false
            }
            let element = UnsafeRawBufferPointer(rebasing: packed[range])
            result = probes[count].fullMatch(element, budget: &budget)
            count += 1
            return result == .match
        }
        if result == .match, count != probes.count { return .noMatch }
        return result
    }
}

/// A pair's expressions made ready for very many pairs.
struct PairProbe {
    private let key: TupleProbe
    private let value: TupleProbe
    /// The side that is cheaper to ask comes first.
    private let beginsWithValue: Bool
    /// Of expressions.
    var count: Int { key.count + value.count }

    init(_ expression: PairExpression, using scratch: MatchScratch) {
        key = TupleProbe(expression.key, using: scratch)
        value = TupleProbe(expression.value, using: scratch)
        beginsWithValue = value.cost < key.cost
    }

    @inline(__always)
    func matches(
        key keyBytes: UnsafeRawBufferPointer, value valueBytes: UnsafeRawBufferPointer, _ budget: inout MatchBudget
    ) -> MatchResult {
        if beginsWithValue {
            let result = value.matches(valueBytes, &budget)
            guard case .match = result else { return result }
            return key.matches(keyBytes, &budget)
        }
        let result = key.matches(keyBytes, &budget)
        guard case .match = result else { return result }
        return value.matches(valueBytes, &budget)
    }
}
