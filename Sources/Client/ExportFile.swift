import Glibc
import Runtime

/// A file that takes another's place as a whole: it is written beside it, made durable, and renamed. Whoever lets go of
/// it before that leaves no trace.
final class ExportFile {
    private let path: String
    private let temporaryPath: String
    private var descriptor: Int32
    private var isCommitted = false

    /// - Throws: where there is no file to be made.
    init(_ path: String) throws(SystemError) {
        self.path = path
        temporaryPath = "\(path).\(getpid()).part"
        descriptor = Glibc.open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw SystemError(errno, doing: "create \(temporaryPath)") }
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
        if !isCommitted { Glibc.unlink(temporaryPath) }
    }

    func write(_ bytes: [UInt8]) throws(SystemError) {
        let error = Terminal.write(bytes, to: descriptor)
        guard error == 0 else { throw SystemError(error, doing: "write \(temporaryPath)") }
    }

    /// From now on the file is there, whatever happens.
    func commit() throws(SystemError) {
        guard fsync(descriptor) == 0 else { throw SystemError(errno, doing: "make \(temporaryPath) durable") }
        let status = Glibc.close(descriptor)
        descriptor = -1
        guard status == 0 else { throw SystemError(errno, doing: "close \(temporaryPath)") }
        guard Glibc.rename(temporaryPath, path) == 0 else { throw SystemError(errno, doing: "replace \(path)") }
        isCommitted = true
        syncFolder()
    }

    /// The name itself; where the file system does not allow that, the file is there all the same.
    private func syncFolder() {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = parts.count > 1 ? parts.dropLast().joined(separator: "/") + "/" : "."
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = fsync(descriptor)
        Glibc.close(descriptor)
    }
}
