import Replication
import Routing
import TupleCore
package import WireProtocol

/// Connections and what is on its way.
extension World {
    // MARK: Opening

    func open(_ first: Party, _ second: Party) -> Link {
        let link = Link(first, second, [place(first), place(second)])
        links.append(link)
        push(.opened, link, 0)
        push(.opened, link, 1)
        return link
    }

    func place(_ party: Party) -> Place {
        switch party {
        case .serverToProxy(let host), .serverToPeer(let host, _): host.place
        case .proxyToServer, .proxyToClient, .proxyToOperator: .proxy
        case .client: .clients
        }
    }

    /// What becomes of an attempt to connect.
    enum Acceptance {
        case accepts
        case refuses
        /// Nobody is there to refuse.
        case isSilent
    }

    /// Tries to connect until it succeeds, is refused, or `timeout` is over.
    func dial(
        from: Place, to: Place, timeout: Duration, _ ask: @escaping () -> Acceptance,
        _ settle: @escaping (_ isAccepted: Bool) -> Void
    ) {
        let deadline = now.advanced(by: timeout)
        func attempt() {
            let isOut = cuts.contains(from: from, to: to) || cuts.contains(from: to, to: from)
            switch isOut ? .isSilent : ask() {
            case .accepts: settle(true)
            case .refuses: settle(false)
            case .isSilent:
                guard now < deadline else { return settle(false) }
                after(min(.milliseconds(50), deadline.duration(since: now)), attempt)
            }
        }
        schedule(.call(attempt), after: draw(weather.latency))
    }

    // MARK: Sending and closing

    func send(_ frame: Frame, _ end: LinkEnd) {
        let (link, side) = (end.link, end.side)
        guard !link.isEnded[side] else { return }
        link.bytes[side] += frame.payload.count + Header.byteCount
        if link.bytes[side] > weather.lowWaterBytes { link.wasFull[side] = true }
        push(.frame(frame), link, side)
    }

    private func push(_ item: Link.Item, _ link: Link, _ side: Int) {
        var arrival = now.nanoseconds + draw(weather.latency)
        if weather.delayedOneIn > 0, random.once(in: weather.delayedOneIn) { arrival += draw(weather.delay) }
        if let last = link.queues[side].last {
            // What is sent at the same moment leaves in one write, mostly, and comes in one read.
            let isTogether = link.lastSent[side] == now && !random.once(in: 4)
            arrival = isTogether ? last.arrival.nanoseconds : max(arrival, last.arrival.nanoseconds)
        }
        link.lastSent[side] = now
        link.queues[side].append((item, Instant(nanoseconds: arrival)))
        schedule(link, side)
    }

    private func schedule(_ link: Link, _ side: Int) {
        guard !link.isScheduled[side], let first = link.queues[side].first, canDeliver(link, side) else { return }
        link.isScheduled[side] = true
        events.add(.arrival(link, side: side), at: max(now, first.arrival))
    }

    /// What could not be delivered for a while may be able to now.
    func kick() {
        for link in links { for side in 0...1 { schedule(link, side) } }
    }

    /// This side hears no more; the other one hears what was sent, and then the end.
    func close(_ end: LinkEnd) {
        guard !end.link.isEnded[end.side] else { return }
        end.link.isEnded[end.side] = true
        push(.closed, end.link, end.side)
    }

    /// The same, and what was not delivered is lost.
    func cut(_ end: LinkEnd) {
        end.link.queues[end.side] = end.link.queues[end.side].filter {
            if case .opened = $0.item { true } else { false }
        }
        close(end)
    }

    /// Tells the proxy when no more than so many bytes of what it sent there are on their way.
    func report(_ end: LinkEnd, downTo rest: Int) {
        end.link.reportedRest = rest
        reportIfDrained(end.link, end.side)
    }

    fileprivate func reportIfDrained(_ link: Link, _ side: Int) {
        guard let rest = link.reportedRest, link.bytes[side] <= rest, !link.isEnded[side],
            case .proxyToClient(let client) = link.parties[side]
        else { return }
        link.reportedRest = nil
        after(.zero) { [unowned self] in proxy.happened(.clientDrained(client)) }
    }

    /// The connection breaks: of what is on its way so many pieces still arrive, then both sides hear the end.
    func sever(_ link: Link, keeping: Int = 0) {
        for side in 0...1 where !link.isEnded[side] {
            let alive = link.queues[side].prefix { if case .closed = $0.item { false } else { true } }
            let openings = alive.prefix { if case .opened = $0.item { true } else { false } }
            link.queues[side] = Array(alive.prefix(max(keeping, openings.count)))
            push(.closed, link, side)
        }
    }

    /// One side alone finds the connection broken; the other one finds out when it sends something.
    func loseSilently(_ link: Link, side: Int) {
        guard !link.isEnded[side], !link.isEnded[1 - side] else { return }
        link.isEnded[side] = true
        link.isLostSilently[side] = true
        link.queues[side] = link.queues[side].filter { if case .opened = $0.item { true } else { false } }
        closed(link.parties[side])
    }

    /// This side's machine is gone without a word; the kernel at the other end gives up after a while.
    func vanish(_ end: LinkEnd) {
        guard !end.link.isEnded[end.side] else { return }
        end.link.isEnded[end.side] = true
        end.link.isLostSilently[end.side] = true
        after(.milliseconds(1_000 + random.below(3_000))) { [unowned self] in giveUp(end.link, side: 1 - end.side) }
    }

    /// Nothing arrives any more from this side, or all does that has waited.
    func silence(_ link: Link, side: Int, _ isSilenced: Bool) {
        link.isSilenced[side] = isSilenced
        if !isSilenced { schedule(link, side) }
    }

    // MARK: Arriving

    private func canDeliver(_ link: Link, _ side: Int) -> Bool {
        let other = 1 - side
        if link.isSilenced[side] || cuts.contains(from: link.places[side], to: link.places[other]) { return false }
        // An end that is closed takes what is sent there from the network, and throws it away.
        if link.isEnded[other] { return true }
        switch link.parties[other] {
        case .serverToProxy(let host), .serverToPeer(let host, _): return !host.isFrozen
        case .proxyToServer: return !proxy.isFrozen
        case .proxyToOperator(let id): return !proxy.isFrozen && !proxy.pausedOperators.contains(id)
        case .proxyToClient(let id): return !proxy.isFrozen && !proxy.paused.contains(id)
        case .client: return true
        }
    }

    func arrive(_ link: Link, _ side: Int) {
        link.isScheduled[side] = false
        let other = 1 - side
        while let (item, arrival) = link.queues[side].first, arrival <= now, canDeliver(link, side) {
            link.queues[side].removeFirst()
            guard !link.isEnded[other] else {
                if link.isLostSilently[other], !link.isEnded[side] {
                    link.isLostSilently[other] = false
                    push(.closed, link, other)
                }
                continue
            }
            switch item {
            case .opened: opened(link.parties[other])
            case .frame(let frame):
                var run = FrameRun()
                take(frame, of: link, side, into: &run)
                // What is there already comes in the same read.
                while case (.frame(let next), let arrival)? = link.queues[side].first, arrival <= now,
                    link.parties[other].takesRuns
                {
                    link.queues[side].removeFirst()
                    take(next, of: link, side, into: &run)
                }
                received(run, link, other)
            case .closed:
                link.isEnded[other] = true
                closed(link.parties[other])
            }
        }
        if link.queues[side].isEmpty {
            if link.wasFull[side], !link.isEnded[side], case .serverToPeer(let host, let peer) = link.parties[side] {
                link.wasFull[side] = false
                host.happened(.peerDrained(peer))
            }
        } else {
            schedule(link, side)
        }
        if link.isEnded == [true, true] { links.removeAll { $0 === link } }
    }

    private func take(_ frame: Frame, of link: Link, _ side: Int, into run: inout FrameRun) {
        link.bytes[side] -= frame.payload.count + Header.byteCount
        reportIfDrained(link, side)
        mix(frame, from: link.places[side], to: link.places[1 - side])
        if tellsMessages {
            tell(
                "  \(name(link.places[side])) → \(name(link.places[1 - side])) \(frame.type)"
                    + " epoch \(frame.header.epoch.number) session \(frame.header.session.number)"
                    + " sequence \(frame.header.sequence.number) (\(frame.payload.count) bytes)")
        }
        run.append(frame)
    }

    private func opened(_ party: Party) {
        switch party {
        case .proxyToServer(let id): proxy.happened(.serverConnected(id))
        case .proxyToClient(let id): proxy.happened(.clientConnected(id, source: UInt32(id.number % 3) + 1))
        case .proxyToOperator(let id): proxy.happened(.operatorConnected(id))
        case .serverToProxy(let host): host.happened(.proxyConnected)
        case .serverToPeer(let host, let peer):
            host.happened(peer.number > UInt64.max / 2 ? .dialed(peer) : .peerAccepted(peer))
        case .client(let end): end.opened()
        }
    }

    private func received(_ run: FrameRun, _ link: Link, _ side: Int) {
        switch link.parties[side] {
        case .proxyToServer(let id):
            if let host = link.parties[1 - side].server {
                for frame in run where frame.type == .response { watch.answered(frame, by: host) }
                if run.contains(where: { $0.type == .register }) { watch.registers(host) }
            }
            proxy.happened(.serverFrames(id, run))
        case .proxyToClient(let id): proxy.happened(.clientFrames(id, run))
        case .proxyToOperator(let id): for frame in run { proxy.happened(.operatorFrame(id, frame)) }
        case .serverToProxy(let host):
            // It dies of it before it has done anything that came with it.
            if let deadly, run.contains(where: { $0.type == .request && deadly.request == Watch.RequestKey($0.header) })
            {
                return deadly.kill(host)
            }
            host.happened(.proxyFrames(run))
        case .serverToPeer(let host, let peer): for frame in run { host.happened(.peerFrame(peer, frame)) }
        case .client(let end): for frame in run { end.received(frame) }
        }
    }

    fileprivate func closed(_ party: Party) {
        switch party {
        case .proxyToServer(let id): proxy.lost(id)
        case .proxyToClient(let id): proxy.lost(id)
        case .proxyToOperator(let id): proxy.lost(id)
        case .serverToProxy(let host): host.proxyLost()
        case .serverToPeer(let host, let peer): host.lost(peer)
        case .client(let end): end.closed()
        }
    }

    // MARK: Cuts

    /// Whether nothing arrives in this direction.
    package func setCut(from: Place, to: Place, _ isCut: Bool = true) {
        cuts.set(from: from, to: to, isCut)
        if !isCut { kick() }
    }

    package func healAllCuts() {
        cuts = CutMatrix()
        for link in links { link.isSilenced = [false, false] }
        kick()
    }

    package func name(_ place: Place) -> String {
        switch place {
        case .proxy: "proxy"
        case .clients: "clients"
        case .server(let number): servers[number].machine
        }
    }

    /// The place of that name.
    package func place(_ name: String) -> Place {
        switch name {
        case "proxy": .proxy
        case "clients": .clients
        default: server(name).place
        }
    }

    /// Connects a client or an operator to the proxy; `settle` says whether that went well, the end then hears the rest.
    package func callProxy(
        _ end: any ClientEnd, asOperator: Bool = false, timeout: Duration = .seconds(10),
        _ settle: @escaping (ClientConnection?) -> Void
    ) {
        dial(from: .clients, to: .proxy, timeout: timeout, { [unowned self] in proxy.acceptance }) {
            [unowned self] isAccepted in
            guard isAccepted else { return settle(nil) }
            let link = proxy.accept(end, asOperator: asOperator)
            settle(ClientConnection(world: self, end: LinkEnd(link: link, side: 0)))
        }
    }
}

/// A client's connection to the proxy.
package struct ClientConnection {
    unowned let world: World
    let end: LinkEnd

    package func send(_ frame: Frame) { world.send(frame, end) }
    package func close() { world.close(end) }
    /// The client's machine is gone: the proxy hears of it when it sends something.
    package func vanish() {
        guard !end.link.isEnded[end.side] else { return }
        end.link.isEnded[end.side] = true
        end.link.isLostSilently[end.side] = true
    }
}

extension World {
    /// The kernel at this side gives the connection up.
    func giveUp(_ link: Link, side: Int) {
        guard !link.isEnded[side] else { return }
        link.isEnded[side] = true
        closed(link.parties[side])
        if link.isEnded == [true, true] { links.removeAll { $0 === link } }
    }
}

extension World {
    /// Whether nothing that this server sent is still on its way.
    func isSilent(_ server: ServerHost) -> Bool {
        !links.contains { link in
            (0...1).contains { side in
                link.parties[side].server === server && !link.isEnded[1 - side]
                    && link.queues[side].contains { if case .frame = $0.item { true } else { false } }
            }
        }
    }
}
