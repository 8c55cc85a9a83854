import Replication
import Routing
import TupleCore
import WireProtocol

/// A client of the suite, with one session, which may outlive its connections.
final class WireClient {
    let session: SessionID
    unowned let wire: Wire
    private(set) var connection: UInt64 = 0
    var isOpen = false
    private(set) var refusal: String?
    private(set) var isWelcome = false
    /// Whole answers, by sequence.
    private(set) var answers: [UInt64: Answer] = [:]
    /// In the order in which they came.
    private(set) var order: [UInt64] = []
    private var partial: [UInt64: Answer] = [:]
    /// All requests ever made, by sequence.
    private(set) var requests: [UInt64: Request] = [:]
    private(set) var lastSequence: UInt64 = 0

    init(_ wire: Wire, session: UInt64) {
        self.wire = wire
        self.session = SessionID(session)
    }

    /// Opens a new connection, in place of an older one.
    func connect(greeting: Bool = true) {
        wire.close(.client(connection))
        connection = wire.number()
        isOpen = true
        isWelcome = false
        refusal = nil
        partial = [:]
        wire.clients[connection] = self
        wire.open(.client(connection), .proxyToClient(connection))
        if greeting { send(Hello(agent: "wire").frame) }
    }

    func disconnect() {
        wire.close(.client(connection))
        isOpen = false
    }

    func send(_ frame: Frame) { wire.send(frame, from: .client(connection)) }

    // MARK: Requests

    @discardableResult
    func request(_ operatorName: String, _ payload: Term) -> UInt64 {
        lastSequence += 1
        requests[lastSequence] = Request(operatorName: operatorName, payload: payload)
        transmit(lastSequence)
        return lastSequence
    }

    /// Sends a request, for the first time or again.
    func transmit(_ sequence: UInt64) {
        guard let request = requests[sequence] else { return }
        send(
            Frame(
                Header(
                    .request, session: session, sequence: RequestSequence(sequence),
                    lowWater: RequestSequence(lowWater)),
                payload: request.payloadBytes))
    }

    /// Every request below has its answer.
    var lowWater: UInt64 { (1...(lastSequence + 1)).first { answers[$0] == nil } ?? lastSequence + 1 }

    var unanswered: [UInt64] { requests.keys.filter { answers[$0] == nil }.sorted() }

    @discardableResult func put(_ key: String, _ value: String) -> UInt64 { request("PUT", .list([.pair(key, value)])) }
    @discardableResult func post(_ key: String, _ value: String) -> UInt64 {
        request("POST", .list([.pair(key, value)]))
    }
    @discardableResult func delete(_ key: String) -> UInt64 { request("DELETE", .list([.string(key), .string(".*")])) }
    @discardableResult func get(_ key: String) -> UInt64 { request("GET", .list([.string(key), .string(".*")])) }

    func isUpdate(_ sequence: RequestSequence) -> Bool {
        guard let request = requests[sequence.number] else { return false }
        return ["PUT", "POST", "DELETE"].contains(request.operatorName)
            && answers[sequence.number]?.warning.isEmpty ?? true
    }

    // MARK: Answers

    func receive(_ frame: Frame) {
        switch frame.type {
        case .welcome: isWelcome = true
        case .refused: refusal = (try? Refused(frame.payload).message) ?? "?"
        case .response:
            guard let part = try? Answer(decoding: frame.payload), frame.header.session == session else {
                wire.violate("a client got what is no answer of its session")
                return
            }
            if frame.header.connection != .none { wire.violate("an answer shows its connection indicator") }
            let sequence = frame.header.sequence.number
            if frame.header.flags.contains(.first) {
                partial[sequence] = part
            } else if partial[sequence] != nil {
                partial[sequence]?.append(part)
            } else {
                wire.violate("an answer without its beginning")
            }
            guard !frame.header.flags.contains(.more) else { return }
            answers[sequence] = partial.removeValue(forKey: sequence)
            order.append(sequence)
        default: wire.violate("a client got a frame of type \(frame.type)")
        }
    }

    /// Asks a request again that was answered `unknown` or not at all.
    func retry(_ sequence: UInt64) {
        answers[sequence] = nil
        transmit(sequence)
    }

    /// What an answer says, in a word: `ok`, `ok 2` (pairs), `exists`, `unavailable`, … ; `-` where there is none.
    func says(_ sequence: UInt64) -> String {
        guard let answer = answers[sequence] else { return "-" }
        guard answer.status == .ok else { return answer.status.name }
        if let rejected = answer.rejected.first { return rejected.reason.name }
        return answer.pairs.isEmpty ? "ok" : "ok \(answer.pairs.count)"
    }

    /// The value that a GET of one key showed.
    func shows(_ sequence: UInt64) -> String? {
        answers[sequence]?.pairs.first?.value.elements.first.map { String(decoding: $0, as: UTF8.self) }
    }
}

extension Wire {
    /// A client that is connected and welcome.
    func client(session: UInt64? = nil) -> WireClient {
        let client = WireClient(self, session: session ?? number() + 1_000)
        client.connect()
        settle()
        return client
    }

    /// An operator's command; its replies come into `operatorReplies` under the number returned.
    @discardableResult
    func command(_ name: String, _ argument: Term = .null) -> UInt64 {
        let id = number()
        open(.operatorConsole(id), .proxyToOperator(id))
        send(Hello(agent: "wire").frame, from: .operatorConsole(id))
        send(
            OperatorRequest(command: name, argument: argument).frame(sequence: RequestSequence(1)),
            from: .operatorConsole(id))
        settle()
        return id
    }
}
