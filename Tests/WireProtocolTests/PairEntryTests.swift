import TestSupport
import Testing
import TupleCore

@testable import WireProtocol

/// The short way from requests' bytes to the log's says what the long way says, or nothing.
@Suite struct PairEntryTests {
    private static let position = LogPosition(epoch: Epoch(3), index: LogIndex(77))

    private static func frame(_ request: Request, _ number: UInt64 = 9) -> Frame {
        let header = Header(
            .request, session: SessionID(0x1122_3344_5566_7788 ^ number / 3), sequence: RequestSequence(number),
            epoch: Epoch(3), connection: ConnectionIndicator(5), lowWater: RequestSequence(number / 2))
        return Frame(header, payload: request.payloadBytes)
    }

    private static func long(_ request: Request, _ header: Header, _ rule: ElementRule) -> LogEntry.PairUpdate? {
        guard case .list(let items) = request.payload, items.count == 1, let pair = Pair(items[0], rule: rule) else {
            return nil
        }
        return LogEntry.PairUpdate(
            session: header.session, sequence: header.sequence, lowWater: header.lowWater,
            replaces: request.operatorName == "POST", pair: pair)
    }

    private static func request(_ random: inout SeededRandom) -> Request {
        let letters = Array("abcXYZ019-, é\u{0}".utf8)
        if random.below(40) == 0 { return large(&random) }
        func tuple() -> Term {
            .list(
                (0..<(random.below(20) == 0 ? 0 : 1 + random.below(3))).map { _ in
                    let plain = random.below(12) > 0
                    let count = random.below(12) == 0 ? 100 + random.below(300) : random.below(20)
                    return .string((0..<count).map { _ in letters[random.below(plain ? 9 : letters.count)] })
                })
        }
        let name = ["PUT", "POST", "PUT", "POST", "GET", "PUTS", "DELETE"][random.below(7)]
        if name == "GET", random.below(3) > 0 {
            return Request(operatorName: name, payload: .list([tuple(), .string(random.below(9) == 0 ? "a" : ".*")]))
        }
        var items: [Term] = [.list([tuple(), tuple()])]
        if random.below(10) == 0 { items.append(.list([tuple(), tuple()])) }
        if random.below(20) == 0 { items = [.list([tuple()])] }
        return Request(operatorName: name, payload: .list(items))
    }

    /// Elements beyond ASCII, and about as long as an element or a tuple may be.
    private static func large(_ random: inout SeededRandom) -> Request {
        func element() -> Term {
            let count = [127, 128, 2_100, 16_383, 16_384, 65_534, 65_535, 65_536][random.below(8)]
            return .string(
                [UInt8]((random.below(2) == 0 ? "é" : "ab").utf8) + [UInt8](repeating: 0x78, count: count - 2))
        }
        let value = Term.list((0..<(1 + random.below(5))).map { _ in element() })
        return Request(
            operatorName: random.below(2) == 0 ? "PUT" : "POST", payload: .list([.list([.list([element()]), value])]))
    }

    /// The updates that an entry is read to have, in place; nil where it is not read.
    private static func updates(_ bytes: [UInt8]) -> [LogEntry.PairUpdate]? {
        bytes.withUnsafeBytes { raw in
            guard let entry = PairEntry(raw) else { return nil }
            var updates: [LogEntry.PairUpdate] = []
            let isWhole = entry.forEachGroup { group in
                for update in group {
                    let (key, value) = (Tuple(packed: [UInt8](update.key)), Tuple(packed: [UInt8](update.value)))
                    guard let key, let value else { return false }
                    updates.append(
                        LogEntry.PairUpdate(
                            session: update.session, sequence: update.sequence, lowWater: update.lowWater,
                            replaces: update.replaces, pair: Pair(key: key, value: value)))
                }
                return true
            }
            return isWhole ? updates : nil
        }
    }

    @Test(arguments: [ElementRule.alphanumeric, .text])
    func itMakesTheSameBytes(rule: ElementRule) throws {
        var random = SeededRandom()
        var gathered = KeyedRequests()
        var made = 0
        var longest = 0
        for _ in 0..<1_500 {
            var expected: [LogEntry.PairUpdate] = []
            for number in 0..<UInt64(random.below(60)) {
                let request = Self.request(&random)
                let frame = Self.frame(request, number + 1)
                guard gathered.add(frame, rule: rule) else { continue }
                longest = max(longest, frame.payload.count)
                let kind = try #require(gathered.items.last).kind
                #expect(
                    request.operatorName == ["GET", "PUT", "POST"][kind == .lookup ? 0 : kind == .add ? 1 : 2])
                if kind == .lookup { continue }
                expected.append(
                    try #require(Self.long(request, frame.header, rule), "seed \(random.seed): \(request)"))
            }
            let updates = gathered.items.indices.filter { gathered.items[$0].kind != .lookup }
            #expect(updates.count == expected.count)
            var seen = 0
            gathered.forEachGroup { first, group in
                #expect(first == seen)
                seen += group.count
            }
            #expect(seen == gathered.items.count)
            let begin = random.below(seen + 1)
            let range = begin..<begin + random.below(seen + 1 - begin)
            let inRange = zip(updates, expected).filter { range.contains($0.0) }.map(\.1)
            made += inRange.count
            let long = LogEntry(position: Self.position, time: -5, body: .pairs(inRange)).encoded
            #expect(
                gathered.entry(range, at: Self.position, time: -5) == (inRange.isEmpty ? nil : long),
                "seed \(random.seed)")
            gathered.removeAll()
        }
        #expect(made > 1_000 && longest > 200_000, "seed \(random.seed): \(made), \(longest)")
    }

    @Test func itTakesNoMoreThanThereIsRoomFor() {
        var gathered = KeyedRequests(capacity: 300)
        let request = Request(
            operatorName: "PUT", payload: .list([.list([.list([.string("abcdefgh")]), .list([.string("c")])])]))
        var count = 0
        while gathered.add(Self.frame(request), rule: .text) { count += 1 }
        #expect(count > 2 && gathered.items.count == count)
        gathered.removeAll()
        let fits = gathered.add(Self.frame(request), rule: .text)
        #expect(fits)
    }

    @Test func itTellsThemFromAllOtherEntries() throws {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            let entry = random.entry()
            if case .pairs(let expected) = entry.body {
                // Longer lengths than any tuple has are left to the other reader.
                if let found = Self.updates(entry.encoded) { #expect(found == expected, "seed \(random.seed)") }
            } else {
                #expect(Self.updates(entry.encoded) == nil, "seed \(random.seed)")
            }
        }
    }

    @Test func brokenEntriesAreNeverTakenForWholeOnes() throws {
        var gathered = KeyedRequests()
        for name in ["PUT", "POST"] {
            let request = Request(
                operatorName: name, payload: .list([.list([.list([.string("ab")]), .list([.string("c")])])]))
            let isTaken = gathered.add(Self.frame(request), rule: .text)
            #expect(isTaken)
        }
        let whole = try #require(gathered.entry(0..<2, at: Self.position, time: 7))
        #expect(Self.updates(whole)?.count == 2)
        for count in 0..<whole.count { #expect(Self.updates(Array(whole[..<count])) == nil) }
        for at in whole.indices {
            for bit in 0..<8 {
                var broken = whole
                broken[at] ^= 1 << bit
                guard Self.updates(broken) != nil else { continue }
                #expect((try? LogEntry(decoding: broken[...])) != nil, "byte \(at) bit \(bit)")
            }
        }
    }
}

extension KeyedRequests {
    fileprivate mutating func add(_ frame: Frame, rule: ElementRule) -> Bool {
        frame.payload.withUnsafeBytes { add(frame.header, $0, offset: 0, rule: rule) }
    }
}
