import Replication
import Routing
import TestSupport
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// How things happen: all there is to happen, in a fixed order, or by the seed's choice.
extension Wire {
    /// Delivers, writes and syncs until nothing is left to be done at this instant.
    func settle() {
        for _ in 0..<20_000 {
            var isQuiet = true
            for link in links {
                for side in 0...1 where canDeliver(link, side) {
                    deliver(link, side)
                    isQuiet = false
                }
            }
            for name in names {
                let node = node(name)
                if node.needsFlush, node.runs {
                    happen(node, .flush(isEarly: false))
                    isQuiet = false
                }
                if canSync(node) {
                    sync(node)
                    isQuiet = false
                }
                if canSearch(node) {
                    search(node)
                    isQuiet = false
                }
            }
            for dial in dials where canSettle(dial) {
                settle(dial)
                isQuiet = false
            }
            if isQuiet { return }
        }
        violate("it never comes to rest")
    }

    func canSync(_ node: Node) -> Bool {
        node.runs && !node.isDiskHeld && (node.installing != nil || !node.unsynced.isEmpty)
    }

    func canSearch(_ node: Node) -> Bool { node.runs && !node.areSearchesHeld && !node.searches.isEmpty }

    /// The first search that was handed out ends.
    func search(_ node: Node) {
        let (id, task) = node.searches.removeFirst()
        let cancellation = Cancellation()
        if node.cancelled.remove(id) != nil { cancellation.cancel() }
        happen(node, .searched(id, task.run(Wire.matcher, cancellation: cancellation)))
    }

    /// Lets time pass, and all happen that then does.
    func run(_ duration: Duration) {
        let end = now.advanced(by: duration)
        settle()
        while now < end {
            now = now.advanced(by: .milliseconds(5))
            tick()
            settle()
        }
    }

    /// Lets time pass until something is so.
    func run(atMost limit: Duration = .seconds(30), until condition: () -> Bool) -> Bool {
        let end = now.advanced(by: limit)
        settle()
        while !condition() {
            guard now < end else { return false }
            run(.ms(5))
        }
        return true
    }

    /// What is due by the clock.
    func tick() {
        if router != nil, now >= nextRouterTick {
            nextRouterTick = now.advanced(by: RouterSettings.tick)
            happen(.tick)
        }
        for name in names {
            let node = node(name)
            connectToProxy(node)
            if node.runs, now >= node.tickAt {
                node.tickAt = now.advanced(by: Wire.interval / 4)
                happen(node, .tick)
            }
        }
    }

    /// Does one of the things that can happen now, chosen by `random`.
    ///
    /// - Returns: false where there is none.
    func stir(_ random: inout SeededRandom) -> Bool {
        enum Choice {
            case deliver(Link, Int)
            case flush(Node)
            case sync(Node)
            case search(Node)
            case dial(Dial)
        }
        var choices: [Choice] = []
        for link in links { for side in 0...1 where canDeliver(link, side) { choices.append(.deliver(link, side)) } }
        for name in names {
            let node = node(name)
            if node.needsFlush, node.runs { choices.append(.flush(node)) }
            if canSync(node) { choices.append(.sync(node)) }
            if canSearch(node) { choices.append(.search(node)) }
        }
        for dial in dials where canSettle(dial) { choices.append(.dial(dial)) }
        guard !choices.isEmpty else { return false }
        switch choices[random.below(choices.count)] {
        case .deliver(let link, let side): deliver(link, side)
        case .flush(let node): happen(node, .flush(isEarly: false))
        case .sync(let node): sync(node)
        case .search(let node): search(node)
        case .dial(let dial): settle(dial)
        }
        return true
    }
}
