/// The name of one operation, chosen by whoever starts it, so that anybody who knows the name can start it again without
/// a second effect, or ask what became of it. It stands for a session and the number of a request in it.
public struct OperationID: Hashable, Sendable {
    public var session: SessionID
    public var sequence: RequestSequence

    public static let maximumBytes = 256

    public init(session: SessionID, sequence: RequestSequence) {
        self.session = session
        self.sequence = sequence
    }

    /// Sixteen digits 0 to 9 and a to f are the session itself, and after a dot may come the request's number. Any other
    /// text stands for the session of its FNV-1a hash (64 bits), request 1.
    ///
    /// Nil for a text that is empty or longer than ``maximumBytes``, and where the session would be 0.
    public init?(_ text: String) {
        let bytes = [UInt8](text.utf8)
        guard (1...OperationID.maximumBytes).contains(bytes.count) else { return nil }
        var sequence: UInt64 = 1
        var number: UInt64
        if let (session, request) = OperationID.parsed(bytes[...]) {
            number = session
            sequence = request
        } else {
            number = 0xCBF2_9CE4_8422_2325
            for byte in bytes { number = (number ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        guard number != 0, sequence != 0 else { return nil }
        self.init(session: SessionID(number), sequence: RequestSequence(sequence))
    }

    private static func parsed(_ bytes: ArraySlice<UInt8>) -> (session: UInt64, sequence: UInt64)? {
        guard bytes.count >= 16 else { return nil }
        var session: UInt64 = 0
        for byte in bytes.prefix(16) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): session = session << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): session = session << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        let rest = bytes.dropFirst(16)
        if rest.isEmpty { return (session, 1) }
        let digits = rest.dropFirst()
        guard rest.first == UInt8(ascii: "."), !digits.isEmpty,
            digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let sequence = UInt64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        return (session, sequence)
    }

    /// The text that ``init(_:)`` reads: the session's sixteen digits, and the number where it is not 1.
    public var text: String {
        let digits = String(session.number, radix: 16)
        let session = String(repeating: "0", count: 16 - digits.count) + digits
        return sequence.number == 1 ? session : "\(session).\(sequence.number)"
    }
}

/// The question what became of an operation: a request of its own, which changes nothing.
public struct OutcomeQuestion: Hashable, Sendable {
    public var operation: OperationID
    /// It was sent first so long ago at the most, in milliseconds, when the question is carried out: a question that may wait
    /// for an active server counts the time that it has. Nil where whoever asks does not know. What is older than
    /// what the service forgets may have been carried out, and nobody knows it any more.
    public var ageMilliseconds: UInt64?

    /// The operator's name in the request.
    public static let operatorName = "OUTCOME"
    /// The warning of an answer that says for certain that the operation was not carried out.
    public static let notDone = "not-done"

    public init(operation: OperationID, ageMilliseconds: UInt64?) {
        self.operation = operation
        self.ageMilliseconds = ageMilliseconds
    }

    public var request: Request {
        Request(
            operatorName: OutcomeQuestion.operatorName,
            payload: .list([
                .string([UInt8](operation.text.utf8)), ageMilliseconds.map { .number("\($0)") } ?? .null,
            ]))
    }

    /// Nil where the payload is not a list of an operation's text and perhaps an age; `null` is no age.
    public init?(_ payload: Term) {
        guard case .list(let parts) = payload, (1...2).contains(parts.count), case .string(let text) = parts[0],
            let operation = OperationID(String(decoding: text, as: UTF8.self))
        else { return nil }
        switch parts.dropFirst().first {
        case nil, .null?: self.init(operation: operation, ageMilliseconds: nil)
        case .number(let age)?:
            guard let ageMilliseconds = UInt64(age) else { return nil }
            self.init(operation: operation, ageMilliseconds: ageMilliseconds)
        case .boolean?, .string?, .list?, .object?: return nil
        }
    }
}
