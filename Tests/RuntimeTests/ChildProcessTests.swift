import Testing

@testable import Runtime

@Suite struct ChildProcessTests {
    private func ending(
        _ arguments: [String], environment: [String: String]? = nil, timeout: Duration? = nil,
        _ started: @escaping (ChildProcess) -> Void = { _ in }
    ) throws -> ChildProcess.Ending? {
        var ending: ChildProcess.Ending?
        try withLoop { loop in
            let child = try ChildProcess(on: loop, arguments, environment: environment, timeout: timeout) {
                ending = $0
                loop.stop()
            }
            started(child)
        }
        return ending
    }

    @Test func exitStatusIsReported() throws {
        #expect(try ending(["/bin/sh", "-c", "exit 3"]) == .exited(status: 3))
        #expect(try ending(["sh", "-c", "true"])?.isSuccess == true)
    }

    @Test func environmentIsGivenWhole() throws {
        let script = #"test "$NAME" = "b a" && test -z "$HOME""#
        #expect(try ending(["/bin/sh", "-c", script], environment: ["NAME": "b a"]) == .exited(status: 0))
    }

    @Test func killingReachesItsChildren() throws {
        // Were the grandchild left alive, the shell would wait for it.
        #expect(try ending(["/bin/sh", "-c", "sleep 1000; true"]) { $0.kill() } == .killed(signal: 9))
    }

    @Test func timeoutKills() throws {
        #expect(try ending(["/bin/sh", "-c", "sleep 1000; true"], timeout: .milliseconds(50)) == .timedOut)
    }

    @Test func aMissingProgramIsAnError() throws {
        let loop = try EventLoop()
        defer { loop.close() }
        let error = #expect(throws: SystemError.self) {
            try ChildProcess(on: loop, ["/no/such/program"]) { _ in Issue.record("it ran") }
        }
        #expect(error?.description == "cannot start /no/such/program: no such file or directory")
    }
}
