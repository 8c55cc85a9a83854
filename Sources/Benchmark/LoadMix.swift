import TupleCore

/// How often each operator is drawn: `put=1,get=3`.
struct LoadMix: Equatable {
    static let maximumWeight = 1_000_000

    /// In the order of `Operator.allCases`.
    private(set) var weights: [Int]

    /// - Throws: ``LoadMixError``, with what is wrong.
    init(parsing text: String) throws(LoadMixError) {
        weights = [Int](repeating: 0, count: Operator.allCases.count)
        var named: Set<Operator> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let op = Operator(rawValue: sides[0].uppercased()) else { throw .operatorName(String(sides[0])) }
            guard sides.count == 2, let weight = Int(sides[1]), (0...LoadMix.maximumWeight).contains(weight) else {
                throw .weight(String(part))
            }
            guard named.insert(op).inserted else { throw .twice(op) }
            weights[op.number] = weight
        }
        guard weights.contains(where: { $0 > 0 }) else { throw .nothing }
    }

    /// Operators that occur, in the order of `Operator.allCases`.
    var operators: [Operator] { Operator.allCases.filter { weights[$0.number] > 0 } }

    /// 1,024 operators, as near to the weights as that allows, each that occurs at least once. Drawing is then a look-up.
    var wheel: [Operator] {
        let size = 1024
        let total = weights.reduce(0, +)
        var wheel: [Operator] = []
        for op in operators {
            let share = max(1, weights[op.number] * size / total)
            wheel += [Operator](repeating: op, count: share)
        }
        let most = Operator.allCases.max { weights[$0.number] < weights[$1.number] } ?? .get
        while wheel.count < size { wheel.append(most) }
        while wheel.count > size, let at = wheel.firstIndex(of: most) { wheel.remove(at: at) }
        return wheel
    }
}

/// Why a text is no mix.
enum LoadMixError: Error, Equatable, CustomStringConvertible {
    case operatorName(String)
    case weight(String)
    case twice(Operator)
    case nothing

    var description: String {
        switch self {
        case .operatorName(let name): "'\(name)' is no operator; write a mix like put=1,get=3 of get, put, post, delete"
        case .weight(let part): "'\(part)' has no weight from 0 to \(LoadMix.maximumWeight); write put=1"
        case .twice(let op): "\(op.rawValue.lowercased()) is there twice"
        case .nothing: "no operator has a weight above 0"
        }
    }
}

extension Operator {
    /// Its place in `Operator.allCases`.
    var number: Int {
        switch self {
        case .get: 0
        case .put: 1
        case .post: 2
        case .delete: 3
        }
    }
}
