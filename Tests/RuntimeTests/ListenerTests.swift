import Testing
import WireProtocol

@testable import Runtime

@Suite struct ListenerTests {
    @Test func aTakenPortIsExplained() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let first = try localListener(on: loop) { $0.close() }
        #expect(first.address.port != 0)
        let error = #expect(throws: ListenError.self) {
            try Listener(on: loop, address: first.address) { $0.close() }
        }
        #expect(error?.description.hasPrefix("cannot listen on \(first.address): address already in use") == true)
    }

    @Test func aForeignAddressIsExplained() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let error = #expect(throws: ListenError.self) {
            try Listener(on: loop, address: Address(host: "192.0.2.1", port: 0)) { $0.close() }
        }
        #expect(error?.description.contains("no address of this machine") == true)
    }

    @Test func aClosedListenersPortIsFreeAtOnce() throws {
        try withLoop { loop in
            let listener = try localListener(on: loop) { _ in }
            let address = listener.address
            let client = Connection(on: loop)
            client.onConnected = {
                listener.close()
                loop.soon {
                    do { _ = try Listener(on: loop, address: address) { _ in } } catch { Issue.record("\(error)") }
                    loop.stop()
                }
            }
            client.connect(to: address, timeout: .seconds(5))
        }
    }

    @Test func aNameMayBeListenedOn() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let listener = try Listener(on: loop, address: Address(host: "localhost", port: 0)) { $0.close() }
        #expect(listener.address.host == "localhost")
        #expect(listener.address.port != 0)
    }

    @Test func soManyAreAcceptedInOneTurnAtMost() throws {
        var byTurn: [UInt64: Int] = [:]
        try withLoop { loop in
            var accepted: [Connection] = []
            var callers: [Connection] = []
            let listener = try Listener(on: loop, address: Address(host: "127.0.0.1", port: 0)) {
                byTurn[loop.iteration, default: 0] += 1
                accepted.append($0)
                if accepted.count == 300 { loop.stop() }
            }
            for _ in 0..<300 {
                let caller = Connection(on: loop)
                caller.connect(to: listener.address, timeout: .seconds(20))
                callers.append(caller)
            }
            loop.after(.seconds(50)) { withExtendedLifetime((accepted, callers)) {} }
        }
        #expect(byTurn.values.reduce(0, +) == 300)
        #expect((byTurn.values.max() ?? 0) <= 32)
    }

    @Test func whomItHasNoPlaceForWaitsAndIsServedLater() throws {
        var most = 0
        var served = 0
        var troubles = 0
        try withLoop { loop in
            var open = 0
            let listener = try Listener(
                on: loop, address: Address(host: "127.0.0.1", port: 0), limits: Listener.Limits(connections: 4)
            ) { connection in
                open += 1
                most = max(most, open)
                connection.onClose = { _ in
                    open -= 1
                    served += 1
                    if served == 20 { loop.stop() }
                }
                loop.after(.milliseconds(30)) { connection.close() }
            }
            listener.onError = { _ in troubles += 1 }
            for _ in 0..<20 {
                let caller = Connection(on: loop)
                caller.connect(to: listener.address, timeout: .seconds(20))
            }
            loop.after(.seconds(50)) { withExtendedLifetime(listener) {} }
        }
        #expect(served == 20 && most == 4 && troubles > 0)
    }

    @Test func aPlaceIsTakenForAsLongAsTheDescriptorIsOpenElsewhere() throws {
        try withLoop { loop in
            var slot: ConnectionSlot?
            let listener = try localListener(on: loop) { connection in
                slot = connection.slot
                connection.slot = nil
                connection.close()
            }
            let caller = Connection(on: loop)
            caller.onClose = { _ in
                #expect(listener.openConnections == 1)
                slot = nil
                #expect(listener.openConnections == 0)
                withExtendedLifetime(slot) { loop.stop() }
            }
            caller.connect(to: listener.address, timeout: .seconds(20))
        }
    }

    @Test func fewDescriptorsAreLeftToOthers() throws {
        var words: [String] = []
        try withLoop { loop in
            let listener = try Listener(
                on: loop, address: Address(host: "127.0.0.1", port: 0),
                limits: Listener.Limits(keptFree: DescriptorLimit.current)
            ) { $0.close() }
            listener.onError = {
                words.append($0)
                loop.stop()
            }
            Connection(on: loop).connect(to: listener.address, timeout: .seconds(20))
        }
        #expect(words.first?.contains("ulimit -n") == true)
    }

    /// Strangers at a server's door once kept the other server out for as long as they liked.
    @Test func whoSaysWhoHeIsFindsAPlaceAmongStrangers() throws {
        var strangersEnded = 0
        var greeted = false
        try withLoop { loop in
            var served: [FrameConnection] = []
            let listener = try Listener(
                on: loop, address: Address(host: "127.0.0.1", port: 0),
                limits: Listener.Limits(connections: 4, unidentifiedTime: .milliseconds(100))
            ) { connection in
                let frames = FrameConnection(connection, intake: .peer)
                frames.onFrame = { _ in
                    greeted = true
                    // It keeps its place whoever comes.
                    loop.after(.milliseconds(500)) {
                        #expect(connection.isOpen)
                        loop.stop()
                    }
                }
                served.append(frames)
            }
            for number in 0..<60 {
                let caller = Connection(on: loop)
                if number == 30 {
                    caller.onConnected = { [unowned caller] in
                        caller.send(Frame(Header(.peerHello), payload: [1]).encoded)
                    }
                } else {
                    caller.onClose = { _ in strangersEnded += 1 }
                }
                caller.connect(to: listener.address, timeout: .seconds(20))
            }
            loop.after(.seconds(50)) { withExtendedLifetime((served, listener)) {} }
        }
        #expect(greeted && strangersEnded >= 30)
    }
}
