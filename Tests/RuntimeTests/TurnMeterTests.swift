import Glibc
import Testing
import TupleCore

@testable import Runtime

@Suite struct TurnMeterTests {
    private func at(_ seconds: Int) -> Instant { Instant(nanoseconds: Int64(seconds) * 1_000_000_000) }
    private func turn(_ meter: inout TurnMeter, at second: Int, _ milliseconds: Int) {
        meter.turned(from: at(second), to: at(second).advanced(by: .milliseconds(milliseconds)))
    }

    @Test func theLongestIsKeptForGoodAndForAMinute() {
        var meter = TurnMeter()
        turn(&meter, at: 100, 5)
        turn(&meter, at: 101, 80)
        turn(&meter, at: 102, 7)
        #expect(meter.longest == .milliseconds(80))
        #expect(meter.longestOfLate(at: at(110)) == .milliseconds(80))
        turn(&meter, at: 135, 9)
        #expect(meter.longestOfLate(at: at(140)) == .milliseconds(80))
        turn(&meter, at: 170, 3)
        #expect(meter.longestOfLate(at: at(171)) == .milliseconds(9))
        #expect(meter.longestOfLate(at: at(400)) == .zero)
        #expect(meter.longest == .milliseconds(80))
    }

    @Test func aLoopThatIsBusyForLongSaysSo() throws {
        var longest = Duration.zero
        try withLoop { loop in
            loop.after(.milliseconds(20)) {
                usleep(60_000)
                loop.after(.milliseconds(20)) {
                    longest = loop.longestTurn.ever
                    loop.stop()
                }
            }
        }
        #expect(longest >= .milliseconds(60))
    }
}
