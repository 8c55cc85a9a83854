/// Whether a simulated process runs or stands still, what waits for it to go on, and when it is to stop in the middle of
/// a step.
struct Standstill {
    /// What becomes of a process before its next action.
    enum Verdict { case goesOn, dies, freezes }

    private(set) var isFrozen = false
    /// What would have been called while the process was frozen.
    private var late: [() -> Void] = []
    /// After so many more actions the process dies, or freezes.
    private var actionsLeft: Int?
    private var stopsByFreezing = false

    /// - Returns: false where it is frozen already.
    mutating func freeze() -> Bool {
        guard !isFrozen else { return false }
        isFrozen = true
        return true
    }

    /// - Returns: what has waited, in its order; nil where it is not frozen.
    mutating func thaw() -> [() -> Void]? {
        guard isFrozen else { return nil }
        isFrozen = false
        defer { late = [] }
        return late
    }

    mutating func hold(_ body: @escaping () -> Void) { late.append(body) }

    mutating func stop(afterActions count: Int, byFreezing: Bool) {
        actionsLeft = count
        stopsByFreezing = byFreezing
    }

    mutating func forgetStop() { actionsLeft = nil }

    mutating func beforeAction() -> Verdict {
        guard let left = actionsLeft else { return .goesOn }
        guard left > 0 else {
            actionsLeft = nil
            return stopsByFreezing ? .freezes : .dies
        }
        actionsLeft = left - 1
        return .goesOn
    }
}
