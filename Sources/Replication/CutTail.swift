import Journal
import TupleCore
import WireProtocol

/// Entries that are cut off because the active server's log goes on differently. Nobody was answered for them, as far as
/// this service knows; they are kept for an operator who knows better.
enum CutTail {
    /// Files that are kept; the oldest entries go first.
    static let maximumFiles = 8
    /// Bytes of one file; what is beyond is not kept.
    static let maximumBytes = 16 * 1_048_576
    private static let prefix = "cut-"
    private static let magic: [UInt8] = Array("TWINCUT\n".utf8)
    private static let version: UInt32 = 1

    /// What became of a tail.
    enum Outcome: Hashable, Sendable, CustomStringConvertible {
        case kept(file: String, entries: Int, isWhole: Bool)
        case failed(JournalError)

        var description: String {
            switch self {
            case .kept(let file, let entries, let isWhole):
                "\(entries) entries that the active server does not have are cut off, and "
                    + (isWhole ? "kept in '\(file)'" : "the first of them are kept in '\(file)'")
            case .failed(let error):
                "entries that the active server does not have are cut off, and could not be kept: \(error)"
            }
        }
    }

    /// Writes what a cursor reads to a file of so many bytes at most, durably.
    static func keep(
        _ tail: LogCursor, in storage: any Storage, atMost maximumBytes: Int = maximumBytes
    ) -> Outcome {
        var tail = tail
        var writer = ByteWriter()
        writer.bytes = magic
        writer.fixed32(version)
        writer.fixed32(0)
        var first: LogPosition?
        var count = 0
        var isWhole = true
        do throws(JournalError) {
            while let record = try tail.next() {
                count += 1
                first = first ?? record.position
                guard isWhole, writer.bytes.count + record.payload.count <= maximumBytes else {
                    isWhole = false
                    continue
                }
                writer.position(record.position)
                writer.run(record.payload)
            }
            let file = name(of: first ?? tail.position)
            do throws(StorageError) {
                try makeRoom(in: storage, for: file)
                let made = try storage.create(file, zeroedBytes: writer.bytes.count)
                try made.write(writer.bytes.span.bytes, at: 0)
                try made.sync()
                try storage.syncDirectory()
            } catch { throw .storage(error) }
            return .kept(file: file, entries: count, isWhole: isWhole)
        } catch { return .failed(error) }
    }

    /// `cut-00000000000000000042-7`: the first entry's index and epoch.
    private static func name(of position: LogPosition) -> String {
        let index = String(position.index.number)
        return prefix + String(repeating: "0", count: max(0, 20 - index.count)) + index + "-\(position.epoch.number)"
    }

    private static func makeRoom(in storage: any Storage, for file: String) throws(StorageError) {
        let old = try storage.list().filter { $0.hasPrefix(prefix) }.sorted()
        for name in old where name == file { try storage.remove(name) }
        for name in old.filter({ $0 != file }).dropLast(maximumFiles - 1) { try storage.remove(name) }
    }
}
