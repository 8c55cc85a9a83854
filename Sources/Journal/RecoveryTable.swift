public import TupleCore

/// Everything that recovery can meet in a data directory. `RecoveryTable` says what becomes of each.
public enum RecoveryCondition: String, Hashable, Sendable, CaseIterable {
    case emptyDirectory
    case cleanEnd
    case tornTail
    case lostUnsyncedRecords
    case tornSegmentHeader
    case badSegmentHeader
    case badRecordHeader
    case badRecordBody
    case durableRecordsLost
    case gapBetweenSegments
    case wrongIndex
    case olderEpoch
    case supersededSegment
    case missingSnapshot
    case badSnapshotWithFallback
    case badSnapshot
    case olderSnapshot
    case snapshotWithoutLog
    case logEndsBeforeSnapshot
    case logOfAnotherHistory
    case logContradictsSnapshot
    case temporaryFile
    case damagedCoveredSegment
    case badDurableRecord
    case unknownFile
    case unknownVersion
}

/// What recovery does about a condition.
public enum RecoveryDecision: Hashable, Sendable {
    /// All is as it should be.
    case use
    /// The file is not needed: it is removed, without ado.
    case remove
    /// What was never confirmed is cut off, and the operator is told.
    case truncateAndWarn
    /// It is usable, and the operator is told.
    case useAndWarn
    /// Nothing is used: starting would lose or invent data. The server fetches everything from its peer instead.
    case refuse
}

/// The decisions, as data: specs/0004-journal.md, "Recovery table".
public enum RecoveryTable {
    public struct Row: Sendable {
        public let condition: RecoveryCondition
        public let decision: RecoveryDecision
        /// What it is and why the decision is right, for the operator.
        public let explanation: String
    }

    public static let rows: [Row] = [
        row(.emptyDirectory, .use, "no log and no snapshot: a new server"),
        row(.cleanEnd, .use, "after the last record there are only zeros"),
        row(
            .tornTail, .truncateAndWarn,
            "the last write was cut short by a crash; nothing after it, and nothing of it had been confirmed"),
        row(
            .lostUnsyncedRecords, .truncateAndWarn,
            "a crash lost a part of what was not yet synced; intact records after it had not been confirmed either"),
        row(
            .tornSegmentHeader, .truncateAndWarn,
            "the segment was begun just before a crash, and nothing in it had been confirmed"),
        row(.badSegmentHeader, .refuse, "the head of a log segment is damaged"),
        row(.badRecordHeader, .refuse, "the head of a log record is damaged, not merely cut short"),
        row(.badRecordBody, .refuse, "the body of a log record is damaged, not merely cut short"),
        row(.durableRecordsLost, .refuse, "later records say that the missing ones had been durable"),
        row(.gapBetweenSegments, .refuse, "records that had been durable are missing between two segments"),
        row(.wrongIndex, .refuse, "an intact record carries another index than its place"),
        row(.olderEpoch, .refuse, "a record's epoch is older than that of the record before it"),
        row(.supersededSegment, .remove, "a leftover of a truncation that a crash interrupted"),
        row(.missingSnapshot, .refuse, "the log does not reach back to the beginning, and its snapshot is missing"),
        row(
            .badSnapshotWithFallback, .useAndWarn,
            "the newest snapshot is damaged; an older one, or the log alone, leads to the same state and beyond"),
        row(.badSnapshot, .refuse, "the newest snapshot is damaged, and nothing else leads to its state"),
        row(.olderSnapshot, .remove, "a newer complete snapshot replaces it"),
        row(.snapshotWithoutLog, .use, "a snapshot alone, as in a restored backup"),
        row(.logEndsBeforeSnapshot, .use, "the snapshot covers the whole log; a new log begins after it"),
        row(
            .logOfAnotherHistory, .truncateAndWarn,
            "a snapshot of a newer epoch was installed over this log, and a crash came before the log was dropped"),
        row(.logContradictsSnapshot, .refuse, "the log has a newer epoch at the snapshot's index than the snapshot"),
        row(.temporaryFile, .remove, "something that was not finished before a crash"),
        row(
            .damagedCoveredSegment, .remove,
            "a segment that the snapshot covers is damaged or does not join the log; only catching up needed it"),
        row(.badDurableRecord, .refuse, "the record is damaged; what it said has to come from elsewhere"),
        row(.unknownFile, .useAndWarn, "not a file of this program; it is left alone"),
        row(.unknownVersion, .refuse, "written by another version of the program"),
    ]

    public static subscript(condition: RecoveryCondition) -> Row {
        guard let row = rows.first(where: { $0.condition == condition }) else {
            preconditionFailure("the table has no row for \(condition.rawValue); a test checks that it has all")
        }
        return row
    }

    private static func row(_ condition: RecoveryCondition, _ decision: RecoveryDecision, _ explanation: String) -> Row
    {
        Row(condition: condition, decision: decision, explanation: explanation)
    }
}

/// A condition that was met, and where.
public struct Finding: Hashable, Sendable, CustomStringConvertible {
    public var condition: RecoveryCondition
    /// The file's name; empty where it is about the directory.
    public var file: String
    /// Bytes from the beginning of the file.
    public var offset: Int?
    /// The first index that is concerned.
    public var index: LogIndex?

    public init(_ condition: RecoveryCondition, file: String = "", offset: Int? = nil, index: LogIndex? = nil) {
        self.condition = condition
        self.file = file
        self.offset = offset
        self.index = index
    }

    public var decision: RecoveryDecision { RecoveryTable[condition].decision }

    public var description: String {
        var place = file.isEmpty ? "data directory" : "'\(file)'"
        if let offset { place += " at byte \(offset)" }
        if let index { place += ", index \(index.number)" }
        let outcome =
            switch decision {
            case .use: "used"
            case .remove: "removed"
            case .truncateAndWarn: "cut off here"
            case .useAndWarn: "used with care"
            case .refuse: "refused"
            }
        return "\(place): \(RecoveryTable[condition].explanation) (\(condition.rawValue), \(outcome))"
    }
}
