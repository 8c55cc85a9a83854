import Replication
import Routing
import Testing
import TupleCore
import TupleStore
import WireProtocol

/// A GET that is answered by looking a key up says what the matcher says.
@Suite struct LookUpTests {
    /// Through the whole of it: the same question in a form that is looked up and in one that is matched.
    @Test func bothWaysAnswerTheSame() {
        let wire = Wire(["a"])
        wire.add("t", rule: .text)
        wire.start("t")
        wire.run(.ms(500))
        let client = wire.client()
        let values = ["plain", "a\nb", "a,b", String(repeating: "x,", count: 11), "\n"]
        for (number, value) in values.enumerated() {
            let many = Term.list((0..<11).map { _ in .string(value) })
            client.request("PUT", .list([.list([.tuple("k\(number)"), .tuple(value)])]))
            client.request("PUT", .list([.list([.tuple("m\(number)"), many])]))
        }
        wire.settle()
        for key in (0..<values.count).flatMap({ ["k\($0)", "m\($0)"] }) + ["none"] {
            let short = client.request("GET", .list([.string(key), .string(".*")]))
            let long = client.request("GET", .list([.string("(?:\(key))"), .string(".*")]))
            wire.settle()
            #expect(client.answers[short] != nil && client.answers[short] == client.answers[long], "\(key)")
        }
        #expect(wire.violations == [])
    }

    @Test(arguments: [ElementRule.alphanumeric, .text])
    func itAnswersWhatTheMatcherAnswers(rule: ElementRule) throws {
        var space = Space(rule: rule)
        let words = ["a", "b", "ab", "a b", "a,b", "x-y", "a\nb", ".", "A", "é"]
        for key in words {
            for second in words {
                for elements in [[key], [key, second]] {
                    guard let tuple = try? Tuple(elements: elements.map { [UInt8]($0.utf8) }, rule: rule),
                        let value = try? Tuple(elements: [[UInt8](second.utf8), [UInt8](key.utf8)], rule: rule)
                    else { continue }
                    _ = space.apply(.added(Pair(key: tuple, value: value)))
                }
            }
        }
        let matcher = Matcher()
        var known = 0
        let expressions =
            words.map { Term.string($0) } + words.flatMap { a in words.map { Term.list([.string(a), .string($0)]) } }
            + words.flatMap { a in words.map { Term.string("\(a),\($0)") } } + [
                .string(""), .list([]), .null, .string(".*"),
            ]
        for expression in expressions {
            for value in [Term.string(".*"), .string("a.*"), .list([.string(".*")])] {
                let payload = Term.list([expression, value])
                let request = Request(operatorName: "GET", payload: payload)
                let header = Header(.request, session: SessionID(1), sequence: RequestSequence(1))
                var gathered = KeyedRequests()
                let isTaken = request.payloadBytes.withUnsafeBytes { gathered.add(header, $0, offset: 0, rule: rule) }
                guard isTaken else { continue }
                known += 1
                var found: [UInt8] = []
                gathered.forEachGroup { _, group in
                    let key = group[0].key
                    _ = space.map.withValue(forKey: key) { value in
                        let joined = value[..<Tuple.joinedCount(ofPacked: value)]
                        if !joined.contains(UInt8(ascii: "\n")) { Answer.encode(key: key, value: value, into: &found) }
                    }
                }
                let answer = space.decideGet(payload, matcher: matcher).answer
                #expect((found.isEmpty ? Answer().payloadBytes : found) == answer.payloadBytes, "\(expression)")
            }
        }
        #expect(known > 10)
    }
}
