import Testing
import TupleCore

@testable import WireProtocol

/// The short way from a request's bytes to the log's says what the long way says, or nothing.
@Suite struct PairEntryTests {
    private static let header = Header(
        .request, session: SessionID(0x1122_3344_5566_7788), sequence: RequestSequence(9), epoch: Epoch(3),
        connection: ConnectionIndicator(5), lowWater: RequestSequence(8))
    private static let position = LogPosition(epoch: Epoch(3), index: LogIndex(77))

    private static func short(_ request: Request, _ rule: ElementRule) -> PairEntry? {
        PairEntry(request: request.payloadBytes[...], header: header, rule: rule, position: position, time: -5)
    }

    private static func long(_ request: Request, _ rule: ElementRule) -> LogEntry? {
        guard case .list(let items) = request.payload, items.count == 1, let pair = Pair(items[0], rule: rule) else {
            return nil
        }
        let effect: Effect = request.operatorName == "POST" ? .replaced(pair) : .added(pair)
        return LogEntry(
            position: position, time: -5,
            body: .update(
                .init(
                    session: header.session, sequence: header.sequence, lowWater: header.lowWater, effects: [effect],
                    outcome: [])))
    }

    @Test(arguments: [ElementRule.alphanumeric, .text])
    func itMakesTheSameBytes(rule: ElementRule) throws {
        var random = SeededRandom()
        let letters = Array("abcXYZ019-, é\u{0}".utf8)
        var made = 0
        for _ in 0..<20_000 {
            func tuple() -> Term {
                .list(
                    (0..<random.below(4)).map { _ in
                        let plain = random.below(4) > 0
                        let count = random.below(12) == 0 ? 100 + random.below(300) : random.below(20)
                        return .string((0..<count).map { _ in letters[random.below(plain ? 9 : letters.count)] })
                    })
            }
            let name = ["PUT", "POST", "GET", "PUTS", "DELETE"][random.below(12) % 5]
            var items: [Term] = [.list([tuple(), tuple()])]
            if random.below(10) == 0 { items.append(.list([tuple(), tuple()])) }
            if random.below(20) == 0 { items = [.list([tuple()])] }
            let request = Request(operatorName: name, payload: .list(items))
            guard let entry = Self.short(request, rule) else { continue }
            made += 1
            #expect(name == "PUT" || name == "POST")
            let expected = try #require(Self.long(request, rule), "seed \(random.seed): \(request)")
            #expect(entry.bytes == expected.encoded, "seed \(random.seed)")
            guard case .update(let update) = expected.body, let effect = update.effects.first else { continue }
            #expect(Array(entry.bytes[entry.key]) == effect.key.packed)
            #expect(entry.replaces == (name == "POST"))
        }
        #expect(made > 1_000, "seed \(random.seed)")
    }

    @Test func itTellsThemFromAllOtherEntries() throws {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            let entry = random.entry()
            let bytes = entry.encoded
            bytes.withUnsafeBytes { raw in
                let view = PairEntry.view(raw)
                if case .update(let update) = entry.body, update.outcome.isEmpty, update.effects.count == 1,
                    case let pair? = update.effects.first.flatMap(Self.pair)
                {
                    #expect(view?.position == entry.position && view?.time == entry.time)
                    #expect(view?.session == update.session && view?.sequence == update.sequence)
                    #expect(view?.lowWater == update.lowWater)
                    // A length of three bytes is left to the other reader.
                    if let view {
                        #expect(Array(view.key) == pair.key.packed && Array(view.value) == pair.value.packed)
                    }
                } else {
                    #expect(view == nil, "seed \(random.seed)")
                }
            }
        }
    }

    private static func pair(_ effect: Effect) -> Pair? {
        switch effect {
        case .added(let pair), .replaced(let pair): pair
        case .removed: nil
        }
    }

    @Test func brokenEntriesAreNeverTakenForWholeOnes() throws {
        let request = Request(
            operatorName: "PUT", payload: .list([.list([.list([.string("ab")]), .list([.string("c")])])]))
        let whole = try #require(Self.short(request, .text)).bytes
        for count in 0..<whole.count {
            whole[..<count].withUnsafeBytes { #expect(PairEntry.view($0) == nil) }
        }
        for at in whole.indices {
            for bit in 0..<8 {
                var broken = whole
                broken[at] ^= 1 << bit
                broken.withUnsafeBytes { raw in
                    guard PairEntry.view(raw) != nil else { return }
                    #expect((try? LogEntry(decoding: broken[...])) != nil, "byte \(at) bit \(bit)")
                }
            }
        }
    }
}
