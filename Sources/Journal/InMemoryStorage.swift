import Synchronization

/// A data directory in memory, with everything that real disks do to programs: for tests and simulations.
///
/// It keeps apart what the operating system has and what the disk has. `crash` loses what was not synced, sector by
/// sector: each sector has any of the contents it was given since the last sync, or begins with the words of one and ends
/// with those of the one before. Unsynced names are lost from the newest on.
public final class InMemoryStorage: Storage {
    /// What is going to fail.
    public struct Faults: Sendable {
        /// The room for all files together in bytes; nil for no limit.
        public var capacityBytes: Int?
        /// After so many successful calls (0: at once) every sync fails.
        public var syncsUntilFailure: Int?
        /// After so many successful calls (0: at once) every write fails.
        public var writesUntilFailure: Int?
        /// Files whose names begin so cannot be removed.
        public var irremovable: String?
        /// Names cannot be exchanged, as on a file system that does not know it.
        public var hasNoExchange = false
        /// The process has no descriptor left: nothing can be created, opened or listed.
        public var hasNoDescriptor = false

        public init() {}
    }

    /// What a crash takes with it.
    public enum Loss: Sendable {
        /// The process ends, the machine goes on: nothing is lost.
        case nothing
        /// Power fails: any part of what is not synced is lost, as the seed decides.
        case unsynced(seed: UInt64)
        /// Power fails: all that is not synced is lost.
        case everythingUnsynced
    }

    static let sectorBytes = 512

    struct Inode {
        var bytes: [UInt8] = []
        /// What the disk has, and by sector what the sector was since.
        var durable: [UInt8] = []
        var versions: [Int: [[UInt8]]] = [:]
    }

    struct Disk {
        var inodes: [Int: Inode] = [:]
        var names: [String: Int] = [:]
        /// What was set aside, by its old name and a number.
        var aside: [String: [UInt8]] = [:]
        /// The names at the last directory sync, and after each change since.
        var nameVersions: [[String: Int]] = [[:]]
        var nextInode = 0
        /// Counts crashes: files opened before one are closed.
        var life = 0
        var isLocked = false
        var faults = Faults()
        var syncCount = 0
    }

    let disk = Mutex(Disk())

    public init() {}

    // MARK: - Faults

    public func setFaults(_ faults: Faults) { disk.withLock { $0.faults = faults } }

    /// How often something was synced, for tests that count.
    public var syncCount: Int { disk.withLock { $0.syncCount } }

    /// Ends the life of all that is open, and loses what `loss` says. The same object is the disk after the restart.
    public func crash(_ loss: Loss) {
        disk.withLock { disk in
            disk.life += 1
            disk.isLocked = false
            disk.faults = Faults()
            var random: SplitMix64
            switch loss {
            case .nothing: return
            case .everythingUnsynced:
                disk.names = disk.nameVersions[0]
                disk.inodes = disk.inodes.mapValues { Inode(bytes: $0.durable, durable: $0.durable) }
                disk.settle()
                return
            case .unsynced(let seed): random = SplitMix64(state: seed)
            }
            disk.names = disk.nameVersions[Int(random.next() % UInt64(disk.nameVersions.count))]
            for key in disk.inodes.keys.sorted() { disk.inodes[key]?.lose(&random) }
            disk.settle()
        }
    }

    /// Another disk with the same files, as a copy of the directory has them; all of it is durable there.
    public func copy() -> InMemoryStorage {
        let copied = InMemoryStorage()
        let files = disk.withLock { disk in disk.names.mapValues { disk.inodes[$0]?.bytes ?? [] } }
        for (name, bytes) in files.sorted(by: { $0.key < $1.key }) { copied.install(bytes, as: name) }
        return copied
    }

    /// Flips one bit of a file, on the disk and in every cache.
    /// - Precondition: the file exists and is long enough.
    public func flip(bit: Int, of name: String) {
        disk.withLock { disk in
            guard let key = disk.names[name] else { preconditionFailure("no file '\(name)'") }
            disk.inodes[key]?.bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            if let durable = disk.inodes[key]?.durable, durable.count > bit / 8 {
                disk.inodes[key]?.durable[bit / 8] ^= 1 << UInt8(bit % 8)
            }
        }
    }

    /// The content of a file, nil where there is none.
    public func contents(of name: String) -> [UInt8]? {
        disk.withLock { disk in disk.names[name].flatMap { disk.inodes[$0]?.bytes } }
    }

    /// Puts a file in place, durably.
    public func install(_ bytes: [UInt8], as name: String) {
        disk.withLock { disk in
            disk.nextInode += 1
            disk.inodes[disk.nextInode] = Inode(bytes: bytes, durable: bytes)
            disk.names[name] = disk.nextInode
            for index in disk.nameVersions.indices { disk.nameVersions[index][name] = disk.nextInode }
        }
    }

    // MARK: - Storage

    public func lock() throws(StorageError) {
        let wasLocked = disk.withLock { disk in
            defer { disk.isLocked = true }
            return disk.isLocked
        }
        if wasLocked { throw StorageError(.lock, name: "lock", reason: .locked) }
    }

    public func list() throws(StorageError) -> [String] {
        try result(.list, "") { $0.faults.hasNoDescriptor ? .failure(.noDescriptor) : .success($0.names.keys.sorted()) }
    }

    public func create(_ name: String, zeroedBytes: Int) throws(StorageError) -> any StorageFile {
        try check(name, .create)
        return try result(.create, name) { disk in
            if disk.faults.hasNoDescriptor { return .failure(.noDescriptor) }
            guard disk.names[name] == nil else { return .failure(.alreadyExists) }
            guard disk.hasRoom(zeroedBytes) else { return .failure(.diskFull) }
            disk.nextInode += 1
            disk.inodes[disk.nextInode] = Inode()
            disk.inodes[disk.nextInode]?.write([UInt8](repeating: 0, count: zeroedBytes), at: 0)
            disk.names[name] = disk.nextInode
            disk.nameVersions.append(disk.names)
            return .success(InMemoryFile(storage: self, inode: disk.nextInode, life: disk.life, name: name))
        }
    }

    public func open(_ name: String) throws(StorageError) -> any StorageFile {
        try check(name, .open)
        return try result(.open, name) { disk in
            if disk.faults.hasNoDescriptor { return .failure(.noDescriptor) }
            guard let inode = disk.names[name] else { return .failure(.notFound) }
            return .success(InMemoryFile(storage: self, inode: inode, life: disk.life, name: name))
        }
    }

    public func rename(_ name: String, to newName: String) throws(StorageError) {
        try check(newName, .rename)
        try result(.rename, name) { disk -> Result<Void, Reason> in
            guard let inode = disk.names.removeValue(forKey: name) else { return .failure(.notFound) }
            disk.names[newName] = inode
            disk.nameVersions.append(disk.names)
            return .success(())
        }
    }

    public func exchange(_ name: String, with other: String) throws(StorageError) {
        try result(.exchange, name) { disk -> Result<Void, Reason> in
            if disk.faults.hasNoExchange { return .failure(.notSupported) }
            guard let inode = disk.names[name], let otherInode = disk.names[other] else { return .failure(.notFound) }
            disk.names[name] = otherInode
            disk.names[other] = inode
            disk.nameVersions.append(disk.names)
            return .success(())
        }
    }

    public func remove(_ name: String) throws(StorageError) {
        try result(.remove, name) { disk -> Result<Void, Reason> in
            if let kept = disk.faults.irremovable, name.hasPrefix(kept) { return .failure(.inputOutput) }
            guard disk.names.removeValue(forKey: name) != nil else { return .failure(.notFound) }
            disk.nameVersions.append(disk.names)
            return .success(())
        }
    }

    public func setAside(_ name: String) throws(StorageError) {
        try result(.setAside, name) { disk -> Result<Void, Reason> in
            guard let inode = disk.names.removeValue(forKey: name) else { return .failure(.notFound) }
            disk.aside["\(name).\(disk.aside.count + 1)"] = disk.inodes[inode]?.bytes
            disk.nameVersions.append(disk.names)
            return .success(())
        }
    }

    /// The names of the files that were set aside, each with a number.
    public var asideNames: [String] { disk.withLock { $0.aside.keys.sorted() } }

    public func syncDirectory() throws(StorageError) {
        try result(.syncDirectory, "") { disk -> Result<Void, Reason> in
            guard disk.maySync() else { return .failure(.inputOutput) }
            disk.nameVersions = [disk.names]
            return .success(())
        }
    }

    private func check(_ name: String, _ operation: StorageError.Operation) throws(StorageError) {
        guard StorageName.isValid(name) else { throw StorageError(operation, name: name, reason: .invalidName) }
    }

    func result<Value: Sendable>(
        _ operation: StorageError.Operation, _ name: String,
        _ body: (inout Disk) -> Result<Value, Reason>
    ) throws(StorageError) -> Value {
        switch disk.withLock({ body(&$0) }) {
        case .success(let value): return value
        case .failure(let reason): throw StorageError(operation, name: name, reason: reason.reason)
        }
    }

    /// `StorageError.Reason` as an error of its own.
    struct Reason: Error {
        var reason: StorageError.Reason
        static let notFound = Reason(reason: .notFound)
        static let alreadyExists = Reason(reason: .alreadyExists)
        static let diskFull = Reason(reason: .diskFull)
        static let noDescriptor = Reason(reason: .noDescriptor)
        static let inputOutput = Reason(reason: .inputOutput)
        static let closed = Reason(reason: .closed)
        static let notSupported = Reason(reason: .notSupported)
    }
}

extension InMemoryStorage.Disk {
    func hasRoom(_ bytes: Int) -> Bool {
        // What lies within a file already has its room.
        guard bytes > 0, let capacity = faults.capacityBytes else { return true }
        return names.values.reduce(0) { $0 + (inodes[$1]?.bytes.count ?? 0) } + bytes <= capacity
    }

    mutating func maySync() -> Bool {
        syncCount += 1
        guard let left = faults.syncsUntilFailure else { return true }
        faults.syncsUntilFailure = max(0, left - 1)
        return left > 0
    }

    mutating func mayWrite() -> Bool {
        guard let left = faults.writesUntilFailure else { return true }
        faults.writesUntilFailure = max(0, left - 1)
        return left > 0
    }

    /// What there is now is what the disk has.
    mutating func settle() {
        nameVersions = [names]
        let used = Set(names.values)
        inodes = inodes.filter { used.contains($0.key) }
        for key in inodes.keys { inodes[key]?.sync() }
    }
}

extension InMemoryStorage.Inode {
    mutating func write(_ new: [UInt8], at offset: Int) {
        guard !new.isEmpty else { return }
        if bytes.count < offset + new.count {
            bytes.append(contentsOf: repeatElement(0, count: offset + new.count - bytes.count))
        }
        bytes.replaceSubrange(offset..<offset + new.count, with: new)
        let size = InMemoryStorage.sectorBytes
        for sector in (offset / size)...((offset + new.count - 1) / size) {
            versions[sector, default: []].append(Array(bytes[(sector * size)..<min((sector + 1) * size, bytes.count)]))
        }
    }

    mutating func sync() {
        durable = bytes
        versions = [:]
    }

    /// Makes `bytes` what the disk has after a power cut.
    mutating func lose(_ random: inout SplitMix64) {
        let size = InMemoryStorage.sectorBytes
        var result = durable
        // Crashes that lose nearly nothing, or nearly everything, are as telling as those that lose half.
        let keepsPercent = [0, 10, 50, 90, 100][Int(random.next() % 5)]
        for sector in versions.keys.sorted() {
            guard let written = versions[sector] else { continue }
            guard random.next() % 100 < keepsPercent else { continue }
            let at = sector * size
            var old = at < result.count ? Array(result[at..<min(at + size, result.count)]) : []
            let chosen = Int(random.next() % UInt64(written.count))
            if chosen > 0 { old = written[chosen - 1] }
            var new = written[chosen]
            if random.next() % 4 == 0 {
                let words = Int(random.next() % 65) * 8
                old.append(contentsOf: repeatElement(0, count: max(0, new.count - old.count)))
                if words < new.count { new.replaceSubrange(words..., with: old[words...]) }
            }
            if result.count < at + new.count {
                result.append(contentsOf: repeatElement(0, count: at + new.count - result.count))
            }
            result.replaceSubrange(at..<at + new.count, with: new)
        }
        bytes = result
    }
}

/// An open file of an `InMemoryStorage`.
final class InMemoryFile: StorageFile {
    private let storage: InMemoryStorage
    private let inode: Int
    private let life: Int
    private let name: String

    init(storage: InMemoryStorage, inode: Int, life: Int, name: String) {
        self.storage = storage
        self.inode = inode
        self.life = life
        self.name = name
    }

    func size() throws(StorageError) -> Int {
        try withInode(.size) { _, inode in .success(inode.bytes.count) }
    }

    func write(_ span: RawSpan, at offset: Int) throws(StorageError) {
        var bytes: [UInt8] = []
        bytes.append(bytesOf: span)
        let new = bytes
        try withInode(.write) { disk, inode -> Result<Void, InMemoryStorage.Reason> in
            guard disk.mayWrite() else { return .failure(.inputOutput) }
            guard disk.hasRoom(max(0, offset + new.count - inode.bytes.count)) else { return .failure(.diskFull) }
            inode.write(new, at: offset)
            return .success(())
        }
    }

    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        try withInode(.read) { _, inode in
            let from = min(offset, inode.bytes.count)
            return .success(Array(inode.bytes[from..<min(from + count, inode.bytes.count)]))
        }
    }

    func forgetCache(at offset: Int, count: Int) {}

    func sync() throws(StorageError) {
        try withInode(.sync) { disk, inode -> Result<Void, InMemoryStorage.Reason> in
            guard disk.maySync() else { return .failure(.inputOutput) }
            inode.sync()
            return .success(())
        }
    }

    private func withInode<Value: Sendable>(
        _ operation: StorageError.Operation,
        _ body: (inout InMemoryStorage.Disk, inout InMemoryStorage.Inode) -> Result<Value, InMemoryStorage.Reason>
    ) throws(StorageError) -> Value {
        try storage.result(operation, name) { disk in
            guard disk.life == life, var node = disk.inodes[inode] else { return .failure(.closed) }
            // Taken out, so that writing into it copies nothing.
            disk.inodes[inode] = InMemoryStorage.Inode()
            defer { disk.inodes[inode] = node }
            return body(&disk, &node)
        }
    }
}

/// A small generator of random numbers that gives the same sequence for the same seed everywhere (Steele, Lea, Flood:
/// "Fast splittable pseudorandom number generators", 2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
