import TupleCore

/// When written entries are made durable, and so what an answer to a client promises.
public enum SyncPolicy: Hashable, Sendable {
    /// An answer waits until the entry is on stable storage (`fdatasync`) of every server that counts. Nothing answered
    /// is lost, even where all servers lose power at the same instant. The default.
    case always
    /// An answer waits for the write only; a sync follows at least this often. A crash of a process loses nothing; where
    /// all servers lose power at the same instant, what was answered within the interval before may be lost. What is
    /// lost is always the newest; what remains has no holes. Range: 1 ms to 1 hour.
    case interval(Duration)
    /// An answer waits for the write only; the operating system writes to the disk when it pleases. A crash of a process
    /// loses nothing; where all servers lose power at the same instant, any number of the newest answered entries may be
    /// lost. What remains has no holes.
    case never
}

/// The journal's settings.
public struct JournalSettings: Hashable, Sendable {
    /// The size a segment is created with, zero-filled. Range: 4 KiB to 256 MiB, a multiple of 4,096. An entry that does
    /// not fit gets a larger segment of its own.
    public var segmentBytes: Int
    /// How much log that snapshots already cover is kept, so that a server that was away for a while catches up from
    /// the log. Range: 0 to 1 TiB.
    public var retainedLogBytes: Int
    public var syncPolicy: SyncPolicy

    public init(
        segmentBytes: Int = 16 * 1_048_576, retainedLogBytes: Int = 64 * 1_048_576, syncPolicy: SyncPolicy = .always
    ) {
        self.segmentBytes = segmentBytes
        self.retainedLogBytes = retainedLogBytes
        self.syncPolicy = syncPolicy
    }

    /// The settings themselves where each is in its range.
    /// - Throws: `JournalError.invalidSetting` with the name, the value and the range.
    public func validated() throws(JournalError) -> JournalSettings {
        guard (4_096...SegmentFormat.maximumSegmentBytes).contains(segmentBytes), segmentBytes.isMultiple(of: 4_096)
        else {
            throw .invalidSetting(
                "segmentBytes is \(segmentBytes); it must be a multiple of 4096 from 4096 to "
                    + "\(SegmentFormat.maximumSegmentBytes)")
        }
        guard (0...(1 << 40)).contains(retainedLogBytes) else {
            throw .invalidSetting("retainedLogBytes is \(retainedLogBytes); it must be from 0 to \(1 << 40)")
        }
        switch syncPolicy {
        case .always, .never: break
        case .interval(let interval):
            guard interval >= .milliseconds(1), interval <= .seconds(3_600) else {
                throw .invalidSetting("the sync interval is \(interval); it must be from 1 ms to 1 hour")
            }
        }
        return self
    }
}
