import Journal
import Routing
import TupleCore
import Testing
import WireProtocol

@testable import Simulation

/// Each story of specs/0005 as a script: what is done to a suite of a and b, and what the operator reads in the logs, in
/// this order. a founds the cluster and is active; b is in sync. A client writes all the while, and at the end every copy
/// holds all that it was told is there.
@Suite struct TakeoverStories {
    /// Section 4: the active server crashes.
    @Test func theActiveServerCrashes() throws {
        let scene = DiskScene(seed: 1)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        #expect(scene.write("before", "1")?.status == .ok)
        a.crash()
        #expect(scene.write("after", "1")?.status == .ok, "a pause, no error")
        #expect(scene.world.proxy.durable?.story == "epoch 2 b [b]")
        a.start()
        #expect(scene.run { scene.isRedundant })
        scene.expectStory([
            "a crashes",
            "b ALERT active-lost server=a epoch=1 reason=the connection was closed",
            "proxy ALERT takeover server=b epoch=2 from=a",
            "b ALERT takeover server=b epoch=2 from=a",
            "b fences a at epoch 2",
            "b ALERT not-redundant server=b epoch=2",
            "a starts",
            "a INFO following active=b",
            "b ALERT redundancy-restored server=a active=b epoch=2",
        ])
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 4: it restarts before anybody took over, and gets an epoch of its own.
    @Test func theActiveServerComesBackAlone() {
        let scene = DiskScene(seed: 2)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        b.crash()
        #expect(scene.run { scene.world.proxy.durable?.story == "epoch 1 a [a]" })
        #expect(scene.write("k", "1")?.status == .ok)
        a.crash()
        b.start()
        scene.run(.seconds(1))
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a]", "b lacks what was acknowledged")
        a.start()
        #expect(scene.run { scene.isRedundant })
        #expect(scene.world.proxy.durable?.story == "epoch 2 a [a,b]")
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 1: there is one server only, it has answered, and comes back with a new disk. Nothing is left of what was
    /// acknowledged, and nobody pretends that there is.
    @Test func aLoneServerLosesItsDisk() {
        let scene = DiskScene(seed: 11, ["a"])
        let a = scene.world.server("a")
        #expect(scene.write("k", "1")?.status == .ok)
        a.crash()
        a.wipe()
        a.start()
        scene.run(.seconds(5))
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a]")
        #expect(scene.world.proxy.router?.isServing == false)
        #expect(a.role == "passive")
        scene.expectStory(["a gets a new disk", "proxy ALERT copy-lost server=a"])
        #expect(scene.world.watch.violations == [])
    }

    /// Section 5: the active server freezes, is replaced, wakes up, and follows.
    @Test func theActiveServerFreezes() {
        let scene = DiskScene(seed: 3)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        #expect(scene.write("k", "1")?.status == .ok)
        a.freeze()
        #expect(scene.write("k", "2")?.status == .ok)
        #expect(scene.world.proxy.durable?.story == "epoch 2 b [b]")
        a.thaw()
        #expect(scene.run { scene.isRedundant })
        scene.expectStory([
            "a freezes",
            "b ALERT active-lost server=a epoch=1 reason=silent for",
            "proxy ALERT takeover server=b epoch=2 from=a",
            "b ALERT takeover server=b epoch=2 from=a",
            "a wakes up",
            "a ALERT deposed server=a epoch=1 active=b newEpoch=2",
            "b ALERT redundancy-restored server=a active=b epoch=2",
        ])
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 5: the link between the servers is cut, in one direction or both: nobody is deposed.
    @Test(arguments: [[true, true], [true, false], [false, true]]) func theLinkBetweenTheServersIsCut(_ ways: [Bool]) {
        let scene = DiskScene(seed: 4)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        if ways[0] { scene.world.setCut(from: a.place, to: b.place) }
        if ways[1] { scene.world.setCut(from: b.place, to: a.place) }
        #expect(scene.write("k", "1")?.status == .ok)
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a]")
        scene.world.healAllCuts()
        #expect(scene.run { scene.isRedundant })
        scene.expectStory([
            "a ALERT passive-lost server=b", "a ALERT not-redundant server=a epoch=1",
            "a ALERT redundancy-restored server=b active=a epoch=1",
        ])
        #expect(!scene.told("proxy ALERT takeover"))
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 5: the active server is cut off from the proxy alone; packets vanish, nothing is closed.
    @Test func theActiveServerIsCutOffFromTheProxy() {
        let scene = DiskScene(seed: 5)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        scene.world.setCut(from: a.place, to: .proxy)
        scene.world.setCut(from: .proxy, to: a.place)
        #expect(scene.write("k", "1")?.status == .ok)
        #expect(scene.world.proxy.durable?.active.name == "b")
        scene.world.healAllCuts()
        #expect(scene.run { scene.isRedundant })
        scene.expectStory(["proxy ALERT takeover server=b epoch=2 from=a", "a ALERT deposed server=a epoch=1"])
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 6: the passive server fails, and comes back.
    @Test func thePassiveServerFailsAndComesBack() {
        let scene = DiskScene(seed: 6)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        b.losePower(.unsynced(seed: 6))
        #expect(scene.write("k", "1")?.status == .ok)
        #expect(scene.world.proxy.durable?.story == "epoch 1 a [a]")
        b.start()
        #expect(scene.run { scene.isRedundant })
        scene.expectStory([
            "b loses power",
            "a ALERT passive-lost server=b",
            "a ALERT not-redundant server=a epoch=1",
            "b starts",
            "a ALERT redundancy-restored server=b active=a epoch=1",
        ])
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 7: an operator moves the service.
    @Test func anOperatorMovesTheService() {
        let scene = DiskScene(seed: 7)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        #expect(scene.write("k", "1")?.status == .ok)
        let console = Console(scene.world)
        console.command("switchover")
        #expect(scene.run { console.replies.first?.status == .ok })
        #expect(scene.write("k", "2")?.status == .ok)
        #expect(scene.run { scene.isRedundant })
        #expect(scene.world.proxy.durable?.story == "epoch 2 b [a,b]")
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 8: the proxy loses the switch's record; nothing is granted before every member is there.
    @Test func theSwitchsRecordIsLost() {
        let scene = DiskScene(seed: 8)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        #expect(scene.write("k", "1")?.status == .ok)
        b.crash()
        #expect(scene.run { scene.world.proxy.durable?.story == "epoch 1 a [a]" })
        a.crash()
        scene.world.proxy.crash()
        scene.world.proxy.wipe()
        scene.world.proxy.start()
        b.start()
        scene.run(.seconds(1))
        #expect(scene.world.proxy.durable == nil, "b is of the set that it knows, and a is not there")
        a.start()
        #expect(scene.run { scene.isRedundant })
        scene.expectStory(["proxy ALERT switch-record-lost server=b", "proxy ALERT switch-record-rebuilt epoch=1"])
        scene.expectAllIsThere(on: [a, b])
    }

    /// Section 8: the record is lost, and a member's data too: nobody can say what that one knew. All wait, the operator is
    /// told, and decides.
    @Test func theSwitchsRecordAndAMembersDataAreLost() {
        let scene = DiskScene(seed: 10)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        #expect(scene.write("k", "1")?.status == .ok)
        scene.world.proxy.crash()
        scene.world.proxy.wipe()
        b.crash()
        b.wipe()
        scene.world.proxy.start()
        #expect(scene.run { scene.told("proxy ALERT switch-record-lost server=a") })
        b.start()
        scene.run(.seconds(20))
        #expect(scene.world.proxy.durable == nil, "time alone decides nothing")
        let console = Console(scene.world)
        console.command("switchover", .object([.init(name: Array("to".utf8), value: .string("a"))]))
        #expect(scene.run { console.replies.first?.status == .unavailable })
        #expect(scene.world.proxy.durable == nil)
        console.command(
            "switchover",
            .object([
                .init(name: Array("to".utf8), value: .string("a")),
                .init(name: Array("acceptDataLoss".utf8), value: .boolean(true)),
            ]))
        #expect(scene.run { console.replies.last?.status == .ok })
        #expect(scene.run { scene.isRedundant })
        #expect(scene.write("k", "2")?.status == .ok)
        scene.expectStory([
            "proxy ALERT switch-record-lost server=a",
            "proxy ALERT copy-lost server=b reason=the switch's record is lost, and not rebuilt before b registers",
            "proxy ALERT switchover server=a from=a epoch=1000001 dataLossAccepted=true",
            "a ALERT deposed server=a epoch=1 active=a newEpoch=1000001",
            "proxy ALERT takeover server=a epoch=1000002 from=a reason=coming back as the active server",
            "a ALERT redundancy-restored server=b active=a epoch=1000002",
        ])
        scene.expectAllIsThere(on: [a, b])
    }

    /// Everything loses power at once; what was answered is there.
    @Test func everythingLosesPower() {
        let scene = DiskScene(seed: 9)
        let (a, b) = (scene.world.server("a"), scene.world.server("b"))
        for number in 0..<20 { #expect(scene.write("k\(number)", "1")?.status == .ok) }
        a.losePower(.everythingUnsynced)
        b.losePower(.everythingUnsynced)
        scene.world.proxy.crash(.everythingUnsynced, silently: true)
        scene.run(.seconds(1))
        scene.world.proxy.start()
        b.start()
        a.start()
        #expect(scene.run { scene.isRedundant })
        scene.expectAllIsThere(on: [a, b])
    }
}

extension DiskScene {
    /// Lines that begin like these were told, in this order.
    func expectStory(_ lines: [String], sourceLocation: SourceLocation = #_sourceLocation) {
        var rest = world.story[...]
        for line in lines {
            guard let place = rest.firstIndex(where: { $0.hasPrefix(line) }) else {
                Issue.record("'\(line)' was not told in its place", sourceLocation: sourceLocation)
                return
            }
            rest = rest[(place + 1)...]
        }
    }

    /// The servers hold what was acknowledged, and nothing went wrong that the world watches for.
    func expectAllIsThere(on servers: [ServerHost], sourceLocation: SourceLocation = #_sourceLocation) {
        for server in servers { #expect(differences(on: server) == [], sourceLocation: sourceLocation) }
        #expect(world.watch.violations == [], sourceLocation: sourceLocation)
    }
}
