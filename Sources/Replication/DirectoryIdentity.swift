import Journal
public import TupleCore
import WireProtocol

/// Who starts on a data directory.
public struct DirectoryStart: Hashable, Sendable {
    public var name: NodeID
    /// Drawn at random for this start: see ``Incarnation/life``.
    public var life: UInt64

    public init(name: NodeID, life: UInt64) {
        self.name = name
        self.life = life
    }
}

/// The durable record that says whose a data directory is, and how often a server was started on it.
///
/// A directory of release 0.1 has none: the first start makes it, and cannot know whether the directory is the server's.
struct DirectoryIdentity {
    static let fileName = "identity"

    /// What the directory says of itself.
    struct Content: Hashable {
        var name: NodeID
        /// The cluster that its data belong to; `none` where no start has found any yet.
        var cluster: ClusterID
        var lineage: Lineage
    }

    var file: DurableRecord
    private(set) var content: Content?

    /// Reads it, and holds it against who starts.
    ///
    /// - Parameter damage: where it is damaged, that is added in words: nobody knows what it said, so the copy must not
    ///   count, and the next start is the first one of another directory.
    /// - Throws: `.notOurs`, `.unknownVersion`, `.storage`.
    static func open(
        _ storage: any Storage, for start: DirectoryStart?, damage: inout [String]
    ) throws(JournalError) -> DirectoryIdentity {
        var identity: DirectoryIdentity
        do throws(JournalError) {
            identity = DirectoryIdentity(file: try DurableRecord(storage: storage, name: fileName))
            identity.content = try identity.decode()
        } catch {
            guard error.isDamage else { throw error }
            damage.append("\(error)")
            do throws(StorageError) { try storage.setAside(fileName + ".record") } catch { throw .storage(error) }
            identity = DirectoryIdentity(file: try DurableRecord(storage: storage, name: fileName))
        }
        if let start { try identity.check(start.name) }
        return identity
    }

    private init(file: DurableRecord) { self.file = file }

    private func check(_ name: NodeID) throws(JournalError) {
        #if PLANTED_BUGS
            if PlantedBug.directoryWithoutName.isOn { return }
        #endif
        guard let content, content.name != name else { return }
        throw .notOurs(
            "it is the directory of server \(content.name), and this is server \(name): give each server the --data that "
                + "it was started with before, or an empty one")
    }

    /// Counts a start, durably, before anybody hears of it.
    mutating func begin(_ start: DirectoryStart, cluster: ClusterID) throws(JournalError) -> Lineage {
        let lineage =
            content?.lineage.next(life: start.life)
            ?? Lineage(incarnation: Incarnation(directory: start.life, starts: 1, life: start.life))
        let begun = Content(name: start.name, cluster: cluster, lineage: lineage)
        #if PLANTED_BUGS
            if PlantedBug.countStartsLate.isOn, content != nil { return lineage }
        #endif
        var writer = ByteWriter()
        writer.node(begun.name)
        writer.fixed64(begun.cluster.number)
        writer.lineage(begun.lineage)
        writer.extensions(Extensions())
        try file.write(writer.bytes)
        content = begun
        return lineage
    }

    private func decode() throws(JournalError) -> Content? {
        guard let payload = file.payload else { return nil }
        var reader = ByteReader(payload)
        do throws(DecodingError) {
            let content = Content(
                name: try reader.node(), cluster: ClusterID(try reader.fixed64()), lineage: try reader.lineage())
            _ = try reader.extensions()
            try reader.end()
            return content
        } catch { throw .corrupt(Finding(.badDurableRecord, file: DirectoryIdentity.fileName + ".record", offset: 0)) }
    }
}
