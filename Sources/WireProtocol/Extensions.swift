/// Fields that a message may have after those of release 0.1, each under a tag of its own: `list of (len tag, run value)`.
///
/// Who does not know a tag passes it over, so that a field can be added without a new version.
public struct Extensions: Hashable, Sendable {
    /// Ascending by tag.
    fileprivate var fields: [(tag: UInt64, value: ArraySlice<UInt8>)] = []

    public init() {}

    public var isEmpty: Bool { fields.isEmpty }

    public mutating func set(_ tag: UInt64, _ value: [UInt8]) {
        let place = fields.firstIndex { $0.tag >= tag } ?? fields.endIndex
        if place < fields.endIndex, fields[place].tag == tag { fields.remove(at: place) }
        fields.insert((tag, value[...]), at: place)
    }

    /// The field's bytes; nil where the message has no such field.
    public subscript(tag: UInt64) -> ArraySlice<UInt8>? { fields.first { $0.tag == tag }?.value }

    public static func == (a: Extensions, b: Extensions) -> Bool {
        a.fields.elementsEqual(b.fields) { $0.tag == $1.tag && $0.value == $1.value }
    }

    public func hash(into hasher: inout Hasher) {
        for field in fields {
            hasher.combine(field.tag)
            hasher.combine(field.value)
        }
    }
}

extension ByteWriter {
    /// Nothing where there are none: the message ends as one of release 0.1 does.
    public mutating func extensions(_ extensions: Extensions) {
        guard !extensions.isEmpty else { return }
        length(extensions.fields.count)
        for field in extensions.fields {
            length(Int(clamping: field.tag))
            run(field.value)
        }
    }
}

extension ByteReader {
    /// What follows to the payload's end: none at the end itself.
    ///
    /// - Throws: where tags do not ascend, or the list is empty or cut off.
    public mutating func extensions() throws(DecodingError) -> Extensions {
        var extensions = Extensions()
        guard remaining > 0 else { return extensions }
        let count = try count(ofAtLeast: 2)
        guard count > 0 else { throw .trailing }
        for _ in 0..<count {
            let tag = UInt64(try length())
            if let last = extensions.fields.last?.tag, last >= tag { throw .invalid("extension") }
            extensions.fields.append((tag, try run()))
        }
        return extensions
    }
}
