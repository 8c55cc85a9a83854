import Testing

@testable import Runtime

/// Runs `body` on a new loop until it calls `stop()`, or a test's patience is over, which is a failure. Afterwards the
/// loop is closed, which asserts that no handle was left.
func withLoop(
    patience: Duration = .seconds(60), busyPolling: Duration = .zero, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (EventLoop) throws -> Void
) throws {
    let loop = try EventLoop(busyPolling: busyPolling)
    defer { loop.close() }
    let limit = Timer(on: loop) {
        Issue.record("the loop was not stopped in time", sourceLocation: sourceLocation)
        loop.stop()
    }
    limit.schedule(after: patience)
    try body(loop)
    loop.run()
    limit.cancel()
}

/// A listener on a free port of this machine.
func localListener(on loop: EventLoop, _ onAccept: @escaping (Connection) -> Void) throws -> Listener {
    try Listener(on: loop, address: Address(host: "127.0.0.1", port: 0), onAccept: onAccept)
}

/// Bytes that a shifted or repeated piece would not match: a small linear congruential generator, fixed seed.
func patternedBytes(_ count: Int) -> [UInt8] {
    var state: UInt32 = 12345
    return (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(truncatingIfNeeded: state >> 24)
    }
}
