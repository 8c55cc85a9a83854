public import TupleCore

/// The bytes of a snapshot (specs/0004-journal.md, "Snapshots"): a header, chunks, a footer, nothing else.
enum SnapshotFormat {
    /// What is written. Version 1, of release 0.1, is read too: its first chunk is another one.
    static let version: UInt32 = 2
    static let oldestVersion: UInt32 = 1
    static let magic: [UInt8] = Array("TWINSNP\n".utf8)
    static let headerBytes = 40
    static let chunkHeaderBytes = 12
    static let footerBytes = 36
    static let chunkMagic: UInt32 = 0x4B4E_4843
    static let footerMagic: UInt32 = 0x544F_4F46
    static let maximumChunkBytes = Limits.maximumPayloadBytes

    static func header(_ position: LogPosition, version: UInt32 = version) -> [UInt8] {
        var bytes = magic
        bytes.appendLittleEndian(version)
        bytes.appendLittleEndian(UInt32(0))
        bytes.appendLittleEndian(position.index.number)
        bytes.appendLittleEndian(position.epoch.number)
        bytes.appendLittleEndian(UInt32(0))
        bytes.appendLittleEndian(bytes.checksum(0..<36))
        return bytes
    }

    /// The footer, with the checksum over the checksums of all chunks.
    static func footer(chunks: UInt64, payloadBytes: UInt64, total: UInt32, position: LogPosition) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(footerMagic)
        bytes.appendLittleEndian(chunks)
        bytes.appendLittleEndian(payloadBytes)
        bytes.appendLittleEndian(position.index.number)
        bytes.appendLittleEndian(total)
        bytes.appendLittleEndian(bytes.checksum(0..<32))
        return bytes
    }

    static func chunkSeed(_ number: UInt64, _ position: LogPosition) -> UInt32 {
        placeSeed(number, position.index.number)
    }
}

/// Writes a snapshot as a stream of chunks. It has its final name, and so counts, only after `finish()`; dropped before,
/// it leaves nothing. It may be used on any one thread at a time.
public struct SnapshotWriter: ~Copyable, Sendable {
    private let storage: any Storage
    private let file: any StorageFile
    private let temporary: String
    public let position: LogPosition
    private var offset = SnapshotFormat.headerBytes
    private var chunks: UInt64 = 0
    private var payloadBytes: UInt64 = 0
    private var total: UInt32 = 0
    private var isFinished = false
    private var buffer: [UInt8] = []
    private var unsyncedBytes = 0

    /// A large snapshot is synced as it grows: all of it at the end would have every other sync of the disk wait for it.
    static let bytesPerSync = 16 * 1_048_576

    /// Chunks up to so many bytes are accepted.
    public static var maximumChunkBytes: Int { SnapshotFormat.maximumChunkBytes }

    /// Begins a snapshot of the state after the entry at `position`.
    /// - Throws: `.storage`, with `.alreadyExists` where another snapshot of that position is being written.
    public init(storage: any Storage, position: LogPosition) throws(JournalError) {
        let temporary = FileName.snapshot(named: position) + FileName.temporarySuffix
        let file = try attempt { () throws(StorageError) in
            let file = try storage.create(temporary, zeroedBytes: 0)
            do throws(StorageError) { try file.write(SnapshotFormat.header(position).span.bytes, at: 0) } catch {
                try? storage.remove(temporary)
                throw error
            }
            return file
        }
        self.storage = storage
        self.file = file
        self.temporary = temporary
        self.position = position
    }

    /// Adds a chunk.
    /// - Parameter chunk: 1 to `maximumChunkBytes` bytes.
    /// - Throws: `.payloadTooLarge`, `.storage`. After an error the snapshot is to be dropped.
    public mutating func add(_ chunk: RawSpan) throws(JournalError) {
        guard chunk.byteCount <= Self.maximumChunkBytes else {
            throw .payloadTooLarge(bytes: chunk.byteCount, maximumBytes: Self.maximumChunkBytes)
        }
        guard chunk.byteCount > 0 else { return }
        let sum = checksum(chunk, seed: SnapshotFormat.chunkSeed(chunks, position))
        buffer.removeAll(keepingCapacity: true)
        buffer.appendLittleEndian(SnapshotFormat.chunkMagic)
        buffer.appendLittleEndian(UInt32(chunk.byteCount))
        buffer.appendLittleEndian(sum)
        buffer.append(bytesOf: chunk)
        do {
            try file.write(buffer.span.bytes, at: offset)
            unsyncedBytes += buffer.count
            if unsyncedBytes >= Self.bytesPerSync {
                try file.sync()
                unsyncedBytes = 0
            }
        } catch { throw .storage(error) }
        offset += buffer.count
        chunks += 1
        payloadBytes += UInt64(chunk.byteCount)
        total = withUnsafeBytes(of: sum.littleEndian) { checksum($0, seed: total) }
    }

    /// The same for an array of bytes.
    public mutating func add(_ chunk: [UInt8]) throws(JournalError) { try add(chunk.span.bytes) }

    /// Makes the snapshot complete and durable under its name, then removes older ones. Blocks.
    /// - Returns: why an older one could not be removed, nil where all are gone. It costs room, no more: the next snapshot
    ///   removes it, or recovery.
    /// - Throws: `.storage`; the snapshot may then exist or not, and older ones are still there.
    public consuming func finish() throws(JournalError) -> StorageError? {
        let footer = SnapshotFormat.footer(
            chunks: chunks, payloadBytes: payloadBytes, total: total, position: position)
        let name = FileName.snapshot(named: position)
        do {
            try file.write(footer.span.bytes, at: offset)
            try file.sync()
            try storage.rename(temporary, to: name)
            isFinished = true
            try storage.syncDirectory()
        } catch { throw .storage(error) }
        do {
            for other in try storage.list() {
                guard case .snapshot(let older) = FileName.parse(other), older.index <= position.index, other != name
                else { continue }
                try storage.remove(other)
            }
            return nil
        } catch { return error }
    }

    deinit {
        if !isFinished { try? storage.remove(temporary) }
    }
}

/// Reads a snapshot, checking every byte of it.
public struct SnapshotReader: Sendable {
    public let position: LogPosition
    /// The file's name, for messages.
    public let name: String
    private var window: FileWindow
    private var offset = SnapshotFormat.headerBytes
    private var chunks: UInt64 = 0
    private var payloadBytes: UInt64 = 0
    private var total: UInt32 = 0
    private var isAtEnd = false

    /// Opens the complete snapshot of `position`.
    /// - Parameter isFromDevice: whether what the system has cached is passed over.
    /// - Throws: `.corrupt` where its head is damaged, `.unknownVersion`, `.storage`.
    public init(storage: any Storage, position: LogPosition, isFromDevice: Bool = false) throws(JournalError) {
        self.position = position
        let name = FileName.snapshot(named: position)
        self.name = name
        let file = try attempt { () throws(StorageError) in try storage.open(name) }
        window = try FileWindow(file, name: name, isFromDevice: isFromDevice)
        guard let start = try window.load(at: 0, count: SnapshotFormat.headerBytes) else { throw damaged(0) }
        let bytes = Array(window.bytes[start..<start + SnapshotFormat.headerBytes])
        guard Array(bytes[0..<8]) == SnapshotFormat.magic,
            bytes.littleEndian(UInt32.self, at: 36) == bytes.checksum(0..<36)
        else { throw damaged(0) }
        let version = bytes.littleEndian(UInt32.self, at: 8)
        guard (SnapshotFormat.oldestVersion...SnapshotFormat.version).contains(version) else {
            throw .unknownVersion(file: name, found: version, supported: SnapshotFormat.version)
        }
        guard bytes == SnapshotFormat.header(position, version: version) else { throw damaged(0) }
    }

    /// The next chunk, or nil after the last one, when the footer has been found to match all of them.
    /// - Throws: `.corrupt` with file and offset, `.storage`.
    public mutating func next() throws(JournalError) -> [UInt8]? {
        guard !isAtEnd else { return nil }
        guard let head = try window.load(at: offset, count: SnapshotFormat.chunkHeaderBytes) else {
            throw damaged(offset)
        }
        guard window.bytes.littleEndian(UInt32.self, at: head) == SnapshotFormat.chunkMagic else {
            try checkFooter()
            return nil
        }
        let count = Int(window.bytes.littleEndian(UInt32.self, at: head + 4))
        let sum = window.bytes.littleEndian(UInt32.self, at: head + 8)
        guard (1...SnapshotFormat.maximumChunkBytes).contains(count),
            let start = try window.load(at: offset + SnapshotFormat.chunkHeaderBytes, count: count),
            window.bytes.checksum(start..<start + count, seed: SnapshotFormat.chunkSeed(chunks, position)) == sum
        else { throw damaged(offset) }
        offset += SnapshotFormat.chunkHeaderBytes + count
        chunks += 1
        payloadBytes += UInt64(count)
        total = withUnsafeBytes(of: sum.littleEndian) { checksum($0, seed: total) }
        return Array(window.bytes[start..<start + count])
    }

    /// Begins again with the first chunk.
    public mutating func rewind() {
        offset = SnapshotFormat.headerBytes
        chunks = 0
        payloadBytes = 0
        total = 0
        isAtEnd = false
    }

    /// Reads everything once, for its checksums, and begins again: for recovery and for the scrub.
    /// - Throws: as `next()`.
    public mutating func verify() throws(JournalError) {
        rewind()
        while try next() != nil {}
        rewind()
    }

    private mutating func checkFooter() throws(JournalError) {
        guard offset + SnapshotFormat.footerBytes == window.size,
            let start = try window.load(at: offset, count: SnapshotFormat.footerBytes),
            Array(window.bytes[start..<start + SnapshotFormat.footerBytes])
                == SnapshotFormat.footer(
                    chunks: chunks, payloadBytes: payloadBytes, total: total, position: position)
        else { throw damaged(offset) }
        isAtEnd = true
    }

    private func damaged(_ offset: Int) -> JournalError {
        .corrupt(Finding(.badSnapshot, file: name, offset: offset, index: position.index))
    }
}
