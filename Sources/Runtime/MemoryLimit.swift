import Glibc

/// How much memory this process may use: the machine's, or what its control group allows where that is less.
package struct MemoryLimit: Sendable {
    /// Of a file's text; nil where it is not there or cannot be read.
    private let read: @Sendable (String) -> String?

    /// - Parameter read: gives the text of a file of `/proc` and `/sys`.
    package init(reading read: @escaping @Sendable (String) -> String? = MemoryLimit.contents) { self.read = read }

    /// In bytes; nil where neither is known.
    package var bytes: Int? { ([machineBytes] + groupBytes).compactMap { $0 }.min() }

    /// `MemTotal` of `/proc/meminfo`.
    private var machineBytes: Int? {
        guard let line = read("/proc/meminfo")?.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return kibibytes * 1_024
    }

    /// The limits of the process's group and of those above it, of version 2 and of version 1.
    private var groupBytes: [Int?] {
        let lines = (read("/proc/self/cgroup") ?? "").split(separator: "\n")
        return lines.flatMap { line -> [Int?] in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return [] }
            if parts[0] == "0", parts[1].isEmpty {
                return limits(of: parts[2], below: "/sys/fs/cgroup", named: "memory.max")
            }
            guard parts[1].split(separator: ",").contains("memory") else { return [] }
            return limits(of: parts[2], below: "/sys/fs/cgroup/memory", named: "memory.limit_in_bytes")
        }
    }

    /// A container may see its own group as the root, whatever path it is told.
    private func limits(of path: Substring, below root: String, named file: String) -> [Int?] {
        var names = path.split(separator: "/")
        var limits: [Int?] = []
        while true {
            let folder = ([root] + names.map(String.init)).joined(separator: "/")
            limits.append(read("\(folder)/\(file)").flatMap { Int($0.filter { !$0.isWhitespace }) })
            guard !names.isEmpty else { return limits }
            names.removeLast()
        }
    }

    /// The text of a small file.
    package static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { return nil }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
