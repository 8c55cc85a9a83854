/// A data directory: a flat set of named files. The real one is `FileStorage` in Runtime, the simulated one
/// `InMemoryStorage`.
///
/// All calls block. A value may be used from several threads at once. What a call promises after a power cut:
/// - bytes written are kept once `StorageFile.sync()` has returned after the write;
/// - names (create, rename, exchange, remove) are kept once `syncDirectory()` has returned after the call;
/// - what is not yet synced may be lost in any part, down to single sectors, in any order.
///
/// Names are 1 to 128 bytes of letters, digits, `-`, `_` and `.`, and do not begin with a dot.
public protocol Storage: AnyObject, Sendable {
    /// Takes the directory for this process until the storage is released.
    /// - Throws: `.locked` where another process (or another storage object) holds it.
    func lock() throws(StorageError)

    /// The names of all files, in no particular order, without the lock.
    func list() throws(StorageError) -> [String]

    /// Creates a file whose first `zeroedBytes` bytes are written as zeros, so that later writes inside need no new
    /// blocks. Nothing of it is durable before `sync()` and `syncDirectory()`.
    /// - Throws: `.alreadyExists`; `.diskFull`, with nothing left behind.
    func create(_ name: String, zeroedBytes: Int) throws(StorageError) -> any StorageFile

    /// Opens an existing file for reading and writing.
    /// - Throws: `.notFound`.
    func open(_ name: String) throws(StorageError) -> any StorageFile

    /// Renames a file, replacing whatever had the new name, in one step.
    func rename(_ name: String, to newName: String) throws(StorageError)

    /// Exchanges two names in one step: each is the other's file from then on.
    /// - Throws: `.notFound` where one of them is not there; `.notSupported` where the file system has no such step. In
    ///   both cases nothing has changed.
    func exchange(_ name: String, with other: String) throws(StorageError)

    /// Removes a name. Files that are open stay readable until they are released.
    func remove(_ name: String) throws(StorageError)

    /// Moves a damaged file out of the way, to a place of its own beside the data (`quarantine`): it is not listed any
    /// more, and kept for whoever wants to look at it.
    /// - Throws: `.notFound`; `.alreadyExists` where too many files have been set aside already.
    func setAside(_ name: String) throws(StorageError)

    /// Makes names durable.
    func syncDirectory() throws(StorageError)
}

/// An open file; it is closed when the last reference goes. One thread may write while another syncs or reads.
public protocol StorageFile: AnyObject, Sendable {
    /// The length in bytes.
    func size() throws(StorageError) -> Int

    /// Writes all bytes at `offset`, growing the file where needed.
    func write(_ bytes: RawSpan, at offset: Int) throws(StorageError)

    /// Up to `count` bytes from `offset` on; fewer only where the file ends.
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8]

    /// Lets the next read of these bytes come from the device, not from a cache, where the system has a way to do that.
    func forgetCache(at offset: Int, count: Int)

    /// Makes durable what was written before the call (`fdatasync`). A failure is final: which bytes are on the disk is
    /// unknown from then on, and another attempt may falsely succeed.
    func sync() throws(StorageError)
}

/// What went wrong with the data directory, where and why.
public struct StorageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was attempted.
    public enum Operation: String, Hashable, Sendable {
        case lock, list, create, open, size, write, read, sync, rename, exchange, remove
        case setAside = "set aside"
        case syncDirectory = "sync directory"
    }

    /// Why it failed.
    public enum Reason: Hashable, Sendable {
        case notFound
        case alreadyExists
        case diskFull
        /// The process, or the system, has no descriptor left.
        case noDescriptor
        /// The file would be larger than the process may make one (`ulimit -f`).
        case fileTooLarge
        /// Another process uses the directory.
        case locked
        /// A name outside the rules of `Storage`.
        case invalidName
        /// The device or the file system reported an error.
        case inputOutput
        /// The storage was shut down (or crashed, in a simulation) under an open file.
        case closed
        case permissionDenied
        /// The file system does not have what was asked for.
        case notSupported
        case other
    }

    public var operation: Operation
    public var name: String
    public var reason: Reason
    /// The system's error number, 0 where there is none.
    public var errorNumber: Int32

    /// What there is too little of, in words, where that is why: nothing is broken, and the same may be tried again once
    /// there is more. Nil for any other reason.
    public var shortage: String? {
        switch reason {
        case .diskFull: "there is no room"
        case .noDescriptor: "no file descriptor is left (ulimit -n)"
        case .fileTooLarge: "files may not grow so far (ulimit -f)"
        case .notFound, .alreadyExists, .locked, .invalidName, .inputOutput, .closed, .permissionDenied, .notSupported,
            .other:
            nil
        }
    }

    public init(_ operation: Operation, name: String, reason: Reason, errorNumber: Int32 = 0) {
        self.operation = operation
        self.name = name
        self.reason = reason
        self.errorNumber = errorNumber
    }

    public var description: String {
        let why =
            switch reason {
            case .notFound: "it does not exist"
            case .alreadyExists: "it exists already"
            case .diskFull: "the disk is full; free some space"
            case .noDescriptor: "no file descriptor is left; raise the limit (ulimit -n)"
            case .fileTooLarge: "the file may not grow so far; raise the limit (ulimit -f)"
            case .locked: "another process uses this data directory; stop it, or choose another directory"
            case .invalidName: "the name is not allowed"
            case .inputOutput: "the device reported an error; check the disk"
            case .closed: "the storage is closed"
            case .permissionDenied: "permission denied; check the owner and the mode"
            case .notSupported: "the file system cannot do that"
            case .other: "the system refused it"
            }
        let number = errorNumber == 0 ? "" : " (errno \(errorNumber))"
        return "cannot \(operation.rawValue) '\(name)': \(why)\(number)"
    }
}

/// The rule for names that all storages share.
public enum StorageName {
    public static let maximumNameBytes = 128

    public static func isValid(_ name: String) -> Bool {
        guard (1...maximumNameBytes).contains(name.utf8.count), name.utf8.first != UInt8(ascii: ".") else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}
