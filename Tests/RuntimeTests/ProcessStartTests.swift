import Glibc
import Journal
import Testing

@testable import Runtime

@Suite struct ProcessStartTests {
    /// Process 1 of a container inherits what a fence command leaves behind.
    @Test func orphansAreWaitedForAndOurOwnChildrenAreNot() throws {
        var orphan = pid_t()
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/true"), nil]
        defer { free(arguments[0]) }
        #expect(posix_spawn(&orphan, "/bin/true", nil, nil, &arguments, nil) == 0)
        var ending: ChildProcess.Ending?
        try withLoop { loop in
            let reaper = OrphanReaper(on: loop)
            let child = try ChildProcess(on: loop, ["/bin/sh", "-c", "sleep 0.1; exit 7"]) { ending = $0 }
            let look = Timer(on: loop) {
                OrphanReaper.reap()
                var status: Int32 = 0
                // Nobody is left under that number once it has been waited for.
                if ending != nil, waitpid(orphan, &status, WNOHANG) == -1, errno == ECHILD { loop.stop() }
            }
            look.schedule(after: .milliseconds(5), repeatingEvery: .milliseconds(5))
            withExtendedLifetime((reaper, child)) {}
            loop.after(.seconds(30)) { withExtendedLifetime((reaper, child, look)) {} }
        }
        #expect(ending == .exited(status: 7))
    }

    @Test func openDescriptorsAreCounted() throws {
        let before = DescriptorLimit.openCount()
        #expect(before >= 3 && before <= DescriptorLimit.current)
    }

    @Test(arguments: [EMFILE, ENFILE, EFBIG, ENOSPC, EDQUOT])
    func whatThereIsTooLittleOfIsNoDamage(number: Int32) {
        #expect(FileStorage.error(.create, "x", number).shortage != nil)
    }

    @Test(arguments: [EIO, EACCES, ENOENT])
    func otherErrorsAreNoShortage(number: Int32) {
        #expect(FileStorage.error(.create, "x", number).shortage == nil)
    }
}
