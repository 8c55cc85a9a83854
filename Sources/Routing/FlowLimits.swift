import TupleCore

/// How much a proxy holds and passes on, for one client and for all: what makes its memory, and each of its turns, bounded
/// whatever clients do (`specs/0005-takeover.md`, section 9). Production uses ``standard``; tests make it small.
public struct FlowLimits: Hashable, Sendable {
    /// Answers of all clients: what servers may still send of them, and what clients have not read. In bytes.
    public var answerBytes = 128 * 1_048_576
    /// Those of one client at most; while much is in use it is less, see ``AnswerBudget``.
    public var clientAnswerBytes = 4 * 1_048_576
    /// What is kept for the answer of a request when it is passed on, in bytes.
    public var directAnswerBytes = Limits.directAnswerBytes
    /// What a server may still send of a streamed answer at most, by credit, in bytes.
    public var answerWindowBytes = 256 * 1_024
    /// Unread bytes of a client beyond which it is asked for that they have been written.
    public var reportBytes = 64 * 1_024
    /// Unread bytes of a client beyond which it is not read from, and given no credit.
    public var unreadBytes = 256 * 1_024
    /// So many bytes have to be written to a client in ``progressTime``, where that many are unread.
    public var progressBytes = 256 * 1_024
    public var progressTime = Duration.seconds(10)
    /// The same while there is no room for anybody's next request.
    public var progressTimeWithoutRoom = Duration.seconds(1)
    /// Unanswered requests of all clients, each counted with what its keeping takes; one more is answered `unavailable`.
    public var requestBytes = 192 * 1_048_576
    /// Those of one client at most: it is not read from beyond that; while much is in use it is less.
    public var clientRequestBytes = 16 * 1_048_576
    /// Requests that the active server has and has not answered, as payload bytes; more wait here.
    public var passedBytes = 64 * 1_048_576
    /// Requests that waited and are passed on in one turn.
    public var requestsPerTurn = 256
    /// Their payload bytes; one request more may go beyond.
    public var bytesPerTurn = 1_048_576
    /// Clients that are looked at in one turn, where all have to be.
    public var clientsPerTurn = 1_024

    public static let standard = FlowLimits()

    public init() {}
}
