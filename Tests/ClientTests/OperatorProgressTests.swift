import Testing
import TupleCore
import WireProtocol

@testable import Client

@Suite struct OperatorProgressTests {
    private func status(_ active: String?, _ states: [String: String] = [:], inSync: [String] = []) throws -> Term {
        let servers = states.sorted { $0.key < $1.key }.map { name, state in
            let role = name == active ? "active" : "passive"
            return #"{"name":"\#(name)","role":"\#(role)","state":"\#(state)","insync":\#(inSync.contains(name))}"#
        }
        let name = active.map { "\"\($0)\"" } ?? "null"
        let text = #"{"active":\#(name),"epoch":7,"servers":[\#(servers.joined(separator: ","))]}"#
        return try JSON.parse([UInt8](text.utf8))
    }

    private func member(_ name: String, _ value: String) -> Term {
        .object([.init(name: [UInt8](name.utf8), value: .string(value))])
    }

    @Test func aSwitchoverIsDoneWhenAnotherServerIsActive() throws {
        var progress = try #require(OperatorProgress(OperatorRequest(command: "switchover")))
        let looks = [try status("a"), try status(nil), nil, try status("b")]
        progress.begin(looks[0])
        let replies = looks.map { progress.reply(to: $0)?.message }
        #expect(replies == [nil, nil, nil, "switchover: b is active now, a was before"])
    }

    @Test func aSwitchoverToAServerIsDoneWhenThatOneIsActive() throws {
        let request = OperatorRequest(command: "switchover", argument: member("to", "c"))
        var progress = try #require(OperatorProgress(request))
        progress.begin(try status("a"))
        let replies = [try status("b"), try status("c")].map { progress.reply(to: $0)?.result["to"] }
        #expect(replies == [nil, .string("c")])
        #expect(progress.missing == "c has not become active")
    }

    @Test func aResynchronisationIsDoneWhenTheServerFollowsAgain() throws {
        var progress = try #require(
            OperatorProgress(OperatorRequest(command: "resync", argument: member("server", "b"))))
        progress.begin(try status("a"))
        let following = try status("a", ["a": "serving", "b": "following"], inSync: ["a", "b"])
        let resyncing = try status("a", ["a": "serving", "b": "resyncing"], inSync: ["a"])
        // At the first look it may not have begun.
        let replies = [following, resyncing, following].map { progress.reply(to: $0)?.message }
        #expect(replies == [nil, nil, "resync: b holds every acknowledged write"])
    }

    @Test func otherCommandsAreDoneWhenTheyAreAnswered() {
        #expect(OperatorProgress(OperatorRequest(command: "shutdown")) == nil)
    }
}
