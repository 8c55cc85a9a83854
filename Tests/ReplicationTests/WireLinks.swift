import Replication
import Routing
import TupleCore
import WireProtocol

/// An end of a connection.
enum Port: Hashable {
    case proxyToServer(UInt64)
    case proxyToClient(UInt64)
    case proxyToOperator(UInt64)
    case nodeToProxy(String)
    case nodeToPeer(String, UInt64)
    case client(UInt64)
    case operatorConsole(UInt64)

    var node: String? {
        switch self {
        case .nodeToProxy(let name), .nodeToPeer(let name, _): name
        case .proxyToServer, .proxyToClient, .proxyToOperator, .client, .operatorConsole: nil
        }
    }

    var isProxy: Bool {
        switch self {
        case .proxyToServer, .proxyToClient, .proxyToOperator: true
        case .nodeToProxy, .nodeToPeer, .client, .operatorConsole: false
        }
    }

    /// The machine it is on, as cuts name it.
    var place: String { node ?? (isProxy ? "proxy" : "clients") }
}

/// A direction between two machines in which nothing arrives; what is sent waits, as TCP makes it wait.
struct Cut: Hashable {
    var from: String
    var to: String
}

/// A connection that is being opened.
struct Dial {
    var node: String
    var peer: PeerID
    var target: String
    var deadline: Instant
}

/// A connection.
final class Link {
    let ports: [Port]
    enum Item {
        case opened
        case frame(Frame)
        case closed
    }
    /// What is on its way from the port of the same number.
    var queues: [[Item]] = [[.opened], [.opened]]
    /// Whether the port of that number is closed.
    var isEnded = [false, false]

    init(_ first: Port, _ second: Port) { ports = [first, second] }
}

extension Wire {
    func open(_ first: Port, _ second: Port) {
        let link = Link(first, second)
        links.append(link)
        linkOfPort[first] = link
        linkOfPort[second] = link
    }

    func send(_ frame: Frame, from port: Port) {
        guard let link = linkOfPort[port] else { return }
        let side = link.ports[0] == port ? 0 : 1
        if !link.isEnded[side] { link.queues[side].append(.frame(frame)) }
    }

    func close(_ port: Port) {
        guard let link = linkOfPort[port] else { return }
        end(link, link.ports[0] == port ? 0 : 1)
    }

    /// This side hears no more; the other one hears what was sent, and then the end.
    func end(_ link: Link, _ side: Int) {
        guard !link.isEnded[side] else { return }
        link.isEnded[side] = true
        link.queues[side].append(.closed)
        linkOfPort[link.ports[side]] = nil
    }

    /// The connection breaks: what was on its way is lost, both sides hear the end.
    func sever(_ link: Link, keeping: Int = 0) {
        for side in 0...1 where !link.isEnded[side] {
            // A side that has not heard of the opening yet hears of it, and what follows an earlier end is lost.
            let alive = link.queues[side].prefix { if case .closed = $0 { false } else { true } }
            let openings = alive.prefix { if case .opened = $0 { true } else { false } }
            link.queues[side] = alive.prefix(max(keeping, openings.count)) + [.closed]
        }
    }

    /// The connections between two machines.
    func links(between first: String, _ second: String) -> [Link] {
        links.filter { Set($0.ports.map(\.place)) == [first, second] }
    }

    /// The connection on which a passive server gets the log; its own end is the link's first.
    func logLink(of name: String) -> Link? {
        let dialed = linkOfPort.keys.compactMap { port -> UInt64? in
            guard case .nodeToPeer(name, let number) = port, number > UInt64.max / 2 else { return nil }
            return number
        }
        // Peers are numbered downwards, and the log is dialled after the heartbeats.
        guard dialed.count == 2, let log = dialed.min() else { return nil }
        return linkOfPort[.nodeToPeer(name, log)]
    }

    /// Nothing arrives in either direction until `heal`.
    func cut(_ first: String, _ second: String) {
        cuts.formUnion([Cut(from: first, to: second), Cut(from: second, to: first)])
    }

    func heal() { cuts = [] }

    /// Whether the first item from this side can arrive now.
    func canDeliver(_ link: Link, _ side: Int) -> Bool {
        guard !link.queues[side].isEmpty else { return false }
        if silenced.contains(where: { $0.link === link && $0.side == side }) { return false }
        let target = link.ports[1 - side]
        // An end that is closed takes no notice of cuts: what is sent there is thrown away.
        if link.isEnded[1 - side] { return true }
        if let name = target.node, nodes[name]?.isFrozen == true { return false }
        if case .proxyToClient(let id) = target, pausedClients.contains(id) { return false }
        return !cuts.contains(Cut(from: link.ports[side].place, to: target.place))
    }

    func deliver(_ link: Link, _ side: Int) {
        let item = link.queues[side].removeFirst()
        let isDrained = link.queues[side].isEmpty
        let target = link.ports[1 - side]
        if !link.isEnded[1 - side] {
            switch item {
            case .opened: opened(target)
            case .frame(let frame): arrive(frame, at: target)
            case .closed:
                end(link, 1 - side)
                closed(target)
            }
        }
        if isDrained, !link.isEnded[side], case .nodeToPeer(let name, let peer) = link.ports[side], node(name).runs {
            happen(node(name), .peerDrained(PeerID(peer)))
        }
        if link.isEnded == [true, true] { links.removeAll { $0 === link } }
    }

    private func opened(_ port: Port) {
        switch port {
        case .proxyToServer(let id): happen(.serverConnected(ServerLink(id)))
        case .proxyToClient(let id): happen(.clientConnected(ConnectionIndicator(id), source: 1))
        case .proxyToOperator(let id): happen(.operatorConnected(OperatorLink(id)))
        case .nodeToProxy(let name): happen(node(name), .proxyConnected)
        case .nodeToPeer(let name, let peer):
            let isDialed = peer > UInt64.max / 2
            happen(node(name), isDialed ? .dialed(PeerID(peer)) : .peerAccepted(PeerID(peer)))
        case .client, .operatorConsole: break
        }
    }

    private func arrive(_ frame: Frame, at port: Port) {
        switch port {
        case .proxyToServer(let id):
            if frame.type == .response, let name = linkOfPort[port]?.ports.compactMap(\.node).first {
                noteResponse(frame, from: name)
            }
            happen(.serverFrame(ServerLink(id), frame))
        case .proxyToClient(let id): happen(.clientFrame(ConnectionIndicator(id), frame))
        case .proxyToOperator(let id): happen(.operatorFrame(OperatorLink(id), frame))
        case .nodeToProxy(let name): happen(node(name), .proxyFrame(frame))
        case .nodeToPeer(let name, let peer): happen(node(name), .peerFrame(PeerID(peer), frame))
        case .client(let id): clients[id]?.receive(frame)
        case .operatorConsole(let id):
            if frame.type == .operatorReply, let reply = try? OperatorReply(frame.payload) {
                operatorReplies[id, default: []].append(reply)
            }
        }
    }

    private func closed(_ port: Port) {
        switch port {
        case .proxyToServer(let id): happen(.serverClosed(ServerLink(id)))
        case .proxyToClient(let id): happen(.clientClosed(ConnectionIndicator(id)))
        case .proxyToOperator(let id): happen(.operatorClosed(OperatorLink(id)))
        case .nodeToProxy(let name):
            node(name).connectAt = now.advanced(by: Wire.reconnectDelay)
            happen(node(name), .proxyLost(reason: "the connection was closed"))
        case .nodeToPeer(let name, let peer): happen(node(name), .peerLost(PeerID(peer)))
        case .client(let id): clients[id]?.isOpen = false
        case .operatorConsole: break
        }
    }

    // MARK: Opening

    /// Whether this attempt to connect comes to an end now: it succeeds, is refused, or has taken too long.
    func canSettle(_ dial: Dial) -> Bool {
        guard node(dial.node).runs else { return false }
        return now >= dial.deadline || !isCut(dial.node, dial.target)
    }

    private func isCut(_ first: String, _ second: String) -> Bool {
        cuts.contains(Cut(from: first, to: second)) || cuts.contains(Cut(from: second, to: first))
    }

    func settle(_ dial: Dial) {
        dials.removeAll { $0.node == dial.node && $0.peer == dial.peer }
        if !isCut(dial.node, dial.target), nodes[dial.target]?.replica != nil {
            open(.nodeToPeer(dial.node, dial.peer.number), .nodeToPeer(dial.target, number()))
        } else {
            happen(node(dial.node), .peerLost(dial.peer))
        }
    }

    func connectToProxy(_ node: Node) {
        guard let at = node.connectAt, now >= at, node.runs else { return }
        guard router != nil, !isCut(node.name, "proxy"), linkOfPort[.nodeToProxy(node.name)] == nil else {
            node.connectAt = now.advanced(by: Wire.reconnectDelay)
            return
        }
        node.connectAt = nil
        open(.nodeToProxy(node.name), .proxyToServer(number()))
    }
}
