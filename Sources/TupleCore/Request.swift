/// What a client asks for: an operator by its name and a payload, either of which may be nonsense.
public struct Request: Hashable, Sendable {
    /// `GET`, `PUT`, `POST`, `DELETE`, or anything else, which is answered `not-implemented`.
    public var operatorName: String
    public var payload: Term
    /// Whether the answer is to say how it was found; GET and DELETE can. On the wire a flag of the header.
    public var isExplained: Bool
    public init(operatorName: String, payload: Term, isExplained: Bool = false) {
        self.operatorName = operatorName
        self.payload = payload
        self.isExplained = isExplained
    }

    /// Whether it can have changed anything where it was carried out.
    public var mayChange: Bool {
        switch Operator(rawValue: operatorName) {
        case .put, .post, .delete: true
        case .get, nil: false
        }
    }
}

/// The four operators; their names are case-sensitive.
public enum Operator: String, Sendable, CaseIterable {
    case get = "GET"
    case put = "PUT"
    case post = "POST"
    case delete = "DELETE"
}

/// How a request ended. The raw value is the code on the wire.
public enum Status: UInt8, Sendable, CaseIterable {
    case ok = 0
    /// PUT or POST whose payload is no list; a batch line that is no request.
    case malformed = 1
    case notImplemented = 2
    /// The match exceeded its work budget; nothing was returned or removed.
    case tooCostly = 3
    case tooLarge = 4
    /// The client limit is reached, or the client is not authorised.
    case refused = 5
    /// The request was not carried out.
    case unavailable = 6
    /// The request may or may not have been carried out.
    case unknown = 7

    /// The word in the answers of the command line and of HTTP.
    public var name: String {
        switch self {
        case .ok: "ok"
        case .malformed: "malformed"
        case .notImplemented: "not-implemented"
        case .tooCostly: "too-costly"
        case .tooLarge: "too-large"
        case .refused: "refused"
        case .unavailable: "unavailable"
        case .unknown: "unknown"
        }
    }
}

/// Why PUT or POST gave an item of its list back. The raw value is the code on the wire.
public enum Reason: UInt8, Sendable, CaseIterable {
    /// PUT: the key is there already.
    case exists = 0
    /// POST: the key is not there.
    case absent = 1
    /// It is no pair of two tuples that the space allows.
    case malformed = 2

    public var name: String {
        switch self {
        case .exists: "exists"
        case .absent: "absent"
        case .malformed: "malformed"
        }
    }
}

/// An item of a PUT or POST list that was not used, as it was given.
public struct Rejected: Hashable, Sendable {
    public var item: Term
    public var reason: Reason
    public init(item: Term, reason: Reason) {
        self.item = item
        self.reason = reason
    }
}

/// A whole answer, put together.
public struct Answer: Hashable, Sendable {
    public var status: Status
    /// What happened, why, and what to do; empty with `ok`.
    public var message: String
    /// Beside an `ok` answer: why a malformed expression matched nothing. Empty where there is nothing to warn of.
    public var warning: String
    /// GET and DELETE: what matched.
    public var pairs: [Pair]
    /// PUT and POST: what was not used.
    public var rejected: [Rejected]
    /// How the answer was found, for people; empty where nobody asked.
    public var explanation: String

    public init(
        status: Status = .ok, message: String = "", warning: String = "", pairs: [Pair] = [],
        rejected: [Rejected] = [], explanation: String = ""
    ) {
        self.status = status
        self.message = message
        self.warning = warning
        self.pairs = pairs
        self.rejected = rejected
        self.explanation = explanation
    }
}
