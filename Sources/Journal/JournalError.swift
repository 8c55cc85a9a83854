public import TupleCore

/// Why the journal could not do what was asked.
public enum JournalError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The data directory could not be read or written. `.diskFull` from `append` leaves the journal usable and without
    /// the entry; every other failure to write or sync is final (`isFinal`).
    case storage(StorageError)
    /// What is stored is damaged, and using it could lose or invent data.
    case corrupt(Finding)
    /// The file was written by another version of the format.
    case unknownVersion(file: String, found: UInt32, supported: UInt32)
    /// An earlier write or sync failed, so that what is on the disk is unknown: the process must be restarted.
    case failedBefore(StorageError)
    case invalidSetting(String)
    case payloadTooLarge(bytes: Int, maximumBytes: Int)
    /// An entry whose position does not follow the last one.
    case outOfOrder(expected: LogIndex, last: LogPosition, got: LogPosition)
    /// A position that this log does not hold (any more, or yet).
    case positionNotHeld(LogIndex)
    /// A reset to a position of which there is no complete snapshot.
    case snapshotMissing(LogPosition)
    /// A cursor over entries that were truncated or removed since.
    case superseded
    /// The name of a durable record is not allowed: 1 to 64 bytes of letters, digits, `-` and `_`.
    case invalidRecordName(String)
    /// The directory is not the one of who opens it: the text says whose it is, and what to do.
    case notOurs(String)

    /// Whether what is stored cannot be read as it was written: the copy is lost, and another one has to be fetched. A
    /// device that fails to read has lost what was there just as one that reads something else.
    public var isDamage: Bool {
        switch self {
        case .corrupt: true
        case .storage(let error): error.operation == .read && error.reason == .inputOutput
        case .unknownVersion, .failedBefore, .invalidSetting, .payloadTooLarge, .outOfOrder, .positionNotHeld,
            .snapshotMissing, .superseded, .invalidRecordName, .notOurs:
            false
        }
    }

    /// What there is too little of (room, descriptors), in words: nothing is broken, and the same may be tried again. Nil
    /// for every other error.
    public var shortage: String? {
        if case .storage(let error) = self { error.shortage } else { nil }
    }

    public var description: String {
        switch self {
        case .storage(let error): error.description
        case .corrupt(let finding): finding.description
        case .unknownVersion(let file, let found, let supported):
            "'\(file)' has format version \(found), and this program reads versions up to \(supported): use the program version "
                + "that wrote it"
        case .failedBefore(let error):
            "the journal is out of use since an earlier failure (\(error.description)): restart the process"
        case .invalidSetting(let text): text
        case .payloadTooLarge(let bytes, let maximum): "an entry of \(bytes) bytes is over the limit of \(maximum)"
        case .outOfOrder(let expected, let last, let got):
            "entry \(got.index.number) of epoch \(got.epoch.number) does not follow entry \(last.index.number) of epoch "
                + "\(last.epoch.number): expected index \(expected.number)"
        case .positionNotHeld(let index): "the log does not hold index \(index.number)"
        case .snapshotMissing(let position): "there is no complete snapshot of index \(position.index.number)"
        case .superseded: "the log was cut under a cursor"
        case .invalidRecordName(let name): "'\(name)' is not a name for a durable record"
        case .notOurs(let text): text
        }
    }
}

/// An entry of the log. What the payload means is the caller's business.
public struct JournalRecord: Hashable, Sendable {
    public var position: LogPosition
    public var payload: [UInt8]

    public init(_ position: LogPosition, payload: [UInt8]) {
        self.position = position
        self.payload = payload
    }
}

/// Runs a storage call, turning its error into the journal's.
func attempt<Result>(_ body: () throws(StorageError) -> Result) throws(JournalError) -> Result {
    do { return try body() } catch { throw .storage(error) }
}
