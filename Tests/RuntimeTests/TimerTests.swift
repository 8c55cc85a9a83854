import Testing
import TupleCore

@testable import Runtime

@Suite struct TimerTests {
    @Test func neverFiresEarly() throws {
        try withLoop { loop in
            let delay = Duration.milliseconds(7)
            var left = 20
            func once() {
                let start = loop.now
                loop.after(delay) {
                    #expect(loop.now.duration(since: start) >= delay)
                    left -= 1
                    if left == 0 { loop.stop() } else { once() }
                }
            }
            once()
        }
    }

    @Test func repeatsUntilCancelledAndCanStartAgain() throws {
        var count = 0
        try withLoop { loop in
            var timer: Timer?
            timer = Timer(on: loop) {
                count += 1
                switch count {
                case 3:
                    timer?.cancel()
                    #expect(timer?.isScheduled == false)
                    timer?.schedule(after: .zero)
                case 4:
                    timer = nil
                    loop.stop()
                default: break
                }
            }
            timer?.schedule(after: .milliseconds(1), repeatingEvery: .milliseconds(1))
        }
        #expect(count == 4)
    }

    @Test func firesInTheOrderOfTheirTimes() throws {
        var order: [Int] = []
        try withLoop { loop in
            loop.after(.milliseconds(60)) {
                order.append(3)
                loop.stop()
            }
            loop.after(.milliseconds(30)) { order.append(2) }
            loop.after(.zero) { order.append(1) }
            loop.after(.milliseconds(1)) { order.append(0) }.cancel()
        }
        #expect(order == [1, 2, 3])
    }

    @Test func droppedTimerDoesNotFire() throws {
        try withLoop { loop in
            var timer: Timer? = Timer(on: loop) { Issue.record("a dropped timer fired") }
            timer?.schedule(after: .milliseconds(1))
            timer = nil
            loop.after(.milliseconds(20)) { loop.stop() }
        }
    }

    @Test func timerOutlivesItsLoopHarmlessly() throws {
        let loop = try EventLoop()
        let timer = Timer(on: loop) {}
        timer.schedule(after: .seconds(100 * 365 * 86_400))
        loop.close()
        timer.schedule(after: .zero)
        timer.cancel()
        #expect(!timer.isScheduled)
    }
}
