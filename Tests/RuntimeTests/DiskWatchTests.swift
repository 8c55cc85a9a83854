import Glibc
import Synchronization
import Testing
import TupleCore

@testable import Runtime

/// A loop that waits for a disk which does not answer cannot say so itself.
@Suite struct DiskWatchTests {
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ bytes: [UInt8]) { lines.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) } }
        func contain(_ words: String) -> Bool { lines.withLock { $0.contains { $0.contains(words) } } }
        var count: Int { lines.withLock { $0.count } }
    }

    private struct Refusal: Error {}

    private func watch(_ lines: Lines, _ patience: Duration) throws -> DiskWatch {
        let name = try #require(NodeID("b"))
        return try DiskWatch(name, logger: Logger(.function { lines.add($0) }), patience: patience)
    }

    @Test func aWaitThatLastsIsToldAndSoIsItsEnd() throws {
        let lines = Lines()
        let watch = try watch(lines, .milliseconds(30))
        defer { watch.stop() }
        for round in 1...2 {
            watch.watching(isKnown: false) {
                for _ in 0..<3_000 where lines.count < round * 2 - 1 { usleep(10_000) }
            }
            #expect(lines.count == round * 2)
        }
        #expect(lines.contain("ALERT disk server=b problem=stuck"))
        #expect(lines.contain("ALERT disk-restored server=b"))
    }

    @Test func aShortWaitAndAKnownOneAreNot() throws {
        let lines = Lines()
        let watch = try watch(lines, .seconds(3_600))
        defer { watch.stop() }
        #expect(watch.watching(isKnown: false) { 7 } == 7)
        #expect(throws: Refusal.self) {
            try watch.watching(isKnown: false) { () throws(Refusal) in throw Refusal() }
        }
        let eager = try self.watch(lines, .nanoseconds(1))
        defer { eager.stop() }
        _ = eager.watching(isKnown: true) { usleep(100_000) }
        #expect(lines.count == 0)
    }
}
