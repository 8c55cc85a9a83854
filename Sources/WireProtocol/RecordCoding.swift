public import TupleCore

/// The switch's record in bytes, in two forms: as release 0.1 has it, and with the members' incarnations.
extension ByteWriter {
    /// The form that is written to disks, and sent where there are incarnations.
    public mutating func record(_ record: SwitchRecord) {
        plainRecord(record)
        let incarnations = record.incarnations.sorted { $0.key < $1.key }
        length(incarnations.count)
        for (name, incarnation) in incarnations {
            node(name)
            self.incarnation(incarnation)
        }
        extensions(Extensions())
    }

    /// The form of release 0.1, without incarnations.
    public mutating func plainRecord(_ record: SwitchRecord) {
        fixed64(record.cluster.number)
        fixed64(record.epoch.number)
        fixed64(record.version)
        node(record.active)
        length(record.inSync.count)
        for name in record.inSync { node(name) }
        byte(record.rule.rawValue)
    }

    /// 0 for none, 1 and the form of release 0.1, or 2 and a run of the present form.
    public mutating func optionalRecord(_ record: SwitchRecord?) {
        guard let record else {
            byte(0)
            return
        }
        guard !record.incarnations.isEmpty else {
            byte(1)
            plainRecord(record)
            return
        }
        byte(2)
        var whole = ByteWriter()
        whole.record(record)
        run(whole.bytes)
    }

    mutating func incarnation(_ incarnation: Incarnation) {
        fixed64(incarnation.directory)
        fixed64(incarnation.starts)
        fixed64(incarnation.life)
    }

    public mutating func lineage(_ lineage: Lineage) {
        incarnation(lineage.incarnation)
        length(lineage.earlierLives.count)
        for life in lineage.earlierLives { fixed64(life) }
    }

    mutating func heartbeats(_ settings: HeartbeatSettings) {
        fixed32(settings.intervalMilliseconds)
        fixed32(settings.misses)
    }
}

extension ByteReader {
    public mutating func nodes() throws(DecodingError) -> [NodeID] {
        var nodes: [NodeID] = []
        for _ in 0..<(try count(ofAtLeast: 2)) { nodes.append(try node()) }
        return nodes
    }

    public mutating func rule() throws(DecodingError) -> ElementRule {
        guard let rule = ElementRule(rawValue: try byte()) else { throw .invalid("element rule") }
        return rule
    }

    /// The present form, to its end.
    ///
    /// - Throws: also where the record is one that no switch ever recorded.
    public mutating func record() throws(DecodingError) -> SwitchRecord {
        var record = try uncheckedRecord()
        for _ in 0..<(try count(ofAtLeast: 26)) {
            let name = try node()
            let incarnation = try incarnation()
            guard record.incarnations.updateValue(incarnation, forKey: name) == nil else {
                throw .invalid("incarnations")
            }
        }
        _ = try extensions()
        return try checked(record)
    }

    /// The form of release 0.1.
    ///
    /// - Throws: also where the record is one that no switch ever recorded.
    public mutating func plainRecord() throws(DecodingError) -> SwitchRecord { try checked(try uncheckedRecord()) }

    private mutating func uncheckedRecord() throws(DecodingError) -> SwitchRecord {
        let cluster = ClusterID(try fixed64())
        let epoch = Epoch(try fixed64())
        let version = try fixed64()
        let active = try node()
        let inSync = try nodes()
        return SwitchRecord(
            cluster: cluster, epoch: epoch, version: version, active: active, inSync: inSync, rule: try rule())
    }

    private func checked(_ record: SwitchRecord) throws(DecodingError) -> SwitchRecord {
        guard record.invalidField == nil else { throw .invalid("switch record") }
        return record
    }

    public mutating func optionalRecord() throws(DecodingError) -> SwitchRecord? {
        switch try byte() {
        case 0: return nil
        case 1: return try plainRecord()
        case 2:
            var whole = ByteReader(try run())
            let record = try whole.record()
            try whole.end()
            return record
        default: throw .invalid("switch record")
        }
    }

    mutating func incarnation() throws(DecodingError) -> Incarnation {
        let directory = try fixed64()
        let starts = try number("starts")
        guard starts > 0 else { throw .invalid("starts") }
        return Incarnation(directory: directory, starts: starts, life: try fixed64())
    }

    public mutating func lineage() throws(DecodingError) -> Lineage {
        let incarnation = try incarnation()
        let count = try count(ofAtLeast: 8)
        guard count <= Lineage.maximumEarlierLives else { throw .tooLong }
        var lives: [UInt64] = []
        for _ in 0..<count { lives.append(try fixed64()) }
        return Lineage(incarnation: incarnation, earlierLives: lives)
    }

    mutating func heartbeats() throws(DecodingError) -> HeartbeatSettings {
        let settings = HeartbeatSettings(intervalMilliseconds: try fixed32(), misses: try fixed32())
        guard HeartbeatSettings.intervals.contains(settings.intervalMilliseconds),
            HeartbeatSettings.allMisses.contains(settings.misses)
        else { throw .invalid("heartbeats") }
        return settings
    }
}

/// How a server looks out for silence. Two that do so differently use the longer time.
public struct HeartbeatSettings: Hashable, Sendable, CustomStringConvertible {
    public var intervalMilliseconds: UInt32
    /// So many heartbeats in a row that do not come make a peer count as lost.
    public var misses: UInt32

    public init(intervalMilliseconds: UInt32, misses: UInt32) {
        self.intervalMilliseconds = intervalMilliseconds
        self.misses = misses
    }

    public init(interval: Duration, misses: Int) {
        self.init(
            intervalMilliseconds: UInt32(clamping: max(1, interval.wholeMilliseconds)),
            misses: UInt32(clamping: max(1, misses)))
    }

    /// What an operator can set; more is not believed.
    static let intervals: ClosedRange<UInt32> = 1...60_000
    static let allMisses: ClosedRange<UInt32> = 1...1_000

    /// The least silence that makes a peer count as lost.
    public var timeout: Duration { .milliseconds(Int64(intervalMilliseconds) * Int64(misses)) }

    public var description: String { "\(intervalMilliseconds)ms*\(misses)" }
}
