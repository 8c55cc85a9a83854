import TupleCore
import TupleStore
import WireProtocol

/// What a server does about its own disk: full, hanging, damaged, or with entries that nobody else has.
extension Replica {
    /// Whether this copy may serve as the active one.
    var isFit: Bool { !isSuspect && !isInstalling && !isRewinding && !isStuck }

    /// Whether the disk takes nothing in.
    var isStuck: Bool { if case .stuck = disk { true } else { false } }

    mutating func diskChanged(_ condition: DiskCondition) {
        guard condition != disk else { return }
        let wasStuck = isStuck
        disk = condition
        var fields: [LogLine.Field] = [.init("server", name)]
        switch condition {
        case .well:
            log(.alert, "disk-restored", fields)
        case .full(let shortage):
            let reason = "\(shortage): updates are refused until there is, reads are answered"
            fields += [.init("problem", "full"), .init("reason", reason)]
            log(wasStuck ? .info : .alert, "disk", fields)
        case .stuck(let reason):
            fields += [.init("problem", "stuck"), .init("reason", reason)]
            log(.alert, "disk", fields)
            withdraw()
        }
    }

    /// Why no update may be taken in now; nil where one may.
    var updateRefusal: String? {
        switch disk {
        case .well: nil
        case .full(let shortage):
            "the disk of \(name) is full (\(shortage)): updates are refused until that changes; nothing was changed"
        case .stuck(let reason): "the disk of \(name) does not take updates in (\(reason)); nothing was changed"
        }
    }

    /// The service must not wait for a disk that takes nothing in. A passive server leaves, and so the in-sync set; it
    /// asks for nothing, because the active one is well.
    mutating func withdraw() {
        if active != nil {
            stepAside()
        } else if let passive, !isInstalling {
            if passive.isLinked { log(.info, "left", [.init("active", passive.target.name)]) }
            abandonLink()
        }
    }

    /// An active server leaves its place to a follower that holds everything acknowledged; where there is none, it
    /// waits for its disk. It stops acting at once, so that the switch may grant the next epoch without asking.
    mutating func stepAside() {
        guard let active, active.stopping == nil, record?.active == name, proxy == .registered else { return }
        let heirs = active.followers.values.filter { follower in
            guard case .streaming = follower.phase, follower.heartbeats != nil else { return false }
            return record?.inSync.contains(follower.name) == true && members[follower.name] != nil
        }
        guard let heir = heirs.min(by: { $0.name < $1.name }) else { return }
        log(
            .alert, "stepping-aside",
            [.init("server", name), .init("epoch", active.epoch.number), .init("for", heir.name)])
        leaveOffice()
        pendingSwitch = nil
        passive = nil
        proxyLost("this server steps aside")
        actions.append(.reconnectToProxy)
    }

    /// An operator has decided that this copy counts, whatever it lacks.
    mutating func trusted() {
        guard isSuspect, active == nil, !isInstalling, record != nil else { return }
        isSuspect = false
        actions.append(.markCopy(isSuspect: false))
        log(.alert, "copy-trusted", [.init("server", name), .init("index", state.position.index.number)])
        actions.append(.sendToProxy(Frame(Header(.holding))))
    }

    // MARK: Going back

    /// The active server's log has other entries after `position` than this one: those were never acknowledged.
    mutating func rewind(to position: LogPosition) {
        log(
            .info, "rewind",
            [.init("from", state.position.index.number), .init("to", position.index.number)])
        abandonLink()
        isRewinding = true
        unjournaled = []
        actions.append(.rewind(to: position))
    }

    mutating func rewound(_ earlier: ReplicatedState?) {
        guard isRewinding else { return }
        isRewinding = false
        guard let earlier else {
            wantsSnapshot = true
            return
        }
        state = earlier
        clock.restart(at: moment.instant)
        durable = earlier.position.index
    }
}
