import Journal
import Synchronization

/// A disk of a simulated machine: `InMemoryStorage`, and in addition the process can die between any two calls to it, or
/// in the middle of one.
final class FaultyStorage: Storage {
    /// What the machine keeps when the process is gone.
    let disk: InMemoryStorage
    private let fuse = Mutex(Fuse())

    struct Fuse {
        /// How many calls that change something still succeed before the process dies; nil where it does not.
        var callsLeft: Int?
        /// The call at which it dies takes effect nevertheless.
        var lastCounts = false
        var isBlown = false
    }

    init(disk: InMemoryStorage = InMemoryStorage()) { self.disk = disk }

    /// The process dies at the call after so many.
    func dieAfter(calls: Int, lastCounts: Bool) {
        fuse.withLock { $0 = Fuse(callsLeft: calls, lastCounts: lastCounts) }
    }

    func mend() { fuse.withLock { $0 = Fuse() } }

    /// Whether the process has died in a call.
    var hasDied: Bool { fuse.withLock { $0.isBlown } }

    private enum Step { case goOn, dieBefore, dieAfter }

    private func burn(_ operation: StorageError.Operation, _ name: String) throws(StorageError) -> Step {
        let step: Step = fuse.withLock { fuse in
            if fuse.isBlown { return .dieBefore }
            guard let left = fuse.callsLeft else { return .goOn }
            if left > 0 {
                fuse.callsLeft = left - 1
                return .goOn
            }
            fuse.isBlown = true
            return fuse.lastCounts ? .dieAfter : .dieBefore
        }
        if step == .dieBefore { throw StorageError(operation, name: name, reason: .closed) }
        return step
    }

    fileprivate func change<Value>(
        _ operation: StorageError.Operation, _ name: String, _ body: () throws(StorageError) -> Value
    ) throws(StorageError) -> Value {
        let step = try burn(operation, name)
        let value = try body()
        if step == .dieAfter { throw StorageError(operation, name: name, reason: .closed) }
        return value
    }

    func lock() throws(StorageError) { try disk.lock() }
    func list() throws(StorageError) -> [String] {
        if hasDied { throw StorageError(.list, name: "", reason: .closed) }
        return try disk.list()
    }

    func create(_ name: String, zeroedBytes: Int) throws(StorageError) -> any StorageFile {
        try change(.create, name) { () throws(StorageError) in
            FaultyFile(self, name, try disk.create(name, zeroedBytes: zeroedBytes))
        }
    }

    func open(_ name: String) throws(StorageError) -> any StorageFile {
        if hasDied { throw StorageError(.open, name: name, reason: .closed) }
        return FaultyFile(self, name, try disk.open(name))
    }

    func rename(_ name: String, to newName: String) throws(StorageError) {
        try change(.rename, name) { () throws(StorageError) in try disk.rename(name, to: newName) }
    }

    func exchange(_ name: String, with other: String) throws(StorageError) {
        try change(.exchange, name) { () throws(StorageError) in try disk.exchange(name, with: other) }
    }

    func remove(_ name: String) throws(StorageError) {
        try change(.remove, name) { () throws(StorageError) in try disk.remove(name) }
    }

    func setAside(_ name: String) throws(StorageError) {
        try change(.setAside, name) { () throws(StorageError) in try disk.setAside(name) }
    }

    func syncDirectory() throws(StorageError) {
        try change(.syncDirectory, "") { () throws(StorageError) in try disk.syncDirectory() }
    }
}

private final class FaultyFile: StorageFile {
    private let storage: FaultyStorage
    private let name: String
    private let file: any StorageFile

    init(_ storage: FaultyStorage, _ name: String, _ file: any StorageFile) {
        self.storage = storage
        self.name = name
        self.file = file
    }

    func size() throws(StorageError) -> Int { try file.size() }
    func write(_ bytes: RawSpan, at offset: Int) throws(StorageError) {
        // A closure cannot hold a span.
        var copy: [UInt8] = []
        copy.reserveCapacity(bytes.byteCount)
        for index in 0..<bytes.byteCount { copy.append(bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)) }
        let whole = copy
        try storage.change(.write, name) { () throws(StorageError) in try file.write(whole.span.bytes, at: offset) }
    }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }
    func forgetCache(at offset: Int, count: Int) { file.forgetCache(at: offset, count: count) }
    func sync() throws(StorageError) { try storage.change(.sync, name) { () throws(StorageError) in try file.sync() } }
}
