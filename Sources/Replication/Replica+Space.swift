import TupleCore
import TupleStore

/// How large the space may become.
extension Replica {
    /// How full the space is, as an operator is told.
    enum SpaceFullness: Hashable, Sendable {
        case roomy
        case nearlyFull
        case full
    }

    /// Operators are told from here on, in percent of the limit, …
    private static let nearlyFullPercent = 80
    /// … and that it is over from here down, so that it is not told again and again.
    private static let roomyPercent = 75
    private static let stillFullPercent = 95

    /// Why an update would make the space too large; nil where it does not.
    ///
    /// - Complexity: O(effects) where the space is nearly full.
    func spaceRefusal(_ effects: [Effect]) -> Answer? {
        let limit = settings.maximumSpaceBytes
        let size = state.space.map.byteCount
        let most = effects.reduce(0) { sum, effect in
            switch effect {
            case .added(let pair), .replaced(let pair): sum + pair.byteCount
            case .removed: sum
            }
        }
        guard most > 0, most > limit - size else { return nil }
        let growth = effects.reduce(0) { $0 + self.growth(by: $1) }
        guard growth > 0, growth > limit - size else { return nil }
        return Answer(
            status: .tooLarge,
            message:
                "the space takes \(size) of \(limit) bytes (--max-space) and would grow by \(growth); nothing was changed: remove something first"
        )
    }

    private func growth(by effect: Effect) -> Int {
        func bytes(of key: Tuple) -> Int { state.space.value(of: key).map { key.packed.count + $0.packed.count } ?? 0 }
        return switch effect {
        case .added(let pair): pair.byteCount
        case .replaced(let pair): pair.byteCount - bytes(of: pair.key)
        case .removed(let key): -bytes(of: key)
        }
    }

    /// Tells an operator, at a tick, where the space has become full or is not any more.
    mutating func noteFullness() {
        guard let before = active?.fullness else { return }
        let size = state.space.map.byteCount
        let limit = settings.maximumSpaceBytes
        func reaches(_ percent: Int) -> Bool { size / percent >= limit / 100 }
        var now = before
        // What a single small update may still add hardly counts.
        if size >= limit - Replica.restBytes(of: limit) || (before == .full && reaches(Replica.stillFullPercent)) {
            now = .full
        } else if reaches(Replica.nearlyFullPercent) {
            now = .nearlyFull
        } else if !reaches(Replica.roomyPercent) || before == .full {
            now = .roomy
        }
        guard now != before else { return }
        active?.fullness = now
        let fields: [LogLine.Field] = [.init("server", name), .init("bytes", size), .init("limit", limit)]
        switch now {
        case .roomy: log(.alert, "space-restored", fields)
        case .nearlyFull: log(.alert, "space-nearly-full", fields)
        case .full: log(.alert, "space-full", fields)
        }
    }

    /// Less than this counts as no room.
    private static func restBytes(of limit: Int) -> Int { limit / 100 }
}
