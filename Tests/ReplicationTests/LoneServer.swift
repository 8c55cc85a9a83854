import Replication
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// An active server of its own, with a proxy played by the test: nothing gives credit, and no step of a search is taken,
/// unless the test says so.
final class LoneServer {
    private(set) var replica: Replica
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    /// Response frames, in their order.
    private(set) var responses: [Frame] = []
    /// Steps that were handed out and not taken.
    private(set) var steps: [(id: SearchID, task: SearchTask)] = []
    private(set) var cancelled: Set<SearchID> = []
    private(set) var stepsTaken = 0
    private var takeOver = RequestSequence(0)
    private let matcher = Matcher()
    private let epoch = Epoch(1)

    init(pairs: [Pair] = [], _ change: (inout ReplicaSettings) -> Void = { _ in }) {
        let name = nodeID("a")
        var settings = ReplicaSettings(
            name: name, address: "a:1", rule: .text, heartbeatInterval: .milliseconds(100), heartbeatMisses: 3,
            resync: .auto, imported: pairs)
        change(&settings)
        replica = Replica(
            settings: settings, state: ReplicatedState(rule: .text), record: nil,
            at: Moment(instant: now, wallMilliseconds: 1_000))
        happen(.proxyConnected)
        let record = SwitchRecord(
            cluster: ClusterID(7), epoch: epoch, version: 1, active: name, inSync: [name], rule: .text)
        happen(.proxyFrame(View(record: nil, members: [.init(name: name, address: "a:1")]).frame))
        happen(.proxyFrame(SwitchReply(granted: true, record: record).frame(sequence: takeOver)))
        flush()
        precondition(replica.status.role == "active", "the server is \(replica.status.role)")
    }

    func happen(_ event: Event) {
        let moment = Moment(instant: now, wallMilliseconds: now.nanoseconds / 1_000_000)
        for action in replica.step(event, at: moment) {
            switch action {
            case .appendToJournal(_, let entries):
                if let last = entries.last { happen(.durable(last.position.index)) }
            case .sendToProxy(let run):
                for frame in run {
                    if frame.type == .response { responses.append(frame) }
                    if frame.type == .takeOver { takeOver = frame.header.sequence }
                }
            case .search(let id, let task): steps.append((id, task))
            case .cancelSearch(let id): cancelled.insert(id)
            default: break
            }
        }
        #expect(replica.checkInvariants() == [])
    }

    func flush() { for _ in 0..<3 { happen(.flush(isEarly: false)) } }

    /// Lets time pass.
    func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while now < end {
            now = now.advanced(by: .milliseconds(50))
            // The proxy is heard.
            happen(.proxyFrame(Frame(Header(.proxyHeartbeatReply, epoch: epoch))))
            happen(.tick)
        }
    }

    // MARK: Requests

    @discardableResult
    func ask(
        _ operatorName: String, _ payload: Term, client: UInt64, session: UInt64? = nil, sequence: UInt64 = 1,
        isExplained: Bool = false
    ) -> Header {
        let header = Header(
            .request, flags: isExplained ? .explain : [], session: SessionID(session ?? 1_000 + client),
            sequence: RequestSequence(sequence), epoch: epoch, connection: ConnectionIndicator(client),
            lowWater: RequestSequence(1))
        let request = Request(operatorName: operatorName, payload: payload)
        happen(.proxyFrame(Frame(header, payload: request.payloadBytes)))
        flush()
        return header
    }

    @discardableResult
    func get(_ key: String = ".*", _ value: String = ".*", client: UInt64, sequence: UInt64 = 1) -> Header {
        ask("GET", .list([.string(key), .string(value)]), client: client, sequence: sequence)
    }

    /// So many GETs of one key in one turn of the loop, each of a client of its own.
    func askTogether(_ count: Int, _ key: String) -> [Header] {
        let payload = Request(operatorName: "GET", payload: .list([.string(key), .string(".*")])).payloadBytes
        let headers = (1...count).map { number in
            Header(
                .request, session: SessionID(UInt64(10_000 + number)), sequence: RequestSequence(1), epoch: epoch,
                connection: ConnectionIndicator(UInt64(10_000 + number)), lowWater: RequestSequence(1))
        }
        var run = FrameRun()
        for header in headers { run.append(Frame(header, payload: payload)) }
        happen(.proxyFrames(run))
        happen(.flush(isEarly: true))
        return headers
    }

    var bytesSent: Int { responses.reduce(0) { $0 + $1.payload.count } }

    func give(_ bytes: Int, to request: Header) {
        happen(.proxyFrame(Credit(bytes: UInt32(bytes)).frame(for: request)))
        flush()
    }

    func leave(_ client: UInt64) {
        happen(.proxyFrame(Frame(Header(.cancel, epoch: epoch, connection: ConnectionIndicator(client)))))
        flush()
    }

    // MARK: Steps

    /// Takes the first step that was handed out.
    ///
    /// - Returns: false where there is none.
    @discardableResult
    func step() -> Bool {
        guard !steps.isEmpty else { return false }
        let (id, task) = steps.removeFirst()
        let cancellation = Cancellation()
        if cancelled.remove(id) != nil { cancellation.cancel() }
        stepsTaken += 1
        happen(.searched(id, task.run(matcher, cancellation: cancellation)))
        flush()
        return true
    }

    /// Takes steps until there is none.
    func run(atMost limit: Int = 20_000) {
        for _ in 0..<limit where !step() { return }
        Issue.record("more than \(limit) steps")
    }

    // MARK: Answers

    func frames(of request: Header) -> [Frame] {
        responses.filter {
            $0.header.connection == request.connection && $0.header.session == request.session
                && $0.header.sequence == request.sequence
        }
    }

    func bytes(of request: Header) -> Int { frames(of: request).reduce(0) { $0 + $1.payload.count } }

    /// What has come of an answer since its last beginning, and whether it is whole.
    func answer(to request: Header) -> (answer: Answer, isWhole: Bool)? {
        var whole: Answer?
        var isWhole = false
        for frame in frames(of: request) {
            guard let part = try? Answer(decoding: frame.payload) else {
                Issue.record("a frame of an answer cannot be decoded")
                return nil
            }
            if frame.header.flags.contains(.first) { whole = part } else { whole?.append(part) }
            isWhole = !frame.header.flags.contains(.more)
        }
        return whole.map { ($0, isWhole) }
    }
}

extension Pair {
    static func of(_ key: String, _ value: String) -> Pair {
        guard let key = try? Tuple(elements: [[UInt8](key.utf8)], rule: .text),
            let value = try? Tuple(elements: [[UInt8](value.utf8)], rule: .text)
        else { preconditionFailure("a sound pair") }
        return Pair(key: key, value: value)
    }

    /// So many pairs `k000000` and up, with values of so many bytes.
    static func many(_ count: Int, valueBytes: Int) -> [Pair] {
        (0..<count).map { number in
            let digits = String(number)
            let key = "k" + String(repeating: "0", count: 6 - digits.count) + digits
            return .of(key, String(repeating: "v", count: valueBytes))
        }
    }
}
