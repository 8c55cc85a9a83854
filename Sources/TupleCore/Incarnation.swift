/// One start of a server on one data directory.
///
/// The switch's record keeps the last incarnation of each member that it has seen. A member that brings an incarnation
/// which does not continue that one stands on another directory, or on an older copy of its own: it may lack what it is
/// recorded to hold.
public struct Incarnation: Hashable, Sendable {
    /// The directory: drawn at random at its first start.
    public var directory: UInt64
    /// How often a server was started on the directory, this start included: at least 1.
    public var starts: UInt64
    /// The start: drawn at random. Two copies of a directory have the same count after a start each, but not this.
    public var life: UInt64

    public init(directory: UInt64, starts: UInt64, life: UInt64) {
        self.directory = directory
        self.starts = starts
        self.life = life
    }
}

/// An incarnation with those before it: what a server shows when it registers.
public struct Lineage: Hashable, Sendable {
    /// How many earlier lives a directory remembers.
    public static let maximumEarlierLives = 32

    public var incarnation: Incarnation
    /// The lives before this one, the latest first; ``maximumEarlierLives`` at most.
    public var earlierLives: [UInt64]

    public init(incarnation: Incarnation, earlierLives: [UInt64] = []) {
        self.incarnation = incarnation
        self.earlierLives = Array(earlierLives.prefix(Self.maximumEarlierLives))
    }

    /// The next start on the same directory.
    ///
    /// - Parameter life: drawn at random.
    public func next(life: UInt64) -> Lineage {
        let now = Incarnation(directory: incarnation.directory, starts: incarnation.starts + 1, life: life)
        return Lineage(incarnation: now, earlierLives: [incarnation.life] + earlierLives)
    }

    /// Why this is not what became of the directory that `known` was started on, in words; nil where it is.
    ///
    /// A directory that was started more often than it remembers lives since is believed: its count says that it is newer.
    public func contradiction(of known: Incarnation) -> String? {
        guard incarnation.directory == known.directory else {
            return "it stands on another data directory than the one that was known to hold every acknowledged write"
        }
        if incarnation == known || earlierLives.contains(known.life) { return nil }
        let (reach, isBeyond) = known.starts.addingReportingOverflow(UInt64(earlierLives.count))
        if !isBeyond, earlierLives.count == Self.maximumEarlierLives, incarnation.starts > reach { return nil }
        return "its data directory is an older copy of the one that was known to hold every acknowledged write "
            + "(start \(incarnation.starts) of it does not follow start \(known.starts))"
    }
}
