import Testing

@testable import TupleStore

private func key(_ number: Int) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) } + [7, 7, 7, 7, 7, 7, 7, 7]
}

@Suite struct PackedMapSnapshotTests {
    @Test func aSnapshotSharesAllPagesUntilTheyAreWritten() throws {
        var map = PackedMap()
        for number in 0..<20_000 { map.insert(key: key(number), value: key(number)) }
        let snapshot = map
        #expect(map.root === snapshot.root)
        map.set(key: key(10_000), value: [1])
        let (mine, its) = (try #require(map.root), try #require(snapshot.root))
        #expect(mine !== its && mine.level == 2)
        let differing = zip(mine.branches, its.branches).filter { $0 !== $1 }
        #expect(differing.count == 1)
        for (one, other) in differing { #expect(zip(one.leaves, other.leaves).filter { $0 !== $1 }.count == 1) }
        #expect(snapshot.value(forKey: key(10_000)) == key(10_000))
        #expect(map.violation() == nil && snapshot.violation() == nil)
    }

    @Test func whatChangesNothingCopiesNothing() {
        var map = PackedMap()
        for number in 0..<1_000 { map.insert(key: key(number), value: []) }
        let snapshot = map
        map.insert(key: key(5), value: [1])
        map.replace(key: key(5_000), value: [1])
        map.remove(key: key(5_000))
        #expect(map.root === snapshot.root)
    }

    @Test func withoutSnapshotsPagesAreWrittenInPlace() throws {
        var map = PackedMap()
        for number in 0..<20_000 { map.insert(key: key(number), value: [1, 2, 3]) }
        func leaves() throws -> [ObjectIdentifier] {
            try #require(map.root).branches.flatMap { $0.leaves.map { ObjectIdentifier($0) } }
        }
        let before = try leaves()
        for number in 0..<20_000 { map.set(key: key(number), value: [3, 2, 1]) }
        for number in stride(from: 0, to: 20_000, by: 9) { map.remove(key: key(number)) }
        #expect(try leaves() == before)
    }

    /// A value may come out of the very page that is written, through a snapshot that shares it.
    @Test func aSnapshotsOwnBytesMayBeWritten() {
        var map = PackedMap()
        for number in 0..<200 { map.insert(key: key(number), value: key(number)) }
        let snapshot = map
        snapshot.forEach { key, value in
            map.set(key: value, value: UnsafeRawBufferPointer(rebasing: key[1...]))
            return true
        }
        #expect(map.violation() == nil && snapshot.violation() == nil && map.byteCount == 200 * 31)
        #expect(snapshot.value(forKey: key(17)) == key(17))
    }

    /// Readers on other threads see their snapshot whatever the writer does meanwhile.
    @Test func snapshotsAreReadOnOtherThreadsWhileTheMapIsWritten() async {
        var map = PackedMap()
        for number in 0..<4_000 { map.insert(key: key(number), value: key(0)) }
        await withTaskGroup(of: Bool.self) { group in
            for round in 1...60 {
                let snapshot = map
                let expected = key(round - 1)
                group.addTask {
                    var count = 0
                    var isRight = snapshot.violation() == nil
                    snapshot.forEach { _, value in
                        count += 1
                        isRight = isRight && value.elementsEqual(expected)
                        return isRight
                    }
                    return isRight && count == 4_000
                }
                for number in 0..<4_000 { map.set(key: key(number), value: key(round)) }
                if round.isMultiple(of: 3) {
                    for number in 0..<4_000 { map.remove(key: key(number)) }
                    for number in 0..<4_000 { map.insert(key: key(number), value: key(round)) }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}
