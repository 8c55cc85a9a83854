import CRename
import Glibc
public import Journal

/// A data directory on a POSIX file system.
///
/// Descriptors are opened relative to the directory's own, so that renaming a directory above it does no harm.
public final class FileStorage: Storage {
    private static let lockName = "lock"
    private static let quarantineName = "quarantine"
    /// Damage that often is a broken disk, and no reason to fill it with what is broken.
    private static let maximumQuarantinedFiles = 1_000
    private static let zeroChunkBytes = 1_048_576

    /// The directory's path, for messages.
    public let path: String
    private let directory: Descriptor
    private let lockFile: Descriptor
    private let zeroing: Zeroing

    /// How the zeros come into a new file.
    public enum Zeroing: Sendable {
        /// They are written. The first write into a block that is only allocated changes metadata, and that is what makes
        /// `fdatasync` slow.
        case written
        /// Room for them is allocated: half the writing, for those who do not wait for `fdatasync`.
        case allocated
    }

    /// Opens the directory `path`, making it where it does not exist (not its parents).
    /// - Throws: `StorageError` with the operation `.open`.
    public init(path: String, zeroing: Zeroing = .written) throws(StorageError) {
        self.path = path
        self.zeroing = zeroing
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw Self.error(.open, path) }
        let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw Self.error(.open, path) }
        self.directory = Descriptor(directory)
        let lockFile = openat(directory, Self.lockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lockFile >= 0 else { throw Self.error(.open, path + "/" + Self.lockName) }
        self.lockFile = Descriptor(lockFile)
    }

    /// `flock(2)`: the lock goes with the process, however it ends.
    public func lock() throws(StorageError) {
        while flock(lockFile.number, LOCK_EX | LOCK_NB) != 0 {
            switch errno {
            case EINTR: continue
            case EWOULDBLOCK: throw StorageError(.lock, name: path, reason: .locked, errorNumber: EWOULDBLOCK)
            default: throw Self.error(.lock, path)
            }
        }
    }

    public func list() throws(StorageError) -> [String] {
        let copy = openat(directory.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { throw Self.error(.list, path) }
        guard let stream = fdopendir(copy) else {
            let failure = Self.error(.list, path)
            close(copy)
            throw failure
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw Self.error(.list, path) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
                    String(cString: $0)
                }
            }
            guard name != ".", name != "..", name != Self.lockName else { continue }
            // Mount points have directories in them (`lost+found`), which are no files of ours.
            guard entry.pointee.d_type != UInt8(DT_DIR) else { continue }
            names.append(name)
        }
    }

    public func create(_ name: String, zeroedBytes: Int) throws(StorageError) -> any StorageFile {
        try Self.check(name, .create)
        let number = openat(directory.number, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard number >= 0 else { throw Self.error(.create, name) }
        let file = PosixFile(Descriptor(number), name: name)
        do throws(StorageError) {
            if zeroing == .allocated, zeroedBytes > 0 {
                switch posix_fallocate(number, 0, off_t(zeroedBytes)) {
                case 0: return file
                // What the file system cannot do is written.
                case EOPNOTSUPP, EINVAL, ENOSYS: break
                case let code: throw Self.error(.create, name, code)
                }
            }
            let zeros = [UInt8](repeating: 0, count: min(zeroedBytes, Self.zeroChunkBytes))
            var at = 0
            while at < zeroedBytes {
                let count = min(zeros.count, zeroedBytes - at)
                try file.write(zeros.span.extracting(0..<count).bytes, at: at)
                at += count
            }
        } catch {
            unlinkat(directory.number, name, 0)
            throw StorageError(.create, name: name, reason: error.reason, errorNumber: error.errorNumber)
        }
        return file
    }

    public func open(_ name: String) throws(StorageError) -> any StorageFile {
        try Self.check(name, .open)
        let number = openat(directory.number, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard number >= 0 else { throw Self.error(.open, name) }
        return PosixFile(Descriptor(number), name: name)
    }

    public func rename(_ name: String, to newName: String) throws(StorageError) {
        try Self.check(name, .rename)
        try Self.check(newName, .rename)
        guard renameat(directory.number, name, directory.number, newName) == 0 else {
            throw Self.error(.rename, name)
        }
    }

    /// `renameat2(2)` with `RENAME_EXCHANGE`.
    public func exchange(_ name: String, with other: String) throws(StorageError) {
        try Self.check(name, .exchange)
        try Self.check(other, .exchange)
        guard shim_exchange_names(directory.number, name, other) == 0 else { throw Self.error(.exchange, name) }
    }

    public func remove(_ name: String) throws(StorageError) {
        try Self.check(name, .remove)
        guard unlinkat(directory.number, name, 0) == 0 else { throw Self.error(.remove, name) }
    }

    public func setAside(_ name: String) throws(StorageError) {
        try Self.check(name, .setAside)
        guard mkdirat(directory.number, Self.quarantineName, 0o700) == 0 || errno == EEXIST else {
            throw Self.error(.setAside, name)
        }
        // The lock keeps others out, so a name that is free stays free.
        for number in 1...Self.maximumQuarantinedFiles {
            let place = "\(Self.quarantineName)/\(name).\(number)"
            var status = stat()
            if fstatat(directory.number, place, &status, AT_SYMLINK_NOFOLLOW) == 0 { continue }
            guard errno == ENOENT, renameat(directory.number, name, directory.number, place) == 0 else {
                throw Self.error(.setAside, name)
            }
            return
        }
        throw StorageError(.setAside, name: name, reason: .alreadyExists, errorNumber: EEXIST)
    }

    public func syncDirectory() throws(StorageError) {
        guard fsync(directory.number) == 0 else { throw Self.error(.syncDirectory, path) }
    }

    private static func check(
        _ name: String, _ operation: StorageError.Operation
    ) throws(StorageError) {
        guard StorageName.isValid(name), name != lockName else {
            throw StorageError(operation, name: name, reason: .invalidName)
        }
    }

    /// What `errno` says, at the time of the call.
    static func error(
        _ operation: StorageError.Operation, _ name: String, _ number: Int32 = errno
    ) -> StorageError {
        let reason: StorageError.Reason =
            switch number {
            case ENOENT: .notFound
            case EEXIST: .alreadyExists
            case ENOSPC, EDQUOT: .diskFull
            case EMFILE, ENFILE: .noDescriptor
            case EFBIG: .fileTooLarge
            case EIO, EROFS: .inputOutput
            case EACCES, EPERM: .permissionDenied
            // File systems that do not know a flag of renameat2(2) say that it is invalid.
            case EINVAL where operation == .exchange: .notSupported
            case ENOSYS, EOPNOTSUPP: .notSupported
            default: .other
            }
        return StorageError(operation, name: name, reason: reason, errorNumber: number)
    }
}

/// A file descriptor that is closed with its last reference.
private final class Descriptor: Sendable {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { close(number) }
}

/// An open file of a `FileStorage`: `pwrite(2)` and `pread(2)`, so that threads share no file position.
private final class PosixFile: StorageFile {
    private let descriptor: Descriptor
    private let name: String

    init(_ descriptor: Descriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    func size() throws(StorageError) -> Int {
        var status = stat()
        guard fstat(descriptor.number, &status) == 0 else { throw FileStorage.error(.size, name) }
        return Int(status.st_size)
    }

    func write(_ bytes: RawSpan, at offset: Int) throws(StorageError) {
        try bytes.withUnsafeBytes { raw throws(StorageError) in
            var done = 0
            while done < raw.count {
                let count = pwrite(descriptor.number, raw.baseAddress! + done, raw.count - done, off_t(offset + done))
                if count > 0 {
                    done += count
                } else if count == 0 {
                    throw StorageError(.write, name: name, reason: .inputOutput)
                } else if errno != EINTR {
                    throw FileStorage.error(.write, name)
                }
            }
        }
    }

    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        // No more memory than the file has bytes, however much was asked for.
        let wanted = min(count, max(0, try size() - offset))
        var failure: StorageError?
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            while filled < wanted {
                let got = pread(
                    descriptor.number, buffer.baseAddress! + filled, wanted - filled, off_t(offset + filled))
                if got > 0 {
                    filled += got
                } else if got == 0 {
                    return
                } else if errno != EINTR {
                    failure = FileStorage.error(.read, name)
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    func forgetCache(at offset: Int, count: Int) {
        // Advice: where the system does not take it, the cache is read.
        _ = posix_fadvise(descriptor.number, off_t(offset), off_t(count), POSIX_FADV_DONTNEED)
    }

    func sync() throws(StorageError) {
        // Not repeated after EINTR or anything else: what a failed sync leaves on the disk is unknown.
        guard fdatasync(descriptor.number) == 0 else { throw FileStorage.error(.sync, name) }
    }
}
