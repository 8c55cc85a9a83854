import Testing

@testable import TupleStore

/// The checker must find what random tests rely on it to find: each test damages one thing and expects it to be named.
@Suite struct PackedMapInvariantsTests {
    private func map(_ count: Int = 3_000) -> PackedMap {
        var map = PackedMap()
        for number in 0..<count {
            let key = (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
            map.insert(key: [UInt8]("prefix".utf8) + key, value: [1, 2, 3])
        }
        return map
    }

    private func leaf(_ map: PackedMap, _ index: Int = 3) throws -> PackedMap.Page {
        try #require(map.root).leaves[index]
    }

    private func expectViolation(_ map: PackedMap, _ part: String, _ location: SourceLocation = #_sourceLocation) {
        let violation = map.violation() ?? "none"
        #expect(violation.contains(part), sourceLocation: location)
    }

    @Test func aSoundMapPasses() { #expect(map().violation() == nil) }

    @Test func exchangedSlotsAreFound() throws {
        let map = map()
        try leaf(map).view { page in
            let (one, two) = ((page.offset(4), page.head(4)), (page.offset(5), page.head(5)))
            page.setOffset(4, two.0)
            page.setHead(4, two.1)
            page.setOffset(5, one.0)
            page.setHead(5, one.1)
        }
        expectViolation(map, "is not above the one before it")
    }

    @Test func aWrongHeadIsFound() throws {
        let map = map()
        try leaf(map).view { $0.setHead(2, $0.head(2) ^ 1) }
        expectViolation(map, "the head of slot 2")
    }

    @Test func aTooLongPrefixIsFound() throws {
        let map = map()
        try leaf(map).view { page in
            page.header.pointee.prefixLength += 1
            for slot in 0..<page.count {
                page.setHead(slot, PackedMap.ByteOrder.head(of: page.key(slot), from: page.prefixLength))
            }
        }
        expectViolation(map, "lacks the page's prefix")
    }

    @Test func aWrongPrefixIsFound() throws {
        let map = map()
        try leaf(map).view { page in
            let other = [UInt8](repeating: 255, count: 8)
            page.header.pointee.prefixHead = other.withUnsafeBytes { PackedMap.PrefixHead(of: $0, length: 8) }
        }
        expectViolation(map, "the head of a page's prefix")
    }

    @Test func aSlotOutsideOfThePageIsFound() throws {
        let map = map()
        try leaf(map).view { $0.setOffset(0, $0.capacity - 1) }
        expectViolation(map, "outside of the records")
    }

    @Test func aRecordLongerThanItsPageIsFound() throws {
        let map = map()
        try leaf(map).view { ($0.base + $0.offset(0)).storeBytes(of: 127, as: UInt8.self) }
        expectViolation(map, "reaches beyond its page")
    }

    @Test func overlappingRecordsAreFound() throws {
        let map = map()
        try leaf(map).view { $0.setOffset(1, $0.offset(0)) }
        expectViolation(map, "overlap")
    }

    @Test func miscountedBytesAreFound() throws {
        let map = map()
        try leaf(map).view { $0.header.pointee.recordBytes -= 1 }
        expectViolation(map, "bytes of records, but counted")
    }

    @Test func aMiscountedMapIsFound() {
        var map = map()
        map.count += 1
        expectViolation(map, "but counted 3001")
    }

    @Test func anExchangedSeparatorIsFound() throws {
        let map = map()
        let branch = try #require(map.root)
        branch.removeSeparator(at: 2)
        branch.separators.view { page in
            // Between the separators around it, but above the first key of the leaf behind it.
            let late = [UInt8](page.key(1)) + [255]
            late.withUnsafeBytes { page.insert(key: $0, value: UnsafeRawBufferPointer(start: nil, count: 0), at: 2) }
        }
        expectViolation(map, "separator")
    }

    @Test func aMissingSeparatorIsFound() throws {
        let map = map()
        try #require(map.root).removeSeparator(at: 0)
        #expect(map.violation() != nil)
    }

    @Test func anEmptyLeafIsFound() throws {
        var map = map()
        let root = try #require(map.root)
        root.leaves[3] = PackedMap.Page.make(capacity: PackedMap.Page.standardCapacity)
        expectViolation(map, "a leaf is empty")
        root.removeChild(at: 3)
        map.root = root
        expectViolation(map, "but counted")
    }

    @Test func neighboursThatShouldBeJoinedAreFound() throws {
        let map = map()
        for index in 3...4 {
            try leaf(map, index).view { while $0.count > 2 { $0.remove(at: $0.count - 1) } }
        }
        expectViolation(map, "less than half a page together")
    }

    @Test func aBranchAtTheWrongLevelIsFound() throws {
        var map = map(200_000)
        let root = try #require(map.root)
        #expect(root.level == 2)
        map.root = PackedMap.Branch(above: root)
        expectViolation(map, "single branch")
        root.branches[1] = PackedMap.Branch(level: 3, separators: root.separators, branches: root.branches)
        map.root = root
        expectViolation(map, "level 3 below one of 2")
    }
}
