import Testing

@testable import Runtime

/// How much memory there is, by the machine and by control groups of both versions.
@Suite struct MemoryLimitTests {
    private func limit(_ files: [String: String]) -> Int? { MemoryLimit(reading: { files[$0] }).bytes }

    private static let machine = "MemTotal:       16384000 kB\nMemFree:         1 kB\n"

    @Test func theMachinesMemoryCountsWithoutAGroup() {
        #expect(limit(["/proc/meminfo": Self.machine]) == 16_384_000 * 1_024)
        #expect(limit(["/proc/meminfo": Self.machine, "/proc/self/cgroup": "0::/user.slice\n"]) == 16_384_000 * 1_024)
        #expect(limit([:]) == nil)
    }

    @Test func theSmallestLimitOfAllGroupsAboveCounts() {
        let files = [
            "/proc/meminfo": Self.machine, "/proc/self/cgroup": "0::/a/b\n",
            "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "536870912\n",
        ]
        #expect(limit(files) == 536_870_912)
    }

    /// A container sees its own group as the root.
    @Test func aContainersLimitIsFound() {
        let files = [
            "/proc/meminfo": Self.machine, "/proc/self/cgroup": "0::/../../x\n",
            "/sys/fs/cgroup/memory.max": "1048576\n",
        ]
        #expect(limit(files) == 1_048_576)
    }

    @Test func theFirstVersionOfGroupsCountsToo() {
        let files = [
            "/proc/meminfo": Self.machine, "/proc/self/cgroup": "9:cpu:/x\n4:memory,other:/docker/1\n",
            "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "268435456\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        ]
        #expect(limit(files) == 268_435_456)
    }

    @Test func thisMachineHasSome() { #expect(MemoryLimit().bytes ?? 0 > 1_048_576) }

    @Test(arguments: [("512MiB", 536_870_912), ("4GiB", 4 << 30), ("0B", 0), ("1TiB", 1 << 40), ("7KiB", 7_168)])
    func sizesAreRead(_ text: String, _ bytes: Int) {
        #expect(ByteSize.bytes(text) == bytes)
        #expect(ByteSize.text(bytes) == text)
    }

    @Test(arguments: ["", "4", "4GB", "GiB", "-1MiB", "1.5GiB", "99999999999999999999B", "2000000TiB", "4 GiB"])
    func whatIsNoSizeIsRefused(_ text: String) { #expect(ByteSize.bytes(text) == nil) }

    @Test func theServersOptionTakesASize() throws {
        let words = ["--name", "a", "--data", "d", "--max-space"]
        let parsed = try ServerOptions.specification.parse(words + ["512MiB"], environment: [:])
        guard case .values(let values) = parsed else {
            Issue.record("no values")
            return
        }
        #expect(try ServerOptions(values).maximumSpaceBytes == 536_870_912)
        for wrong in ["1", "12KiB", "lots"] {
            #expect(throws: OptionsError.self) {
                try ServerOptions.specification.parse(words + [wrong], environment: [:])
            }
        }
    }
}
