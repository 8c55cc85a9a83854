import Glibc
import Testing

@testable import Runtime

@Suite struct SignalsTests {
    @Test func hangUpIsHandledOnTheLoop() throws {
        var count = 0
        try withLoop { loop in
            let handler = try SignalHandler(on: loop, .hangUp) {
                count += 1
                loop.stop()
            }
            loop.soon { kill(getpid(), SIGHUP) }
            _ = handler
        }
        #expect(count == 1)
    }
}
