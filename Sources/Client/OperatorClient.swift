package import Runtime
import TupleCore
package import WireProtocol

/// Sends one command to the operators' port. An operator wants to know how things are now, so nothing is tried again:
/// the addresses are tried once each.
package final class OperatorClient {
    private let loop: EventLoop
    private var addresses: ArraySlice<Address>
    private let request: OperatorRequest
    private var then: ((OperatorReply) -> Void)?
    private var connection: Connection?
    private var decoder = FrameDecoder()
    private var deadline: EventLoop.OneShot?
    private var wasSent = false
    private var failure = ""

    /// Starts at once; `then` is called once, from the loop.
    @discardableResult
    package init(
        on loop: EventLoop, addresses: [Address], _ request: OperatorRequest, timeout: Duration,
        then: @escaping (OperatorReply) -> Void
    ) {
        self.loop = loop
        self.addresses = addresses[...]
        self.request = request
        self.then = then
        // Until the end, the deadline is what keeps this object alive.
        deadline = loop.after(timeout) { self.fail("no answer within \(timeout.unitText)") }
        connectToNext()
    }

    private func connectToNext() {
        guard let address = addresses.popFirst() else { return fail(failure) }
        let connection = Connection(on: loop)
        self.connection = connection
        decoder = FrameDecoder()
        connection.onConnected = { [unowned connection] in
            connection.send { Hello(agent: Product.agent).frame.encode(into: &$0) }
        }
        connection.onBytes = { [weak self] in self?.receive($0) }
        connection.onClose = { [weak self] reason in
            guard let self else { return }
            self.lost(ServiceClient.words(reason, address))
        }
        connection.connect(to: address, timeout: .seconds(2))
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) {
        decoder.append(bytes)
        do throws(FrameError) {
            while then != nil, let frame = try decoder.next() { handle(frame) }
        } catch {
            fail(error.explanation)
        }
    }

    private func handle(_ frame: Frame) {
        switch frame.type {
        case .welcome where !wasSent:
            wasSent = true
            connection?.send { request.frame(sequence: RequestSequence(1)).encode(into: &$0) }
        case .refused:
            let message = (try? Refused(frame.payload))?.message ?? ""
            finish(OperatorReply(status: .refused, message: message.isEmpty ? Status.refused.explanation : message))
        case .operatorReply where wasSent:
            guard let reply = try? OperatorReply(frame.payload) else {
                return fail("the proxy sent a reply that cannot be read")
            }
            finish(reply)
        default: fail("the proxy sent what it may not send here (frame type \(frame.type))")
        }
    }

    private func lost(_ reason: String) {
        connection = nil
        guard then != nil else { return }
        failure = reason
        if wasSent { fail(reason) } else { connectToNext() }
    }

    private func fail(_ reason: String) {
        // A question changes nothing, so that it was not carried out is true enough.
        let status: Status = wasSent && request.command != "status" ? .unknown : .unavailable
        let what = status == .unknown ? "the command may or may not have been carried out" : "nothing was changed"
        finish(OperatorReply(status: status, message: "\(reason); \(what)"))
    }

    private func finish(_ reply: OperatorReply) {
        guard let then else { return }
        self.then = nil
        deadline?.cancel()
        deadline = nil
        connection?.onClose = nil
        connection?.close()
        connection = nil
        loop.soon { then(reply) }
    }
}
