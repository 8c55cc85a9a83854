/// A small named record that is replaced as a whole: after a crash it has the old content or the new one.
///
/// The file has its content twice, so that damage to one of the two costs nothing.
///
/// The file for the next content is there ahead, so that a full disk does not keep a server from what it has to remember:
/// the two files exchange their names with every write, and neither gives its room back. What is written into is never
/// the record, nor what a power cut could make the record again: the names are durable before the next write.
///
/// The proxy keeps the switch's record in one, a server its cluster and the last switch record it saw. All calls block.
/// One value at a time may be used for a name.
public struct DurableRecord: Sendable {
    public static let maximumPayloadBytes = 1_048_576
    public static let maximumNameBytes = 64
    /// The format of what is written. One that release 0.1 wrote has 2, and is read as well; what the content's owner makes
    /// of it may differ by ``version``.
    public static let currentVersion: UInt32 = 3
    private static let oldestVersion: UInt32 = 2
    private static let magic: [UInt8] = Array("TWINREC\n".utf8)
    private static let headerBytes = 32
    /// A multiple of what disks lose at once.
    private static let slotBytes = 4_096

    private let storage: any Storage
    /// The file is `<name>.record`.
    public let name: String
    /// What was last read or written; nil before the first write.
    public private(set) var payload: [UInt8]?
    /// The format in which ``payload`` was read or written.
    public private(set) var version = Self.currentVersion
    /// How often the record has been written.
    public private(set) var generation: UInt64 = 0
    /// Whether one of the two copies in the file was found damaged: `repair()` mends it.
    public private(set) var isDamaged = false
    /// The file for the next content, of two slots. Only set while the names are durable, see `adopt()`.
    private var prepared: (any StorageFile)?
    /// The record's own file, which the next write makes the prepared one: it stays open, so that what has to be
    /// remembered needs no descriptor when there is none.
    private var current: (any StorageFile)?

    private var fileName: String { name + FileName.recordSuffix }

    /// Reads the record, where there is one.
    /// - Parameter name: 1 to 64 bytes of letters, digits, `-` and `_`.
    /// - Throws: `.corrupt` where it is damaged, `.unknownVersion`, `.invalidRecordName`, `.storage`.
    public init(storage: any Storage, name: String) throws(JournalError) {
        guard StorageName.isValid(name), !name.contains("."), name.utf8.count <= Self.maximumNameBytes else {
            throw .invalidRecordName(name)
        }
        self.storage = storage
        self.name = name
        if let file = try openCurrent() {
            try decode(try Self.readAll(file))
            current = file
        }
        try makeNamesDurable()
    }

    /// A record of which the present content does not matter: the first `write` replaces it.
    public init(storage: any Storage, replacing name: String) throws(JournalError) {
        guard StorageName.isValid(name), !name.contains("."), name.utf8.count <= Self.maximumNameBytes else {
            throw .invalidRecordName(name)
        }
        self.storage = storage
        self.name = name
        try makeNamesDurable()
    }

    /// The names may have been exchanged just before the process died. What is acted upon must be what a power cut leaves;
    /// and what is prepared must not be what a power cut makes the record again.
    private mutating func makeNamesDurable() throws(JournalError) {
        try attempt { () throws(StorageError) in try storage.syncDirectory() }
        adopt()
    }

    /// Takes the file that has the temporary name for the next content, whatever is in it: an exchanged record, or what an
    /// earlier process prepared. One of another size would not have the two copies where they are looked for: it is made
    /// anew, as is one that cannot be opened.
    /// - Precondition: the names are durable.
    private mutating func adopt() {
        guard let file = try? storage.open(temporaryName), Self.fitsNext(file) else { return }
        prepared = file
    }

    private static func fitsNext(_ file: any StorageFile) -> Bool { (try? file.size()) == 2 * slotBytes }

    /// The record's file, nil where there is none.
    private func openCurrent() throws(JournalError) -> (any StorageFile)? {
        do throws(StorageError) { return try storage.open(fileName) } catch {
            if error.reason == .notFound { return nil }
            throw .storage(error)
        }
    }

    private static func readAll(_ file: any StorageFile) throws(JournalError) -> [UInt8] {
        let most = 2 * Self.slot(for: Self.maximumPayloadBytes) + 1
        return try attempt { () throws(StorageError) in
            file.forgetCache(at: 0, count: most)
            return try file.read(at: 0, count: most)
        }
    }

    /// Replaces the content; it is durable when the call returns.
    /// - Throws: `.payloadTooLarge`, with nothing changed. After `.storage` either content may be on the disk; where
    ///   the reason is `.diskFull`, it is the old one.
    public mutating func write(_ payload: [UInt8]) throws(JournalError) {
        try write(payload, version: Self.currentVersion)
    }

    private mutating func write(_ payload: [UInt8], version: UInt32) throws(JournalError) {
        guard payload.count <= Self.maximumPayloadBytes else {
            throw .payloadTooLarge(bytes: payload.count, maximumBytes: Self.maximumPayloadBytes)
        }
        let slot = encode(payload, generation: generation + 1, version: version)
        do throws(StorageError) {
            if slot.count > Self.slotBytes { prepared = nil }
            let file: any StorageFile
            if let prepared { file = prepared } else { file = try makeFile(bytes: 2 * slot.count) }
            // Where this fails on the way the next write makes a new file: the former record may still be what a power cut
            // leaves, under whichever of the two names it is.
            prepared = nil
            let former = current
            current = nil
            try file.write((slot + slot).span.bytes, at: 0)
            try file.sync()
            let isExchanged = try putInPlace()
            try storage.syncDirectory()
            current = file
            if isExchanged, let former, Self.fitsNext(former) {
                prepared = former
            } else if isExchanged {
                adopt()
            }
        } catch { throw .storage(error) }
        self.payload = payload
        self.version = version
        generation += 1
        isDamaged = false
        prepare()
    }

    /// Gives the new content the record's name, and the former one the temporary name.
    /// - Returns: false where there was no former one, or where the file system has no exchange: then it is gone.
    private func putInPlace() throws(StorageError) -> Bool {
        do throws(StorageError) {
            try storage.exchange(temporaryName, with: fileName)
            return true
        } catch {
            guard error.reason == .notFound || error.reason == .notSupported else { throw error }
        }
        try storage.rename(temporaryName, to: fileName)
        return false
    }

    /// Makes the file for the next content ahead where there is none. Where there is no room for it, the next `write` tries again.
    public mutating func prepare() {
        guard prepared == nil else { return }
        prepared = try? makeFile(bytes: 2 * Self.slotBytes)
    }

    /// Reads both copies again. Any thread may call it on a copy of this value, while the record is not written.
    /// - Returns: whether they are what was written.
    /// - Throws: `.storage`.
    public func isIntact() throws(JournalError) -> Bool {
        guard let payload else { return true }
        let slot = encode(payload, generation: generation, version: version)
        var file = current
        if file == nil { file = try openCurrent() }
        guard !isDamaged, let file else { return false }
        return try Self.readAll(file) == slot + slot
    }

    /// Writes both copies anew where one is damaged.
    /// - Returns: whether one was.
    /// - Throws: `.storage`.
    public mutating func repair() throws(JournalError) -> Bool {
        guard let payload else { return false }
        if try isIntact() { return false }
        let version = version
        try write(payload, version: version)
        return true
    }

    private func makeFile(bytes: Int) throws(StorageError) -> any StorageFile {
        do throws(StorageError) { try storage.remove(temporaryName) } catch {
            guard error.reason == .notFound else { throw error }
        }
        return try storage.create(temporaryName, zeroedBytes: bytes)
    }

    private var temporaryName: String { fileName + FileName.temporarySuffix }

    private static func slot(for payloadBytes: Int) -> Int {
        (headerBytes + payloadBytes + slotBytes - 1) / slotBytes * slotBytes
    }

    private var seed: UInt32 { Array(name.utf8).checksum(0..<name.utf8.count) }

    private func encode(_ payload: [UInt8], generation: UInt64, version: UInt32) -> [UInt8] {
        var bytes = Self.magic
        bytes.appendLittleEndian(version)
        bytes.appendLittleEndian(UInt32(payload.count))
        bytes.appendLittleEndian(generation)
        bytes.appendLittleEndian(payload.checksum(0..<payload.count, seed: seed))
        bytes.appendLittleEndian(bytes.checksum(0..<28, seed: seed))
        bytes += payload
        bytes.append(contentsOf: repeatElement(0, count: Self.slot(for: payload.count) - bytes.count))
        return bytes
    }

    private mutating func decode(_ bytes: [UInt8]) throws(JournalError) {
        let halves = [Array(bytes.prefix(bytes.count / 2)), Array(bytes.suffix(bytes.count / 2))]
        var found: [(payload: [UInt8], generation: UInt64, version: UInt32)] = []
        for half in halves { if let slot = try decode(slot: half) { found.append(slot) } }
        guard let best = found.first else { throw .corrupt(Finding(.badDurableRecord, file: fileName, offset: 0)) }
        payload = best.payload
        generation = best.generation
        version = best.version
        isDamaged = found.count < halves.count || bytes.count % 2 != 0
    }

    /// One copy of the content, nil where it is damaged.
    private func decode(slot bytes: [UInt8]) throws(JournalError) -> (
        payload: [UInt8], generation: UInt64, version: UInt32
    )? {
        guard bytes.count >= Self.headerBytes, Array(bytes[0..<8]) == Self.magic,
            bytes.littleEndian(UInt32.self, at: 28) == bytes.checksum(0..<28, seed: seed)
        else { return nil }
        let version = bytes.littleEndian(UInt32.self, at: 8)
        guard (Self.oldestVersion...Self.currentVersion).contains(version) else {
            throw .unknownVersion(file: fileName, found: version, supported: Self.currentVersion)
        }
        let end = Self.headerBytes + Int(bytes.littleEndian(UInt32.self, at: 12))
        guard end <= bytes.count, bytes.isZero(end..<bytes.count),
            bytes.littleEndian(UInt32.self, at: 24) == bytes.checksum(Self.headerBytes..<end, seed: seed),
            bytes.littleEndian(UInt64.self, at: 16) < .max
        else { return nil }
        return (Array(bytes[Self.headerBytes..<end]), bytes.littleEndian(UInt64.self, at: 16), version)
    }
}
