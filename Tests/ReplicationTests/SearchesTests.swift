import Replication
import Routing
import Testing
import TupleCore
import TupleStore
import WireProtocol

extension Wire {
    /// Of the one thread that searches here; shared since every use is over before the next begins.
    static var matcher: Matcher { Matcher() }

    /// A suite with ten pairs `p0` … `p9`, whose server `a` is active and ends no search for now.
    static func searching() -> (Wire, WireClient) {
        let wire = Wire.running()
        let client = wire.client()
        for number in 0..<10 { client.put("p\(number)", "1") }
        wire.settle()
        wire.node("a").areSearchesHeld = true
        return (wire, client)
    }

    var keys: [String] {
        var keys: [String] = []
        node("a").replica?.state.space.forEachPair {
            keys.append(String(decoding: $0.key.packed, as: UTF8.self))
            return true
        }
        return keys
    }

    func endSearches() {
        node("a").areSearchesHeld = false
        settle()
    }
}

/// Searches that run elsewhere while the service goes on.
@Suite struct SearchesTests {
    @Test func aDeleteTakesEffectOnTheStateInWhichItEnds() {
        let (wire, client) = Wire.searching()
        let delete = client.request("DELETE", .list([.string("p.*"), .string("1")]))
        wire.settle()
        let other = wire.client()
        other.put("pnew", "1")
        other.post("p0", "2")
        other.delete("p1")
        other.delete("p2")
        other.put("p2", "1")
        other.put("q", "1")
        wire.settle()
        #expect(client.says(delete) == "-")
        wire.endSearches()
        // p0 has another value by now, p1 is gone; pnew is new, p2 was put anew.
        #expect(client.says(delete) == "ok 9")
        #expect(
            client.answers[delete]?.pairs.map { String(decoding: $0.key.packed, as: UTF8.self) }
                == ["p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "pnew"])
        #expect(wire.keys == ["p0", "q"])
        wire.run(.ms(300))
        #expect(wire.node("b").replica?.state.space.digest == wire.node("a").replica?.state.space.digest)
        #expect(wire.violations == [])
    }

    /// What changes while the changes are looked at is looked at in its turn.
    @Test func moreChangesThanCanBeLookedAtOnTheSpotAreSearchedToo() {
        let (wire, client) = Wire.searching()
        let delete = client.request("DELETE", .list([.string("p.*"), .string("1")]))
        wire.settle()
        let other = wire.client()
        for number in 10..<40 { other.put("p\(number)", "1") }
        wire.settle()
        wire.search(wire.node("a"))
        #expect(client.says(delete) == "-", "thirty changes are too many for the spot, here")
        other.delete("p10")
        other.put("p99", "1")
        wire.settle()
        wire.endSearches()
        #expect(client.says(delete) == "ok 40")
        #expect(wire.keys == [])
    }

    /// Keys that cannot match are not looked at, also where the expressions are compiled elsewhere: a DELETE of one key was
    /// given up before, where other keys changed faster than they could be looked at.
    @Test(arguments: [false, true]) func otherKeysThatChangeDoNotHoldADeleteUp(_ isCompiledElsewhere: Bool) {
        let (wire, client) = Wire.searching()
        let expression = isCompiledElsewhere ? "p(?:" + (0..<400).map { "x\($0)|" }.joined() + ".)" : "p.*"
        let delete = client.request("DELETE", .list([.string(expression), .string("1")]))
        wire.settle()
        let other = wire.client()
        for round in 0..<20 where !wire.node("a").searches.isEmpty {
            for number in 0..<300 { other.put("q\(round)x\(number)", "1") }
            wire.settle()
            wire.search(wire.node("a"))
        }
        wire.settle()
        #expect(client.says(delete) == "ok 10")
        #expect(wire.keys.allSatisfy { $0.hasPrefix("q") })
        #expect(wire.violations == [])
    }

    @Test func aGetShowsWhatWasThereWhenItBegan() {
        let (wire, client) = Wire.searching()
        let get = client.request("GET", .list([.string("p.*"), .string(".*")]))
        wire.settle()
        wire.client().put("p99", "1")
        wire.settle()
        wire.endSearches()
        #expect(client.says(get) == "ok 10")
    }

    @Test func aSessionsRequestsTakeEffectInTheirOrder() {
        let (wire, client) = Wire.searching()
        let delete = client.request("DELETE", .list([.string("p.*"), .string(".*")]))
        let put = client.put("p1", "again")
        let get = client.request("GET", .list([.string("p.*"), .string(".*")]))
        let last = client.put("q", "1")
        wire.settle()
        let other = wire.client()
        let quick = other.put("r", "1")
        wire.settle()
        #expect(other.says(quick) == "ok", "others do not wait")
        #expect([delete, put, get, last].map(client.says) == ["-", "-", "-", "-"])
        wire.endSearches()
        #expect([delete, put, get, last].map(client.says) == ["ok 10", "ok", "ok 1", "ok"])
        #expect(client.order.suffix(4) == [delete, put, get, last])
        #expect(client.shows(get) == "again")
    }

    @Test func aDeleteThatIsAskedForAgainWhileItRunsHappensOnce() {
        let (wire, client) = Wire.searching()
        let delete = client.request("DELETE", .list([.string("p.*"), .string(".*")]))
        wire.settle()
        client.connect()
        wire.settle()
        client.transmit(delete)
        wire.settle()
        wire.endSearches()
        #expect(client.says(delete) == "ok 10")
        #expect(wire.keys == [])
        #expect(wire.violations == [])
    }

    @Test func onlySoManyRunAtOnce() {
        let (wire, _) = Wire.searching()
        let clients = (0..<5).map { _ in wire.client() }
        let gets = clients.map { $0.request("GET", .list([.string("p.*"), .string(".*")])) }
        wire.settle()
        #expect(wire.node("a").searches.count == 2)
        wire.search(wire.node("a"))
        #expect(wire.node("a").searches.count == 2)
        wire.endSearches()
        #expect(zip(clients, gets).map { $0.says($1) } == ["ok 10", "ok 10", "ok 10", "ok 10", "ok 10"])
    }

    @Test func theSearchesOfAClientThatLeavesAreCancelledButItsUpdatesGoOn() {
        let (wire, client) = Wire.searching()
        client.request("GET", .list([.string("p.*"), .string(".*")]))
        let updater = wire.client()
        updater.request("DELETE", .list([.string("p[0-4]"), .string(".*")]))
        let waiting = wire.client()
        waiting.request("GET", .list([.string("p.*"), .string(".*")]))
        waiting.put("s", "1")
        wire.settle()
        for leaver in [client, updater, waiting] { leaver.disconnect() }
        wire.settle()
        #expect(wire.node("a").cancelled.count == 1)
        wire.endSearches()
        #expect(wire.keys == ["p5", "p6", "p7", "p8", "p9", "s"])
        #expect(wire.violations == [])
    }

    @Test func aTakeoverCarriesARunningDeleteOut() {
        let (wire, client) = Wire.searching()
        let delete = client.request("DELETE", .list([.string("p.*"), .string(".*")]))
        let put = client.put("q", "1")
        wire.settle()
        wire.crash("a")
        #expect(wire.run { client.says(put) == "ok" })
        #expect(client.says(delete) == "ok 10")
        #expect(wire.node("b").value("p1") == nil)
        #expect(wire.violations == [])
    }

    @Test func aShutdownSaysThatNothingWasDone() {
        let (wire, client) = Wire.searching()
        let delete = client.request("DELETE", .list([.string("p.*"), .string(".*")]))
        let put = client.put("q", "1")
        wire.settle()
        wire.command("shutdown")
        wire.settle()
        #expect([delete, put].map(client.says) == ["unavailable", "unavailable"])
    }

    /// Compiling a long expression takes long: it happens elsewhere too, and a bad one is refused from there.
    @Test func longExpressionsAreCompiledElsewhere() {
        let (wire, client) = Wire.searching()
        let long = "p(?:" + (0..<400).map { "x\($0)|" }.joined() + ".)"
        let get = client.request("GET", .list([.string(long), .string("1")]))
        wire.settle()
        #expect(client.says(get) == "-")
        #expect(wire.node("a").searches.count == 1)
        let other = wire.client()
        let malformed = other.request("GET", .list([.string(long + "("), .string("1")]))
        let third = wire.client()
        let delete = third.request("DELETE", .list([.string(long), .string("1")]))
        let writer = wire.client()
        for number in 10..<30 { writer.put("p\(number)", "1") }
        writer.delete("p3")
        wire.settle()
        wire.endSearches()
        #expect(client.says(get) == "ok 10")
        #expect(other.says(malformed) == "ok")
        #expect(other.answers[malformed]?.warning.contains("missing ), unterminated subpattern") == true)
        #expect(third.says(delete) == "ok 9")
        #expect(wire.violations == [])
    }
}
