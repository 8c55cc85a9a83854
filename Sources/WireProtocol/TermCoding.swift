public import TupleCore

/// Terms on the wire: a tag, then what the tag says. Malformed lists and pairs can be sent like well-formed ones.
private enum Tag {
    static let null: UInt8 = 0
    static let no: UInt8 = 1
    static let yes: UInt8 = 2
    static let number: UInt8 = 3
    static let string: UInt8 = 4
    static let list: UInt8 = 5
    static let object: UInt8 = 6
}

extension ByteWriter {
    public mutating func term(_ term: Term) {
        switch term {
        case .null: byte(Tag.null)
        case .boolean(let value): byte(value ? Tag.yes : Tag.no)
        case .number(let value):
            byte(Tag.number)
            text(value)
        case .string(let value):
            byte(Tag.string)
            run(value)
        case .list(let items):
            byte(Tag.list)
            length(items.count)
            for item in items { self.term(item) }
        case .object(let members):
            byte(Tag.object)
            length(members.count)
            for member in members {
                run(member.name)
                self.term(member.value)
            }
        }
    }
}

extension ByteReader {
    /// - Throws: ``DecodingError/tooLong`` where it nests deeper than ``Limits/maximumTermDepth``.
    public mutating func term(depth: Int = 0) throws(DecodingError) -> Term {
        guard depth <= Limits.maximumTermDepth else { throw .tooLong }
        switch try byte() {
        case Tag.null: return .null
        case Tag.no: return .boolean(false)
        case Tag.yes: return .boolean(true)
        case Tag.number: return .number(try text())
        case Tag.string: return .string([UInt8](try run()))
        case Tag.list:
            let count = try count()
            var items: [Term] = []
            items.reserveCapacity(Swift.min(count, 1_024))
            for _ in 0..<count { items.append(try term(depth: depth + 1)) }
            return .list(items)
        case Tag.object:
            let count = try count(ofAtLeast: 2)
            var members: [Term.Member] = []
            for _ in 0..<count {
                let name = [UInt8](try run())
                members.append(Term.Member(name: name, value: try term(depth: depth + 1)))
            }
            return .object(members)
        default: throw .invalid("term tag")
        }
    }
}
