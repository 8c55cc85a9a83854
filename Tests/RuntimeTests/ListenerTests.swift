import Testing

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
}
