import Testing
import TupleCore

@testable import WireProtocol

/// Fields after those of release 0.1 (specs/0002, section 1).
@Suite struct ExtensionsTests {
    @Test func withoutFieldsAMessageEndsAsItAlwaysDid() throws {
        var writer = ByteWriter()
        writer.byte(7)
        writer.extensions(Extensions())
        #expect(writer.bytes == [7])
        var reader = ByteReader([7])
        _ = try reader.byte()
        #expect(try reader.extensions().isEmpty)
        try reader.end()
    }

    @Test func fieldsAreSortedByTagAndUnknownOnesArePassedOver() throws {
        var extensions = Extensions()
        extensions.set(300, [3])
        extensions.set(1, [])
        extensions.set(2, [9])
        extensions.set(2, [2, 2])
        var writer = ByteWriter()
        writer.extensions(extensions)
        #expect(writer.bytes == [3, 1, 0, 2, 2, 2, 2, 0xAC, 2, 1, 3])
        var reader = ByteReader(writer.bytes)
        let read = try reader.extensions()
        try reader.end()
        #expect(read == extensions)
        #expect(read[2] == [2, 2] && read[1] == [] && read[4] == nil)
    }

    @Test(arguments: [[2, 2, 0, 1, 0], [2, 1, 0, 1, 0], [1, 1, 5, 0], [9], [1, 1], [0]] as [[UInt8]])
    func whatIsOutOfOrderOrCutOffIsMalformed(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        #expect(throws: DecodingError.self) { try reader.extensions() }
    }

    /// A registration as release 0.1 sends it, and one of a later release with a field that nobody knows yet.
    @Test func registrationsOfOtherReleasesAreRead() throws {
        let old = Register(
            name: NodeID("a")!, address: "a:1", rule: .text, activeEpoch: .zero, position: .zero, record: nil,
            holdsCopy: false)
        #expect(try Register(old.frame.payload) == old)
        var writer = ByteWriter()
        writer.bytes = [UInt8](old.frame.payload)
        var later = Extensions()
        later.set(99, [1, 2, 3])
        writer.extensions(later)
        #expect(try Register(writer.bytes[...]) == old)
    }

    /// A record of a later release has fields behind those that are known; one without incarnations is sent as 0.1 reads it.
    @Test func recordsOfOtherReleasesAreRead() throws {
        var record = SwitchRecord(
            cluster: ClusterID(9), epoch: Epoch(1), version: 1, active: NodeID("a")!, inSync: [NodeID("a")!],
            rule: .text)
        var plain = ByteWriter()
        plain.optionalRecord(record)
        var old = ByteWriter()
        old.byte(1)
        old.plainRecord(record)
        #expect(plain.bytes == old.bytes)
        record.incarnations[NodeID("a")!] = Incarnation(directory: 1, starts: 2, life: 3)
        var inner = ByteWriter()
        inner.record(record)
        var later = Extensions()
        later.set(7, [7])
        inner.extensions(later)
        var writer = ByteWriter()
        writer.byte(2)
        writer.run(inner.bytes)
        var reader = ByteReader(writer.bytes)
        #expect(try reader.optionalRecord() == record)
        try reader.end()
    }

    @Test func numbersThatNothingCanBeAddedToAreMalformed() {
        for number in [Limits.maximumNumber + 1, .max] {
            var writer = ByteWriter()
            writer.fixed64(1)
            writer.fixed64(number)
            var reader = ByteReader(writer.bytes)
            #expect(throws: DecodingError.self) { try reader.position() }
        }
    }
}
