import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// The space is bounded (`--max-space`): what makes it grow beyond is refused, everything else goes on (G14).
@Suite struct SpaceLimitTests {
    private static func running() -> Wire { Wire.running { $0.maximumSpaceBytes = 2_000 } }

    private func size(_ wire: Wire) -> Int { wire.node("a").replica?.state.space.map.byteCount ?? 0 }

    private func count(_ wire: Wire) -> Int { wire.node("a").replica?.state.space.count ?? 0 }

    private func fill(_ wire: Wire, _ client: WireClient, upTo bytes: Int = .max) {
        for number in count(wire)..<400 where size(wire) < bytes {
            let put = client.put("key\(number)", "12345678")
            wire.settle()
            if client.says(put) != "ok" { break }
        }
    }

    @Test func updatesThatGrowTheSpaceAreRefusedAndTheRestGoesOn() {
        let wire = Self.running()
        let client = wire.client()
        fill(wire, client)
        #expect((2_000..<2_100).contains(size(wire)))
        let put = client.put("more", "1")
        let list = client.request("PUT", .list([.pair("more", "1"), .pair("most", "1")]))
        let larger = client.post("key0", "123456789")
        let same = client.post("key0", "87654321")
        let smaller = client.post("key1", "1")
        let get = client.get("key0")
        wire.settle()
        for refused in [put, list, larger] { #expect(client.says(refused) == "too-large") }
        #expect(client.answers[put]?.message.contains("--max-space") == true)
        #expect(client.says(same) == "ok" && client.says(smaller) == "ok")
        #expect(client.shows(get) == "87654321")
        let removed = client.delete("key[0-9]+")
        wire.settle()
        #expect(client.says(removed).hasPrefix("ok"))
        let again = client.put("more", "1")
        wire.settle()
        #expect(client.says(again) == "ok")
        wire.run(.seconds(1))
        #expect(wire.node("b").value("more") == "1", "replication goes on")
        #expect(wire.violations == [])
    }

    @Test func anOperatorIsToldOnceEachTime() {
        let wire = Self.running()
        let client = wire.client()
        fill(wire, client, upTo: 1_700)
        wire.run(.ms(200))
        #expect(wire.times("a ALERT space-nearly-full server=a") == 1)
        fill(wire, client)
        wire.run(.ms(200))
        #expect(wire.times("a ALERT space-full server=a") == 1)
        client.delete("key1.*")
        wire.run(.seconds(1))
        #expect(wire.times("a ALERT space-restored server=a") == 1)
        #expect(wire.times("a ALERT space-") == 3)
    }
}
