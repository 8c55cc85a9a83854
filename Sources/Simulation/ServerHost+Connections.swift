import Replication
package import TupleCore

/// A simulated server's connections, made and lost as those of `ServerProcess` are.
extension ServerHost {
    var acceptance: World.Acceptance { isOff ? .isSilent : replica == nil ? .refuses : .accepts }

    func connectToProxy() {
        let life = life
        world.dial(
            from: place, to: .proxy, timeout: ServerHost.connectTimeout,
            { [unowned self] in life == self.life ? world.proxy.acceptance : .refuses }
        ) { [unowned self] isAccepted in
            guard life == self.life else { return }
            if isAccepted {
                proxyEnd = LinkEnd(link: world.proxy.accept(self), side: 0)
            } else {
                proxyLost()
            }
        }
    }

    func closeProxy() {
        guard let end = proxyEnd else { return }
        world.close(end)
        proxyEnd = nil
        later { [unowned self] in proxyLost() }
    }

    /// Calls `body` from the loop, when the process is awake.
    func later(_ duration: Duration = .zero, _ body: @escaping () -> Void) {
        let life = life
        func call() {
            guard life == self.life else { return }
            guard !isFrozen else { return standstill.hold(call) }
            body()
        }
        world.after(duration, call)
    }

    func proxyLost() {
        guard !isFrozen else { return later { [unowned self] in proxyLost() } }
        proxyEnd = nil
        happened(.proxyLost(reason: "the connection was closed"))
        let life = life
        world.after(ServerHost.reconnectDelay) { [weak self] in
            guard let self, life == self.life else { return }
            connectToProxy()
        }
    }

    func dial(_ peer: PeerID, _ address: String) {
        let target = world.servers.first { $0.settings.address == address }
        let life = life
        dialing.insert(peer)
        world.dial(
            from: place, to: target?.place ?? place, timeout: ServerHost.connectTimeout,
            { [unowned self] in life == self.life ? target?.acceptance ?? .refuses : .refuses }
        ) { [unowned self] isAccepted in
            guard life == self.life, dialing.remove(peer) != nil else { return }
            if isAccepted, let target {
                target.accept(from: self, peer)
            } else {
                later { [unowned self] in happened(.peerLost(peer)) }
            }
        }
    }

    func accept(from dialer: ServerHost, _ peer: PeerID) {
        let number = PeerID(world.number())
        let link = world.open(.serverToPeer(dialer, peer), .serverToPeer(self, number))
        dialer.peers[peer] = LinkEnd(link: link, side: 0)
        peers[number] = LinkEnd(link: link, side: 1)
    }

    func lost(_ peer: PeerID) {
        guard !isFrozen else { return later { [unowned self] in lost(peer) } }
        guard peers.removeValue(forKey: peer) != nil else { return }
        happened(.peerLost(peer))
    }
}

extension Ending {
    var story: String {
        switch self {
        case .shutdown: "shutdown"
        case .failed(let reason): "failed: \(reason)"
        }
    }
}

extension LogLine {
    /// `ALERT takeover server=b epoch=2`.
    package var story: String {
        ([level.rawValue.uppercased(), event] + fields.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
    }
}
