/// How far back forgotten sessions reach, in logged time.
///
/// It comes from what was forgotten, never from a clock: see `specs/0003-operators.md`, section 7.1.
public enum ForgettingHorizon: Hashable, Sendable {
    /// Release 0.1 forgot by a rule of its own, at times that a wall clock could move: nothing can be said.
    case unknown
    /// Nothing was ever forgotten.
    case nothingForgotten
    /// Every forgotten session was last used at this logged time or before, in milliseconds.
    case upTo(Int64)

    /// Whether everything that was carried out after this logged time is remembered for certain.
    public func isBefore(_ time: Int64) -> Bool {
        switch self {
        case .unknown: false
        case .nothingForgotten: true
        case .upTo(let horizon): horizon < time
        }
    }

    /// What holds after an entry of the log has stated this. What was stated before goes on to hold.
    public func raised(by stated: ForgettingHorizon) -> ForgettingHorizon {
        switch (self, stated) {
        case (_, .unknown): self
        case (.unknown, _): stated
        case (_, .nothingForgotten): self
        case (.nothingForgotten, .upTo): stated
        case (.upTo(let known), .upTo(let new)): .upTo(max(known, new))
        }
    }
}
