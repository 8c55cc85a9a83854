/// The hard limits of the service, together in one place; the unit is last in each name.
public enum Limits {
    /// A server's name.
    public static let maximumNodeNameBytes = 64
    /// Servers that the switch's record names.
    public static let maximumMembers = 64
    /// Epochs, versions, log indexes and counts that are taken from a disk or a connection: one that is larger is refused,
    /// so that adding to one never overflows.
    public static let maximumNumber: UInt64 = 1 << 62
    /// One element of a tuple.
    public static let maximumElementBytes = 65_535
    /// A tuple in its packed form (elements, separators and boundary table).
    public static let maximumTupleBytes = 262_144
    /// Elements in one tuple.
    public static let maximumTupleElements = 4_096
    /// Pairs in one PUT or POST list.
    public static let maximumPairsPerRequest = 65_536
    /// The payload of one frame. A larger request is answered `too-large`; larger answers are sent in chunks.
    public static let maximumPayloadBytes = 16 * 1_048_576
    /// The payload of the first frame of who has not been greeted yet: a client, an operator, another server.
    public static let maximumGreetingBytes = 1_024
    /// The payload of a server's registration.
    public static let maximumRegistrationBytes = 65_536
    /// The payload of an operator's request.
    public static let maximumOperatorRequestBytes = 65_536
    /// What is kept of a frame that has not come whole, before there is a reservation for all of it.
    public static let unreservedFrameBytes = 65_536
    /// Frames that are longer than that and have begun to come, of all clients together.
    public static let maximumIncomingBytes = 64 * 1_048_576
    /// What a sender aims at when it cuts an answer, a snapshot or a run of log entries into frames.
    public static let preferredChunkBytes = 65_536
    /// The payload of an answer that is sent in one frame, at once. A larger answer is a stream of frames that goes on as the
    /// client takes it.
    public static let directAnswerBytes = 32_768
    /// Payload bytes of a streamed answer that may be sent before the proxy has given credit for more.
    ///
    /// As much as is reserved in the proxy for each request that it passes on: were it more, many requests at once would
    /// bring more than there is room for.
    public static let answerWindowBytes = 32_768
    /// What one GET may return, as packed bytes.
    public static let maximumAnswerBytes = 128 * 1_048_576
    /// What one DELETE may remove, as packed bytes: it is one log entry, and takes effect as one.
    public static let maximumEntryBytes = 12 * 1_048_576
    /// How deep lists and objects of a payload may nest.
    public static let maximumTermDepth = 64
    /// A number in a payload, as text.
    public static let maximumNumberBytes = 65_536
    /// Terms in a payload, the payload itself and all that nests in it.
    public static let maximumTermsPerPayload = 2 * 1_048_576
    /// Sessions that are remembered.
    public static let maximumSessions = 65_536
    /// Sessions that one entry of the log forgets.
    public static let maximumSessionsForgottenAtOnce = 256
    /// What the outcomes of one session may take, in bytes; a plain `ok` takes none.
    public static let maximumOutcomeBytesPerSession = 16 * 1_048_576
    /// What the outcomes of all sessions together may take, in bytes.
    public static let maximumOutcomeBytes = 64 * 1_048_576
    /// Outcomes kept for one session: as many requests of one client may be on their way at once.
    public static let maximumOutcomesPerSession = 4_096
}
