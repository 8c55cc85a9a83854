/// What clients' answers take, and may take, of a proxy's memory.
///
/// A client's charge is what servers may still send for its requests (reserved when a request is passed on, and when credit is
/// given for a stream) and what was sent to it and has not been written to its socket. A request is passed on where its
/// reservation fits into the room that is left and into the client's share; else it waits.
///
/// Half of the limit is shared: a client's share is a part of what is *left* of it, so that it shrinks while others take much
/// (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998). The other half is for
/// clients that are charged with nothing: each may have one request on its way whatever others hold.
struct AnswerBudget: Sendable {
    /// In all.
    let limit: Int
    /// Of one client, however much room there is.
    let clientLimit: Int
    /// What all clients are charged with.
    private(set) var charged = 0

    /// One client may have so large a part of what is left of the shared half: with eight that take all they may, half of it is
    /// left.
    private static let shareDivisor = 8

    init(limit: Int, clientLimit: Int) {
        self.limit = limit
        self.clientLimit = clientLimit
    }

    var room: Int { max(0, limit - charged) }
    private var sharedRoom: Int { max(0, limit / 2 - charged) }
    /// What a client may be charged with beyond one request.
    var share: Int { min(clientLimit, sharedRoom / AnswerBudget.shareDivisor) }
    /// Whether so much is in use that shares may be short.
    var isTight: Bool { charged > limit / 2 }

    enum Verdict: Sendable {
        case fits
        /// It goes on when something of this very client's has been answered or read.
        case exceedsShare
        /// It goes on when something of anybody's has.
        case exceedsRoom
    }

    /// Whether `bytes` may be added to a client that is charged with so much. One that is charged with nothing needs no share.
    func verdict(on bytes: Int, chargedAlready: Int) -> Verdict {
        if bytes > room { return .exceedsRoom }
        return chargedAlready == 0 || chargedAlready + bytes <= share ? .fits : .exceedsShare
    }

    /// What a stream may be given credit for: as much as is wanted, while the shared half has it; else the least, for a client
    /// that is charged with nothing; else nothing.
    func credit(wanted: Int, least: Int, chargedAlready: Int) -> Int {
        let shared = min(wanted, sharedRoom)
        if shared >= least { return shared }
        return chargedAlready == 0 && room >= least ? least : 0
    }

    mutating func charge(_ bytes: Int) { charged += bytes }

    mutating func release(_ bytes: Int) {
        charged -= bytes
        precondition(charged >= 0, "more is released than was charged")
    }

    /// What is kept for the answer of a request with this payload, in bytes: no more than a direct answer takes; what is
    /// larger is a stream and asks for more.
    ///
    /// PUT and POST give back at most what they were given, all others what the space holds.
    static func reservation(_ payload: UnsafeRawBufferPointer, atMost direct: Int) -> Int {
        // A length of 3 or 4, then `PUT` or `POST`.
        let givesBack =
            payload.count > 4 && payload[1] == UInt8(ascii: "P")
            && (payload[0] == 3 && payload[2] == UInt8(ascii: "U") && payload[3] == UInt8(ascii: "T")
                || payload[0] == 4 && payload[2] == UInt8(ascii: "O") && payload[3] == UInt8(ascii: "S")
                    && payload[4] == UInt8(ascii: "T"))
        return givesBack ? min(payload.count + plainAnswerBytes, direct) : direct
    }

    /// An answer without pairs or items takes at most so much, words and header included.
    private static let plainAnswerBytes = 1_024
}
