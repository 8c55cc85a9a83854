import Calling
package import Runtime
package import TupleCore
import WireProtocol

/// A client of the service on an event loop: carries out what its ``ClientSession`` decides.
///
/// Every request that is submitted gets exactly one answer, in the time that was set at the latest; takeovers, lost
/// connections and restarted proxies are a pause in between.
package final class ServiceClient {
    private let loop: EventLoop
    private let proxies: [Address]
    private var session: ClientSession
    private var connection: Connection?
    private var decoder = FrameDecoder()
    private var handlers: [RequestSequence: (Answer) -> Void] = [:]
    private var connectDelay: Timer?
    private var wake: Timer?
    /// Called with what is waited for, when nothing has come for a second, and again when that has changed.
    package var onSilence: ((String) -> Void)?
    private var silence: Timer?
    private var lastProgress = Instant(nanoseconds: 0)
    private var said = ""
    private static let silenceThatIsTold = Duration.seconds(1)
    /// On all connections together.
    package private(set) var bytesReceived = 0

    /// - Parameters:
    ///   - proxies: the proxies' addresses for clients, tried in turn; at least one.
    ///   - timeout: how long a request may take.
    ///   - operation: the name of the first request; by default the session is drawn at random.
    /// - Throws: where the kernel gives no random number for the session.
    package init(
        on loop: EventLoop, proxies: [Address], timeout: Duration, operation: OperationID? = nil
    ) throws(SystemError) {
        self.loop = loop
        self.proxies = proxies
        var number = operation?.session.number ?? 0
        while number == 0 { number = try randomUInt64() }
        session = ClientSession(
            ClientSession.Settings(
                session: SessionID(number), proxies: proxies.count, timeout: timeout, agent: Product.agent))
    }

    /// Requests that have no answer yet.
    package var outstanding: Int { session.outstanding }

    /// Sends `request`; `then` is called once, from the loop.
    ///
    /// An answer `unknown` says under which name its outcome can be asked for.
    package func submit(_ request: Request, then: @escaping (Answer) -> Void) {
        let (sequence, actions) = session.submit(request, at: loop.now)
        let operation = OperationID(session: session.settings.session, sequence: sequence)
        let sent = loop.now
        if handlers.isEmpty { progressed() }
        handlers[sequence] =
            request.mayChange
            ? { [loop] answer in
                guard answer.status == .unknown else { return then(answer) }
                then(answer.toBeAskedFor(as: operation, sent: loop.now.duration(since: sent)))
            } : then
        carryOut(actions)
    }

    private func progressed() {
        lastProgress = loop.now
        said = ""
        guard onSilence != nil, silence == nil else { return }
        let timer = Timer(on: loop) { [weak self] in self?.lookForSilence() }
        silence = timer
        timer.schedule(after: ServiceClient.silenceThatIsTold)
    }

    private func lookForSilence() {
        guard !handlers.isEmpty else {
            silence = nil
            return
        }
        let left = ServiceClient.silenceThatIsTold - loop.now.duration(since: lastProgress)
        guard left <= .zero else {
            silence?.schedule(after: left)
            return
        }
        let words = session.situation
        if words != said { onSilence?("waiting: \(words) (--timeout \(session.settings.timeout.unitText))") }
        said = words
        silence?.schedule(after: ServiceClient.silenceThatIsTold)
    }

    private func handle(_ event: ClientSession.Event) { carryOut(session.handle(event, at: loop.now)) }

    private func carryOut(_ actions: [ClientSession.Action]) {
        for action in actions {
            switch action {
            case .connect(let proxy, let delay): connect(to: proxies[proxy], after: delay)
            case .send(let frame): connection?.send { frame.encode(into: &$0) }
            case .disconnect: disconnect()
            case .answer(let sequence, let answer):
                // From a fresh iteration: whoever is answered may submit again, and the session is at work here.
                guard let handler = handlers.removeValue(forKey: sequence) else { continue }
                loop.soon { handler(answer) }
            case .wake(let instant): wake(at: instant)
            }
        }
    }

    private func wake(at instant: Instant) {
        let timer = wake ?? Timer(on: loop) { [weak self] in self?.handle(.woken) }
        wake = timer
        timer.schedule(after: instant.duration(since: loop.now))
    }

    private func connect(to address: Address, after delay: Duration) {
        disconnect()
        guard delay > .zero else { return connect(to: address) }
        let timer = Timer(on: loop) { [weak self] in self?.connect(to: address) }
        timer.schedule(after: delay)
        connectDelay = timer
    }

    private func connect(to address: Address) {
        connectDelay = nil
        let connection = Connection(on: loop)
        self.connection = connection
        decoder = FrameDecoder()
        // Requests on their way are bounded by those who submit them; the proxy may take its time.
        connection.maximumOutgoingBytes = .max
        connection.onConnected = { [weak self, weak connection] in
            connection?.enableKeepalive(after: .seconds(10))
            self?.handle(.connected)
        }
        connection.onBytes = { [weak self, weak connection] bytes in
            guard let self, let connection, self.connection === connection else { return }
            self.receive(bytes, from: connection)
        }
        connection.onClose = { [weak self, weak connection] reason in
            guard let self, let connection, self.connection === connection else { return }
            self.connection = nil
            self.handle(.disconnected(ServiceClient.words(reason, address)))
        }
        // The session's own deadline comes first.
        connection.connect(to: address, timeout: session.settings.handshakeTimeout * 2)
    }

    static func words(_ reason: CloseReason, _ address: Address) -> String {
        switch reason {
        case .resolutionFailed, .connectFailed, .connectTimedOut: reason.description
        case .closedHere, .endOfStream, .failed, .slowReader, .flushTimedOut, .loopClosed:
            "the connection to \(address) broke: \(reason)"
        }
    }

    private func receive(_ bytes: UnsafeRawBufferPointer, from connection: Connection) {
        bytesReceived += bytes.count
        if session.isWelcome { progressed() }
        decoder.append(bytes)
        do throws(FrameError) {
            // Handling a frame may end this very connection.
            while self.connection === connection, let frame = try decoder.next() { handle(.received(frame)) }
        } catch {
            disconnect()
            handle(.disconnected(error.explanation))
        }
    }

    private func disconnect() {
        connectDelay = nil
        let connection = connection
        self.connection = nil
        connection?.onClose = nil
        connection?.close()
    }
}

extension Answer {
    /// How old the operation is when somebody asks, only that one knows: the time when it was sent goes along.
    ///
    /// - Parameter age: how long ago it was sent.
    fileprivate func toBeAskedFor(as operation: OperationID, sent age: Duration) -> Answer {
        var time: [UInt8] = []
        WallClock.appendTimestamp(WallClock.milliseconds() - age.wholeMilliseconds, to: &time)
        var answer = self
        answer.message +=
            "; to ask later: \(Product.name) op \(operation.text) --age AGE, where AGE is no less than the time since \(String(decoding: time, as: UTF8.self))"
        return answer
    }
}
