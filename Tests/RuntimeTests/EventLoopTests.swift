import Glibc
import Synchronization
import Testing
import TupleCore

@testable import Runtime

@Suite struct EventLoopTests {
    @Test func stopBeforeRunReturnsAtOnce() throws {
        try withLoop { $0.stop() }
    }

    @Test func postedClosuresRunOnTheLoopsThreadInOrder() throws {
        let order = Mutex<[Int]>([])
        try withLoop { loop in
            let bound = LoopBound(loop, on: loop)
            let inbox = loop.inbox
            // From a thread of the pool, as other threads do it.
            loop.offload({
                for number in 0..<100 {
                    inbox.post {
                        order.withLock { $0.append(number) }
                        if number == 99 { bound.value.stop() }
                    }
                }
            }) {}
        }
        #expect(order.withLock { $0 } == Array(0..<100))
    }

    @Test(arguments: [Duration.zero, .milliseconds(1)])
    func whatIsPostedToALoopThatFallsAsleepAtThatMomentIsNotForgotten(busyPolling: Duration) throws {
        // Each closure is posted when the one before has been run, which is when the loop falls asleep. As many as there is
        // time for: a busy machine switches between the two threads some hundred times a second only.
        let ran = Atomic<Int>(0)
        try withLoop(busyPolling: busyPolling) { loop in
            let inbox = loop.inbox
            loop.offload({
                let end = ContinuousClock.now + .seconds(2)
                var round = 0
                while round < 20_000, ContinuousClock.now < end {
                    round += 1
                    let number = round
                    inbox.post { ran.store(number, ordering: .relaxed) }
                    let patience = ContinuousClock.now + .seconds(30)
                    while ran.load(ordering: .relaxed) < round {
                        guard ContinuousClock.now < patience else { return false }
                        sched_yield()
                    }
                }
                return true
            }) {
                #expect($0)
                loop.stop()
            }
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(1)])
    func whatIsPostedBetweenTheLastLookAndTheSleepIsNotForgotten(busyPolling: Duration) throws {
        // The callback's closure runs at the loop's last look before it sleeps; what that one posts comes after the look.
        try withLoop(busyPolling: busyPolling) { loop in
            var isDue = false
            let bound = LoopBound(loop, on: loop)
            // Not in the loop's first iteration: until then it counts as asleep.
            loop.after(.milliseconds(5)) { isDue = true }
            loop.afterEvents { _ in
                guard isDue else { return }
                isDue = false
                bound.post { _ in bound.post { $0.stop() } }
            }
        }
    }

    @Test func postingAfterCloseIsDropped() throws {
        let loop = try EventLoop()
        loop.close()
        loop.post { Issue.record("ran on a closed loop") }
        loop.soon { Issue.record("ran on a closed loop") }
    }

    @Test func offloadedWorkRunsElsewhereAndItsResultComesBack() throws {
        try withLoop { loop in
            let bound = LoopBound(loop, on: loop)
            loop.offload({ bound.isOnLoopsThread }) { wasOnLoop in
                #expect(!wasOnLoop)
                #expect(loop.isOnItsThread)
                loop.stop()
            }
        }
    }

    @Test func afterEventsRunsOnceForManyEventsOfAnIteration() throws {
        var log: [String] = []
        try withLoop { loop in
            loop.afterEvents { _ in if !log.isEmpty, log.last != "after" { log.append("after") } }
            for number in 0..<3 { loop.soon { log.append("event \(number)") } }
            loop.after(.milliseconds(20)) { loop.stop() }
        }
        #expect(log == ["event 0", "event 1", "event 2", "after"])
    }

    @Test func soonDoesNotRunWithinTheSameRound() throws {
        var log: [Int] = []
        try withLoop { loop in
            loop.afterEvents { _ in if !log.isEmpty { log.append(0) } }
            loop.soon {
                log.append(1)
                loop.soon {
                    log.append(2)
                    loop.stop()
                }
            }
        }
        #expect(log.prefix(3) == [1, 0, 2])
    }

    @Test func closingWaitsForOffloadedWorkAndEndsEverything() throws {
        var isDone = false
        let loop = try EventLoop()
        let listener = try localListener(on: loop) { _ in }
        let connection = Connection(on: loop)
        var reason: CloseReason?
        connection.onClose = { reason = $0 }
        connection.connect(to: listener.address, timeout: .seconds(5))
        loop.offload({ 7 }) { isDone = $0 == 7 }
        loop.close()
        #expect(isDone)
        #expect(reason == .loopClosed)
    }

    @Test func closeEndsWhatItsCallbacksOpen() throws {
        let loop = try EventLoop()
        let connection = Connection(on: loop)
        let listener = try localListener(on: loop) { _ in }
        var second: CloseReason?
        connection.onClose = { _ in
            let another = Connection(on: loop)
            another.onClose = { second = $0 }
            another.connect(to: listener.address, timeout: .seconds(5))
        }
        connection.connect(to: listener.address, timeout: .seconds(5))
        loop.close()
        #expect(second != nil)
    }
}
