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

    /// Pairs of characters that are the same when case is ignored, in the order of the first.
    private static let pairs: (first: [UInt32], second: [UInt32]) = {
        var first: [UInt32] = []
        var second: [UInt32] = []
        let points = CodePointSet(capitals.map(\.point) + capitals.map(\.lower) + extra.keys)
        for point in points.ranges.joined() {
            for other in variants(of: point, ascii: false).ranges.joined() where other != point {
                first.append(point)
                second.append(other)
            }
        }
        return (first, second)
    }()

    /// What the characters and ranges of a set match when case is ignored; categories are left out, for lower-casing
    /// leaves every character in its category.
    ///
    /// It gives what `_optimize_charset` of CPython gives, also where that is odd: a character above U+FFFF is not
    /// lower-cased while the subject is, so that a capital one matches nothing; and a range that reaches there takes
    /// what has its upper case in the range.
    /// - Complexity: O(cased characters in it).
    static func fold(_ items: [SetItem], ascii: Bool) -> [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        for item in items {
            switch item {
            case .category: break
            case .literal(let point) where point.value > 0xFFFF: result += foldedLate(point.value, ascii: ascii)
            case .literal(let point): result += variants(of: point.value, ascii: ascii).ranges
            case .range(let low, let high):
                let range = low.value...high.value
                result.append(range)
                result += ascii ? foldedASCII(range) : foldedUnicode(range)
                if high.value > 0xFFFF { result += foldedUp(range, ascii: ascii) }
            }
        }
        return result
    }

    private static func foldedLate(_ point: UInt32, ascii: Bool) -> [ClosedRange<UInt32>] {
        if ascii { return [point...point] }
        let smaller = lowerMapping(point) == point ? [point] : []
        return (smaller + (capitalsByLower[point] ?? [])).map { $0...$0 }
    }

    private static func foldedASCII(_ range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        for (letters, offset) in [(UInt32(0x41)...0x5A, 32), (UInt32(0x61)...0x7A, -32)] as [(ClosedRange, Int32)]
        where letters.overlaps(range) {
            let common = letters.clamped(to: range)
            let moved = UInt32(bitPattern: offset)
            result.append((common.lowerBound &+ moved)...(common.upperBound &+ moved))
        }
        return result
    }

    private static func foldedUnicode(_ range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        let (first, second) = pairs
        var low = 0
        var high = first.count
        while low < high {
            let middle = (low + high) / 2
            if first[middle] < range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var result: [ClosedRange<UInt32>] = []
        while low < first.count, first[low] <= range.upperBound {
            let other = second[low]
            if !range.contains(other) { result.append(other...other) }
            low += 1
        }
        return result
    }

    /// Whatever has its upper case in the range.
    private static func foldedUp(_ range: ClosedRange<UInt32>, ascii: Bool) -> [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        for small in smallsByUpper where range.contains(small.upper) && !range.contains(small.point) {
            // The subject is lower-cased first: what is no lower case itself is never seen.
            if lower(small.point, ascii: ascii) == small.point { result.append(small.point...small.point) }
            for capital in capitalsByLower[small.point] ?? [] where !ascii || lower(ascii: capital) == small.point {
                result.append(capital...capital)
            }
        }
        return result
    }

    private static func lower(_ point: UInt32, ascii: Bool) -> UInt32 { ascii ? lower(ascii: point) : lower(point) }
}
