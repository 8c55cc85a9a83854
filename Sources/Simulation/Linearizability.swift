/// Judges whether a history is linearizable: whether there is an order of its operations that keeps to real time and in
/// which every operation was told what one space would have told it (Wing and Gong, "Testing and verifying concurrent
/// objects", 1993; with the memory of Lowe, "Testing for linearizability", 2017).
///
/// Operations whose ending is unknown may be put anywhere after they were sent, or left out.
package enum Linearizability {
    package enum Verdict: Hashable, Sendable {
        case linearizable
        /// No order fits. The operations are those of one part of the space, as far as the longest attempt got and the
        /// ones that it could not go on with.
        case violated([Operation])
        /// The search was given up after its budget of steps.
        case undecided
    }

    /// - Parameter steps: how many operations may be tried at most.
    /// - Complexity: exponential in the number of operations at one time, in the worst case; linear as a rule.
    package static func judge(_ history: [Operation], steps: Int = 400_000) -> Verdict {
        var isUndecided = false
        for part in parts(of: history) {
            var search = LinearizationSearch(part)
            switch search.run(steps: steps) {
            case .linearizable: continue
            case .undecided: isUndecided = true
            case .violated(let operations): return .violated(operations)
            }
        }
        return isUndecided ? .undecided : .linearizable
    }

    /// Operations that share no key, not even by others between them, cannot disturb each other: each such group is
    /// linearizable by itself exactly where all are together.
    static func parts(of history: [Operation]) -> [[Operation]] {
        var groups: [(keys: UInt8, operations: [Operation])] = []
        for operation in history {
            // What was not carried out has no place in the order.
            if operation.ending == .notDone { continue }
            if operation.changesNothing, operation.ending == .unknown { continue }
            var keys = operation.keys
            var operations = [operation]
            groups.removeAll { group in
                guard group.keys & keys != 0 else { return false }
                keys |= group.keys
                operations = group.operations + operations
                return true
            }
            groups.append((keys, operations))
        }
        return groups.map(\.operations)
    }
}

/// The search for one group of operations.
private struct LinearizationSearch {
    /// By the time they were sent.
    private let operations: [Operation]
    private let ends: [Int64]
    /// Whether they have their place in the order already.
    private var isPlaced: [Bool]
    /// All before this one are placed.
    private var firstOpen = 0
    /// How many that must have a place have none.
    private var missing: Int
    private var state = SpaceVector()
    /// Mixes which operations are placed.
    private var mark: (UInt64, UInt64) = (0, 0)
    private var seen: Set<Configuration> = []

    private struct Configuration: Hashable {
        var mark: UInt64
        var check: UInt64
        var state: SpaceVector
    }

    private struct Choice {
        var candidates: [Int]
        var next = 0
        var placed: Int?
        var stateBefore: SpaceVector
    }

    init(_ operations: [Operation]) {
        self.operations = operations.sorted { ($0.invoked, $0.returned) < ($1.invoked, $1.returned) }
        ends = self.operations.map { $0.ending == .unknown ? .max : $0.returned }
        isPlaced = Array(repeating: false, count: operations.count)
        missing = ends.count { $0 < .max }
    }

    mutating func run(steps: Int) -> Linearizability.Verdict {
        var left = steps
        var best = missing
        var stuck: [Int] = []
        var choices = [Choice(candidates: candidates(), stateBefore: state)]
        while missing > 0 {
            left -= 1
            if left <= 0 { return .undecided }
            if tryNext(&choices[choices.count - 1]) {
                if missing < best {
                    best = missing
                    stuck = []
                }
                let open = candidates()
                if missing == best, stuck.isEmpty { stuck = open }
                choices.append(Choice(candidates: open, stateBefore: state))
            } else {
                choices.removeLast()
                guard !choices.isEmpty else {
                    return .violated(stuck.isEmpty ? operations : report(stuck))
                }
                takeBack(&choices[choices.count - 1])
            }
        }
        return .linearizable
    }

    /// What led up to the place where the search got stuck, and what it got stuck with.
    private func report(_ stuck: [Int]) -> [Operation] {
        let begin = max(0, (stuck.min() ?? 0) - 12)
        let end = min(operations.count, (stuck.max() ?? 0) + 1)
        return Array(operations[begin..<end])
    }

    /// The operations of which one must come next: those sent before any open one returned. The ones that returned first
    /// come first, since a service answers in its own order as a rule; the unknown ones come last.
    private func candidates() -> [Int] {
        var found: [Int] = []
        var bound = Int64.max
        var at = firstOpen
        while at < operations.count, operations[at].invoked <= bound {
            if !isPlaced[at] {
                found.append(at)
                bound = min(bound, ends[at])
            }
            at += 1
        }
        found.removeAll { operations[$0].invoked > bound }
        // What only reads, and fits, may be placed at once: no other order could gain by placing it later.
        if let read = found.first(where: { operations[$0].changesNothing && fits($0) }) { return [read] }
        return found.sorted { (ends[$0], $0) < (ends[$1], $1) }
    }

    private func fits(_ index: Int) -> Bool {
        var copy = state
        return SpaceModel.apply(operations[index].kind, to: &copy) == operations[index].ending
    }

    private mutating func tryNext(_ choice: inout Choice) -> Bool {
        while choice.next < choice.candidates.count {
            let index = choice.candidates[choice.next]
            choice.next += 1
            let before = state
            let told = SpaceModel.apply(operations[index].kind, to: &state)
            guard operations[index].ending == .unknown || operations[index].ending == told else {
                state = before
                continue
            }
            place(index, true)
            if seen.insert(Configuration(mark: mark.0, check: mark.1, state: state)).inserted {
                choice.placed = index
                choice.stateBefore = before
                return true
            }
            place(index, false)
            state = before
        }
        return false
    }

    private mutating func takeBack(_ choice: inout Choice) {
        guard let index = choice.placed else { return }
        choice.placed = nil
        place(index, false)
        state = choice.stateBefore
    }

    private mutating func place(_ index: Int, _ placed: Bool) {
        isPlaced[index] = placed
        mark.0 ^= SeededRandom.mix(UInt64(index) + 1)
        mark.1 ^= SeededRandom.mix(UInt64(index) &* 0xD605_BBB5_8C8A_BBAD &+ 7)
        if ends[index] < .max { missing += placed ? -1 : 1 }
        if placed {
            while firstOpen < operations.count, isPlaced[firstOpen] { firstOpen += 1 }
        } else {
            firstOpen = min(firstOpen, index)
        }
    }
}
