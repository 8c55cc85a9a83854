import Glibc

/// What an export is written to. A plain file takes the other's place as a whole: it is written beside it, made durable,
/// gets its permissions and owner, and is renamed; whoever lets go of it before that leaves no trace. Behind a link the
/// file that it names is replaced, and the link stays. Anything else, a device or a pipe, is written to as it is.
package final class ExportFile {
    private enum Target {
        /// The path of the file that is written, and the one whose place it takes.
        case replacement(temporary: String, path: String)
        case stream(String)
    }

    private let target: Target
    private var descriptor: Int32
    private var isCommitted = false
    /// How many seconds nothing may be taken; nil: for ever.
    private let patience: Int?

    private static let maximumLinks = 40

    /// - Parameter waits: whether a pipe without a reader, or with a slow one, is waited for; else it is an error, after
    ///   half a minute in the second case.
    /// - Throws: where there is no file to be made.
    package init(_ path: String, waits: Bool = true) throws(SystemError) {
        patience = waits ? nil : 30
        let path = try ExportFile.destination(of: path)
        var information = stat()
        let exists = stat(path, &information) == 0
        if ExportFile.isStream(path, exists ? information : nil) {
            target = .stream(path)
            descriptor = Glibc.open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (waits ? 0 : O_NONBLOCK))
            guard descriptor >= 0 else { throw SystemError(errno, doing: "write \(path)") }
            return
        }
        let temporary = "\(path).\(getpid()).part"
        target = .replacement(temporary: temporary, path: path)
        // Exclusive, so that nothing that lies there, a link above all, is written through. What is to be hidden is so
        // from the first byte on.
        descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, exists ? 0o600 : 0o666)
        guard descriptor >= 0 else { throw SystemError(errno, doing: "create \(temporary)") }
        guard exists else { return }
        // Only the superuser may give a file away; then it is at least no more open than before.
        let keepsOwner = fchown(descriptor, information.st_uid, information.st_gid) == 0
        let bits = information.st_mode & (keepsOwner ? 0o7777 : 0o777)
        guard fchmod(descriptor, bits) == 0 else {
            throw SystemError(errno, doing: "set the permissions of \(temporary)")
        }
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
        if case .replacement(let temporary, _) = target, !isCommitted { Glibc.unlink(temporary) }
    }

    /// Whether it is written to as it is: no plain file, or one of this process's descriptors (`/dev/stdout`).
    private static func isStream(_ path: String, _ information: stat?) -> Bool {
        guard let information else { return false }
        return information.st_mode & S_IFMT != S_IFREG || path.hasPrefix("/proc/")
    }

    /// The path itself or, where that is a link, what it leads to, there or not. The links of `/proc` lead to no path.
    ///
    /// - Throws: also where a folder is there.
    private static func destination(of path: String) throws(SystemError) -> String {
        var path = path
        for _ in 0..<maximumLinks {
            var information = stat()
            if stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR {
                throw SystemError(EISDIR, doing: "write \(path)")
            }
            guard !path.hasPrefix("/proc/") else { return path }
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            let count = readlink(path, &buffer, buffer.count - 1)
            guard count >= 0 else { return path }
            let link = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            path = link.hasPrefix("/") ? link : folder(of: path) + link
        }
        throw SystemError(ELOOP, doing: "write \(path)")
    }

    /// With a slash at its end; empty for the working directory.
    private static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    private var writtenPath: String {
        switch target {
        case .replacement(let temporary, _): temporary
        case .stream(let path): path
        }
    }

    /// Writes all of `bytes`, however long that takes.
    package func write(_ bytes: [UInt8]) throws(SystemError) {
        var sent = 0
        var waited = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent)
            }
            if count >= 0 {
                sent += count
                waited = 0
            } else if errno == EAGAIN {
                guard waited < patience ?? .max else { throw SystemError(ETIMEDOUT, doing: "write \(writtenPath)") }
                waited += 1
                var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = Glibc.poll(&poll, 1, 1_000)
            } else if errno != EINTR {
                throw SystemError(errno, doing: "write \(writtenPath)")
            }
        }
    }

    /// From now on the file is there, whatever happens.
    package func commit() throws(SystemError) {
        // A device or a pipe has nothing to make durable.
        if fsync(descriptor) != 0, errno != EINVAL, errno != EROFS {
            throw SystemError(errno, doing: "make \(writtenPath) durable")
        }
        let status = Glibc.close(descriptor)
        descriptor = -1
        guard status == 0 else { throw SystemError(errno, doing: "close \(writtenPath)") }
        guard case .replacement(let temporary, let path) = target else { return }
        guard Glibc.rename(temporary, path) == 0 else { throw SystemError(errno, doing: "replace \(path)") }
        isCommitted = true
        syncFolder(of: path)
    }

    /// The name itself; where the file system does not allow that, the file is there all the same.
    private func syncFolder(of path: String) {
        let folder = ExportFile.folder(of: path)
        let descriptor = Glibc.open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = fsync(descriptor)
        Glibc.close(descriptor)
    }

    /// Whether something could be written to `path` now: for who will do so much later. Nothing is left there.
    package static func check(_ path: String) throws(SystemError) {
        let path = try destination(of: path)
        var information = stat()
        if stat(path, &information) == 0, isStream(path, information) {
            guard access(path, W_OK) == 0 else { throw SystemError(errno, doing: "write \(path)") }
            return
        }
        _ = try ExportFile(path)
    }
}
