extension PackedMap {
    /// A pair as it stands in a page, lengths and all: it is copied in one piece.
    struct PackedRecord {
        let start: UnsafeRawPointer
        let size: Int

        @inline(__always) var key: UnsafeRawBufferPointer { Record(at: start).key }
        /// As of ``Record``.
        @inline(__always) var footprint: Int { size &+ PackedRecord.slotBytes }
        /// Of an ordinary page.
        static let slotBytes = 6
    }

    /// Where the contents of two ordinary leaves are put while the leaves themselves are filled anew: memory that is kept, so
    /// that nothing is allocated and what is read is near.
    final class Workplace {
        private static let pageBytes = MemoryLayout<PageHeader>.stride + Page.standardCapacity
        private let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * pageBytes, alignment: 16)

        deinit { memory.deallocate() }

        /// Hands copies of two ordinary leaves to `body`, valid only inside it.
        func withCopies<R>(
            _ one: Unmanaged<Page>, _ two: Unmanaged<Page>, _ body: (PageView, PageView) -> R
        ) -> R {
            let left = one._withUnsafeGuaranteedRef { copy($0, to: memory) }
            let right = two._withUnsafeGuaranteedRef { copy($0, to: memory + Workplace.pageBytes) }
            // The memory is this object's.
            return withExtendedLifetime(self) { body(left, right) }
        }

        private func copy(_ page: Page, to place: UnsafeMutableRawPointer) -> PageView {
            page.view { source in
                precondition(source.capacity == Page.standardCapacity, "only ordinary leaves share")
                let header = place.bindMemory(to: PageHeader.self, capacity: 1)
                let copy = PageView(header: header, base: place + MemoryLayout<PageHeader>.stride)
                copy.take(source)
                return copy
            }
        }
    }

    /// The pairs of a full page together with one that is to be inserted as `slot`, and perhaps those of a neighbour.
    struct Division {
        private let page: PageView
        private let slot: Int
        /// All of them, in order.
        private let records: ContiguousArray<PackedRecord>

        /// - Parameters:
        ///   - before: the neighbour, if it is the left one,
        ///   - after: or the right one.
        init(page: PageView, pair: PackedRecord, slot: Int, before: PageView? = nil, after: PageView? = nil) {
            self.page = page
            self.slot = slot
            var records = ContiguousArray<PackedRecord>()
            records.reserveCapacity((before?.count ?? 0) + page.count + 1 + (after?.count ?? 0))
            if let before { for index in 0..<before.count { records.append(before.packedRecord(index)) } }
            for index in 0..<slot { records.append(page.packedRecord(index)) }
            records.append(pair)
            for index in slot..<page.count { records.append(page.packedRecord(index)) }
            if let after { for index in 0..<after.count { records.append(after.packedRecord(index)) } }
            self.records = records
        }

        private var count: Int { records.count }

        @inline(__always)
        private func record(_ index: Int) -> PackedRecord { records[index] }

        /// The leaves to take the place of `leaf`, whose view `page` is, where the tree grows at one of its ends: the
        /// new pair goes alone, and what is there stays full and is not copied. nil where it does not.
        func piecesAtEnd(_ leaf: Page, _ atLeftEdge: Bool, _ atRightEdge: Bool) -> [Page]? {
            guard page.count > 0, page.capacity - page.slotsEnd - page.recordBytes < Page.standardCapacity / 4 else {
                return nil
            }
            if atRightEdge && slot == page.count { return [leaf, build(slot..<count)] }
            if atLeftEdge && slot == 0 { return [build(0..<1), leaf] }
            return nil
        }

        /// The leaves to take the place of the page, in order.
        func halves() -> [Page] { ranges(0..<count).map(build) }

        /// Where to cut so that all pairs go into so many leaves of about the same size; nil where large pairs are in the
        /// way, or where one would be small: it might then have to be joined with what is next to it.
        ///
        /// - Returns: the bytes of the records between each two cuts.
        func evenCuts(_ pieces: Int) -> [(records: Range<Int>, bytes: Int)]? {
            var total = 0
            for index in 0..<count { total += record(index).footprint }
            var cuts: [(records: Range<Int>, bytes: Int)] = []
            cuts.reserveCapacity(pieces)
            var begin = 0
            var bytes = 0
            var pieceBytes = 0
            func cut(at end: Int) -> Bool {
                cuts.append((begin..<end, pieceBytes - (end - begin) * PackedRecord.slotBytes))
                return pieceBytes >= Page.standardCapacity / 2
            }
            for index in 0..<count {
                let size = record(index).footprint
                // A new piece begins where that is nearer to an even share than one pair later.
                if cuts.count < pieces - 1, index > 0, bytes + size / 2 >= total * (cuts.count + 1) / pieces {
                    guard cut(at: index) else { return nil }
                    begin = index
                    pieceBytes = 0
                }
                bytes += size
                pieceBytes += size
                guard pieceBytes <= Page.standardCapacity else { return nil }
            }
            return cuts.count == pieces - 1 && cut(at: count) ? cuts : nil
        }

        /// Makes `page`, an ordinary leaf that the pairs do not lie in, one of just these.
        func fill(_ page: PageView, with piece: (records: Range<Int>, bytes: Int)) {
            page.fill(records[piece.records], bytes: piece.bytes)
        }

        /// Cuts `range` in halves of about the same size until each fits a page or is a single pair.
        private func ranges(_ range: Range<Int>) -> [Range<Int>] {
            var total = 0
            for index in range { total += record(index).footprint }
            if total <= Page.standardCapacity || range.count == 1 { return [range] }
            var cut = range.lowerBound + 1
            var left = record(range.lowerBound).footprint
            while cut < range.upperBound - 1 {
                let next = record(cut).footprint
                // Further as long as that makes the halves more alike.
                if abs(total - 2 * (left + next)) > abs(total - 2 * left) { break }
                left += next
                cut += 1
            }
            return ranges(range.lowerBound..<cut) + ranges(cut..<range.upperBound)
        }

        private func build(_ range: Range<Int>) -> Page {
            var bytes = 0
            for index in range { bytes += record(index).size }
            let page = Page.make(count: range.count, recordBytes: bytes)
            page.view { $0.fill(records[range], bytes: bytes) }
            return page
        }
    }
}

extension PackedMap.Branch {
    /// A neighbour with so much room takes pairs over; otherwise two full leaves become three. Less room would be used up
    /// at once, and copying costs more than it brings.
    private static let worthwhileRoom = PackedMap.Page.standardCapacity / 6

    /// Divides the pairs of the full leaf `index` and a new one evenly between it and a neighbour, and a third leaf
    /// where both are full: leaves are then about 80 % full, instead of 70, after insertions in any order.
    ///
    /// - Returns: false, with nothing changed, where that is not possible.
    func shareWithNeighbour(
        _ index: Int, _ pair: PackedMap.PackedRecord, slot: Int, _ workplace: PackedMap.Workplace
    ) -> Bool {
        // A page of a single large pair has nothing to share.
        guard room(index) != nil else { return false }
        let (left, right) = (room(index - 1), room(index + 1))
        guard left != nil || right != nil else { return false }
        let isRight = (right ?? -1) >= (left ?? -1)
        let first = isRight ? index : index - 1
        let hasRoom = max(left ?? 0, right ?? 0) >= PackedMap.Branch.worthwhileRoom
        return workplace.withCopies(leaf(first), leaf(first + 1)) { one, two in
            let division =
                isRight
                ? PackedMap.Division(page: one, pair: pair, slot: slot, after: two)
                : PackedMap.Division(page: two, pair: pair, slot: slot, before: one)
            guard let cuts = division.evenCuts(hasRoom ? 2 : 3) else { return false }
            distribute(division, cuts, first)
            return true
        }
    }

    /// Puts what two neighbours have, of which `division` has a copy, into their places, and the third piece behind.
    private func distribute(
        _ division: PackedMap.Division, _ cuts: [(records: Range<Int>, bytes: Int)], _ first: Int
    ) {
        for offset in 0..<2 {
            // One that snapshots share stays as it is.
            if !isKnownUniquelyReferenced(&leaves[first + offset]) {
                leaves[first + offset] = PackedMap.Page.make(capacity: PackedMap.Page.standardCapacity)
            }
            leaf(first + offset)._withUnsafeGuaranteedRef { $0.view { division.fill($0, with: cuts[offset]) } }
        }
        replaceSeparator(first)
        for offset in 2..<max(2, cuts.count) {
            let page = PackedMap.Page.make(capacity: PackedMap.Page.standardCapacity)
            page.view { division.fill($0, with: cuts[offset]) }
            insertLeaf(page, after: first + offset - 1)
        }
    }

    /// The free bytes of a leaf that may take part; nil where there is none.
    private func room(_ index: Int) -> Int? {
        guard leaves.indices.contains(index) else { return nil }
        return leaves[index].view { page in
            page.capacity == PackedMap.Page.standardCapacity ? max(0, page.capacity - page.footprint) : nil
        }
    }
}
