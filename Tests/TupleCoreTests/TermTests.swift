import Testing

@testable import TupleCore

@Suite("Terms and names")
struct TermTests {
    @Test("JSON's numbers, and nothing else, are numbers")
    func numbers() {
        for good in ["0", "-0", "7", "-12", "0.5", "10.25", "1e9", "1E+09", "-0.0e-10", "1234567890123456789012345"] {
            #expect(Term.isNumber(good.utf8), "\(good)")
        }
        for bad in [
            "", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "1 ", " 1", "1,2", "NaN", "--1", "1.2.3",
            "1e5.0", "٣",
            "1\"", "00",
        ] { #expect(!Term.isNumber(bad.utf8), "\(bad)") }
    }

    @Test("A pair is a list of two tuples and nothing else")
    func pairs() throws {
        let key: Term = .list([.string("user"), .string("42")])
        let pair = try #require(Pair(.list([key, .list([.string("ada")])]), rule: .alphanumeric))
        #expect(Term(pair) == .list([key, .list([.string("ada")])]))
        #expect(pair.byteCount == 10)
        for bad: Term in [
            .null, key, .list([]), .list([key]), .list([key, key, key]), .list([key, .list([])]),
            .list([key, .list([.string("")])]), .list([key, .list([.string("a b")])]), .list([key, .string("ada")]),
            .object([.init(name: [0x61], value: key), .init(name: [0x62], value: key)]),
        ] { #expect(Pair(bad, rule: .alphanumeric) == nil) }
    }

    @Test("A server's name: 1 to 64 bytes of letters, digits, -, _ and .")
    func nodeNames() {
        for good in ["a", "server-1", "A_b.c", String(repeating: "x", count: 64)] {
            #expect(NodeID(good)?.name == good)
        }
        for bad in ["", "a b", "a/b", "é", "a\u{0}", "a,b", String(repeating: "x", count: 65)] {
            #expect(NodeID(bad) == nil)
        }
    }

    @Test("The in-sync set is kept in order")
    func record() throws {
        let a = try #require(NodeID("a"))
        let b = try #require(NodeID("b"))
        let record = SwitchRecord(
            cluster: ClusterID(1), epoch: Epoch(1), version: 1, active: b, inSync: [b, a], rule: .text)
        #expect(record.inSync == [a, b])
    }

    @Test("Instants and durations")
    func instants() {
        let instant = Instant(nanoseconds: 5).advanced(by: .milliseconds(2))
        #expect(instant == Instant(nanoseconds: 2_000_005))
        #expect(Instant(nanoseconds: 5).duration(since: instant) == .milliseconds(-2))
        #expect(Duration.seconds(3).wholeMilliseconds == 3_000 && Duration.microseconds(1_999).wholeMilliseconds == 1)
    }
}
