/// CPython's folding of case in `re`: a character matches where both have the same lower case, and a few more do.
enum CaseFolding {
    /// A table of runs: first, last, step, and an offset modulo 2^32.
    private struct Mapping {
        let runs: [UInt32]

        func callAsFunction(_ point: UInt32) -> UInt32 {
            var low = 0
            var high = runs.count / 4
            while low < high {
                let middle = (low + high) / 2
                if runs[middle * 4 + 1] < point { low = middle + 1 } else { high = middle }
            }
            guard low < runs.count / 4 else { return point }
            let first = runs[low * 4]
            guard first <= point, (point - first).isMultiple(of: runs[low * 4 + 2]) else { return point }
            return point &+ runs[low * 4 + 3]
        }

        /// Whatever the mapping changes.
        var keys: [UInt32] {
            stride(from: 0, to: runs.count, by: 4).flatMap { run in
                Array(stride(from: runs[run], through: runs[run + 1], by: Int(runs[run + 2])))
            }
        }
    }

    private static let lowerMapping = Mapping(runs: CaseTables.lower)
    private static let upperMapping = Mapping(runs: CaseTables.upper)

    /// All characters that have another lower case, and that.
    private static let capitals: [(point: UInt32, lower: UInt32)] = lowerMapping.keys.map { ($0, lowerMapping($0)) }

    private static let capitalsByLower: [UInt32: [UInt32]] = {
        var result: [UInt32: [UInt32]] = [:]
        for capital in capitals { result[capital.lower, default: []].append(capital.point) }
        return result
    }()

    /// Characters whose lower case is not their own upper case's.
    private static let smallsByUpper: [(point: UInt32, upper: UInt32)] = upperMapping.keys.map {
        ($0, upperMapping($0))
    }

    /// Other lower-case characters with the same upper case, by lower-case character.
    private static let extra: [UInt32: [UInt32]] = {
        var result: [UInt32: [UInt32]] = [:]
        for pair in stride(from: 0, to: CaseTables.extra.count, by: 2) {
            result[CaseTables.extra[pair], default: []].append(CaseTables.extra[pair + 1])
        }
        return result
    }()

    static func lower(_ point: UInt32) -> UInt32 { lowerMapping(point) }

    static func lower(ascii point: UInt32) -> UInt32 { point >= 0x41 && point <= 0x5A ? point + 0x20 : point }

    private static func isCased(_ point: UInt32) -> Bool {
        lowerMapping(point) != point || upperMapping(point) != point
    }

    private static func isCased(ascii point: UInt32) -> Bool { CodePoint(point).isASCIILetter && point < 0x80 }

    // MARK: One character

    /// What a single character of a pattern matches when case is ignored.
    static func variants(of point: UInt32, ascii: Bool) -> CodePointSet {
        if ascii {
            return isCased(ascii: point) ? CodePointSet([point & ~0x20, point | 0x20]) : CodePointSet([point])
        }
        guard isCased(point) else { return CodePointSet([point]) }
        let small = lowerMapping(point)
        let smalls = [small] + (extra[small] ?? [])
        // A lower-case character that has itself another lower case can't be reached.
        return CodePointSet(
            smalls.filter { lowerMapping($0) == $0 } + smalls.flatMap { capitalsByLower[$0] ?? [] })
    }

    // MARK: Sets

    /// What the characters and ranges of a set match when case is ignored; categories are left out, for lower-casing
    /// leaves every character in its category.
    ///
    /// It follows `_optimize_charset` of CPython, also where that is odd: a character above U+FFFF is not lower-cased
    /// while the subject is, so that a capital one matches nothing.
    static func fold(_ items: [SetItem], ascii: Bool) -> CodePointSet {
        var collected: [ClosedRange<UInt32>] = []
        var hasCased = false
        for item in items {
            switch item {
            case .category: break
            case .literal(let point):
                if point.value > 0xFFFF {
                    hasCased = true
                    collected.append(point.value...point.value)
                } else {
                    hasCased = hasCased || (ascii ? isCased(ascii: point.value) : isCased(point.value))
                    collected += lowered(CodePointSet([point.value]), ascii: ascii).ranges
                }
            case .range(let low, let high):
                hasCased = hasCased || high.value > 0xFFFF || containsCased(low.value...high.value, ascii: ascii)
                collected += foldedRange(low.value, high.value, ascii: ascii)
            }
        }
        let target = CodePointSet(collected)
        return hasCased ? preimage(of: target, ascii: ascii) : target
    }

    private static func foldedRange(_ low: UInt32, _ high: UInt32, ascii: Bool) -> [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        if low <= 0xFFFF {
            result += lowered(CodePointSet([low...min(high, 0xFFFF)]), ascii: ascii).ranges
        }
        if high > 0xFFFF {
            result.append(low...high)
            result += smallsByUpper.filter { low <= $0.upper && $0.upper <= high }.map { $0.point...$0.point }
        }
        return result
    }

    private static func containsCased(_ range: ClosedRange<UInt32>, ascii: Bool) -> Bool {
        if ascii { return range.overlaps(0x41...0x5A) || range.overlaps(0x61...0x7A) }
        return capitals.contains { range.contains($0.point) } || smallsByUpper.contains { range.contains($0.point) }
    }

    /// The lower case of each member, and what shares its upper case with it.
    private static func lowered(_ set: CodePointSet, ascii: Bool) -> CodePointSet {
        if ascii {
            let moved = (UInt32(0x41)...0x5A).filter(set.contains)
            return set.subtracting(CodePointSet(moved)).union(CodePointSet(moved.map { $0 + 0x20 }))
        }
        let moved = capitals.filter { set.contains($0.point) }
        var result = set
        if !moved.isEmpty {
            result = set.subtracting(CodePointSet(moved.map(\.point))).union(CodePointSet(moved.map(\.lower)))
        }
        let others = extra.filter { result.contains($0.key) }.flatMap(\.value)
        return others.isEmpty ? result : result.union(CodePointSet(others))
    }

    /// Whatever has its lower case in `target`.
    private static func preimage(of target: CodePointSet, ascii: Bool) -> CodePointSet {
        let moving = ascii ? (UInt32(0x41)...0x5A).map { ($0, $0 + 0x20) } : capitals.map { ($0.point, $0.lower) }
        let added = moving.filter { target.contains($0.1) }.map(\.0)
        return target.subtracting(CodePointSet(moving.map(\.0))).union(CodePointSet(added))
    }
}
