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
    /// - Throws: ``DecodingError/tooLong`` where it nests deeper than ``Limits/maximumTermDepth``, or where it has more
    ///   than ``Limits/maximumTermsPerPayload`` terms in it: each takes far more memory than its one or two bytes here.
    public mutating func term() throws(DecodingError) -> Term {
        var budget = Limits.maximumTermsPerPayload
        return try term(depth: 0, budget: &budget)
    }

    private mutating func term(depth: Int, budget: inout Int) throws(DecodingError) -> Term {
        guard depth <= Limits.maximumTermDepth, budget > 0 else { throw .tooLong }
        budget -= 1
        switch try byte() {
        case Tag.null: return .null
        case Tag.no: return .boolean(false)
        case Tag.yes: return .boolean(true)
        case Tag.number:
            let value = try text(atMost: Limits.maximumNumberBytes)
            // It goes into JSON as it is, so that it must not be anything else.
            guard Term.isNumber(value.utf8) else { throw .invalid("number") }
            return .number(value)
        case Tag.string: return .string([UInt8](try run()))
        case Tag.list:
            let count = try count()
            var items: [Term] = []
            items.reserveCapacity(Swift.min(count, 1_024))
            for _ in 0..<count { items.append(try term(depth: depth + 1, budget: &budget)) }
            return .list(items)
        case Tag.object:
            let count = try count(ofAtLeast: 2)
            var members: [Term.Member] = []
            for _ in 0..<count {
                let name = [UInt8](try run())
                members.append(Term.Member(name: name, value: try term(depth: depth + 1, budget: &budget)))
            }
            return .object(members)
        default: throw .invalid("term tag")
        }
    }
}
