import Testing

@testable import Runtime

@Suite struct ConnectionTests {
    @Test func echoesLargePayloadsOfManyConnectionsIntact() throws {
        let connections = 50
        let payload = patternedBytes(1_000_000)
        try withLoop { loop in
            let listener = try localListener(on: loop) { accepted in
                accepted.onBytes = { [unowned accepted] in accepted.send($0) }
            }
            var finished = 0
            for _ in 0..<connections {
                let client = Connection(on: loop)
                var received: [UInt8] = []
                client.onConnected = { [unowned client] in client.send(payload) }
                client.onBytes = { [unowned client] bytes in
                    received.append(contentsOf: bytes)
                    if received.count == payload.count { client.close() }
                }
                client.onClose = { reason in
                    #expect(reason == .closedHere)
                    #expect(received == payload)
                    finished += 1
                    if finished == connections { loop.stop() }
                }
                client.connect(to: listener.address, timeout: .seconds(10))
            }
        }
    }
}
