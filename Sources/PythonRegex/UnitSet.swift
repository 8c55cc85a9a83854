/// The code points that one step takes: quick for ASCII, exact for all.
struct UnitSet: Sendable {
    /// Which of the ASCII characters are taken.
    private var low: UInt64 = 0
    private var high: UInt64 = 0
    private let members: CodePointSet
    /// Beside the members; large, and so not part of them.
    private let categories: [CodePointSet]
    private let isNegated: Bool

    /// - Parameter node: One that takes a single code point.
    init(_ node: Node, _ flags: Flags) {
        let ascii = flags.contains(.ascii)
        var categories: [CodePointSet] = []
        switch node {
        case .literal(let point), .notLiteral(let point):
            members =
                flags.contains(.ignoreCase)
                ? CaseFolding.variants(of: point.value, ascii: ascii) : CodePointSet([point.value])
        case .any: members = flags.contains(.dotAll) ? CodePointSet() : CodePointSet([0x0A] as [UInt32])
        case .set(_, let items):
            members = items.members(flags) { _ in false }
            for case .category(let category) in items {
                categories.append(CharacterClasses.members(of: category, ascii: ascii))
            }
        case .anchor, .branch, .group, .atomic, .quantified, .look, .backreference, .conditional:
            preconditionFailure("more than one code point")
        }
        switch node {
        case .notLiteral, .any, .set(negated: true, _): isNegated = true
        default: isNegated = false
        }
        self.categories = categories
        for point in UInt32(0)..<64 {
            if containsAny(point) { low |= 1 << UInt64(point) }
            if containsAny(point + 64) { high |= 1 << UInt64(point) }
        }
    }

    /// Categories are shared by all.
    var byteCount: Int {
        MemoryLayout<UnitSet>.stride + members.ranges.count * MemoryLayout<ClosedRange<UInt32>>.stride
    }

    func contains(_ point: UInt32) -> Bool {
        if point < 64 { return low >> UInt64(point) & 1 == 1 }
        if point < 128 { return high >> UInt64(point - 64) & 1 == 1 }
        return containsAny(point)
    }

    private func containsAny(_ point: UInt32) -> Bool {
        (members.contains(point) || categories.contains { $0.contains(point) }) != isNegated
    }
}

/// What a set of characters in a pattern depends on; patterns often have the same one many times.
struct UnitKey: Hashable {
    enum Kind: Hashable {
        case literal(CodePoint)
        case notLiteral(CodePoint)
        case any
        case set(negated: Bool, [SetItem])
    }

    let kind: Kind
    let flags: UInt8

    /// nil for a node that takes more than one code point.
    init?(_ node: Node, _ flags: Flags) {
        switch node {
        case .literal(let point): kind = .literal(point)
        case .notLiteral(let point): kind = .notLiteral(point)
        case .any: kind = .any
        case .set(let negated, let items): kind = .set(negated: negated, items)
        case .anchor, .branch, .group, .atomic, .quantified, .look, .backreference, .conditional: return nil
        }
        self.flags = flags.intersection([.ascii, .ignoreCase, .dotAll]).rawValue
    }
}
