/// A small named record that is replaced as a whole: after a crash it has the old content or the new one.
///
/// The proxy keeps the switch's record in one, a server its cluster and the last switch record it saw. All calls block.
/// One value at a time may be used for a name.
public struct DurableRecord: Sendable {
    public static let maximumPayloadBytes = 1_048_576
    public static let maximumNameBytes = 64
    private static let version: UInt32 = 1
    private static let magic: [UInt8] = Array("TWINREC\n".utf8)
    private static let headerBytes = 32

    private let storage: any Storage
    /// The file is `<name>.record`.
    public let name: String
    /// What was last read or written; nil before the first write.
    public private(set) var payload: [UInt8]?
    /// How often the record has been written.
    public private(set) var generation: UInt64 = 0

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
        let file: any StorageFile
        do { file = try storage.open(name + FileName.recordSuffix) } catch {
            if error.reason == .notFound { return }
            throw .storage(error)
        }
        let bytes = try attempt { () throws(StorageError) in
            try file.read(at: 0, count: Self.headerBytes + Self.maximumPayloadBytes + 1)
        }
        try decode(bytes)
    }

    /// Replaces the content; it is durable when the call returns.
    /// - Throws: `.payloadTooLarge`, with nothing changed. After `.storage` either content may be on the disk; where
    ///   the reason is `.diskFull`, it is the old one.
    public mutating func write(_ payload: [UInt8]) throws(JournalError) {
        guard payload.count <= Self.maximumPayloadBytes else {
            throw .payloadTooLarge(bytes: payload.count, maximumBytes: Self.maximumPayloadBytes)
        }
        let bytes = encode(payload, generation: generation + 1)
        let temporary = fileName + FileName.temporarySuffix
        do throws(StorageError) {
            do throws(StorageError) { try storage.remove(temporary) } catch {
                guard error.reason == .notFound else { throw error }
            }
            let file = try storage.create(temporary, zeroedBytes: 0)
            try file.write(bytes.span.bytes, at: 0)
            try file.sync()
            try storage.rename(temporary, to: fileName)
            try storage.syncDirectory()
        } catch { throw .storage(error) }
        self.payload = payload
        generation += 1
    }

    private var seed: UInt32 { Array(name.utf8).checksum(0..<name.utf8.count) }

    private func encode(_ payload: [UInt8], generation: UInt64) -> [UInt8] {
        var bytes = Self.magic
        bytes.appendLittleEndian(Self.version)
        bytes.appendLittleEndian(UInt32(payload.count))
        bytes.appendLittleEndian(generation)
        bytes.appendLittleEndian(payload.checksum(0..<payload.count, seed: seed))
        bytes.appendLittleEndian(bytes.checksum(0..<28, seed: seed))
        return bytes + payload
    }

    private mutating func decode(_ bytes: [UInt8]) throws(JournalError) {
        let damaged = JournalError.corrupt(Finding(.badDurableRecord, file: fileName, offset: 0))
        guard bytes.count >= Self.headerBytes, Array(bytes[0..<8]) == Self.magic,
            bytes.littleEndian(UInt32.self, at: 28) == bytes.checksum(0..<28, seed: seed)
        else { throw damaged }
        let version = bytes.littleEndian(UInt32.self, at: 8)
        guard version == Self.version else {
            throw .unknownVersion(file: fileName, found: version, supported: Self.version)
        }
        let payload = Array(bytes[Self.headerBytes...])
        guard bytes.littleEndian(UInt32.self, at: 12) == payload.count,
            bytes.littleEndian(UInt32.self, at: 24) == payload.checksum(0..<payload.count, seed: seed),
            bytes.littleEndian(UInt64.self, at: 16) < .max
        else { throw damaged }
        self.payload = payload
        generation = bytes.littleEndian(UInt64.self, at: 16)
    }
}
