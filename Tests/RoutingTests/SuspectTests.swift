import Routing
import Testing
import TupleCore
import WireProtocol

/// A request that ends each server that meets it, and those that happen to be there (specs/0005, section 5).
@Suite struct SuspectTests {
    /// Servers come and go under the names a and b, each time with a new connection.
    private struct Service {
        var proxy: RouterFixture
        var epoch: UInt64 = 1
        var link: UInt64 = 1
        private var known = record(1, version: 2, "a", ["a", "b"])

        init() {
            proxy = RouterFixture(record: known, maximumClients: 100)
            proxy.register(1, "a", activeEpoch: 1, record: known)
        }

        /// The active server is lost, and the other one takes over.
        mutating func lose() {
            proxy.happen(.serverClosed(ServerLink(link)))
            goOn()
        }

        mutating func goOn() {
            let name = epoch % 2 == 1 ? "b" : "a"
            link += 1
            known = proxy.router.record ?? known
            known.inSync = ["a", "b"].map(server)
            // As if it had been taken into the set in between.
            if proxy.router.record?.inSync.contains(server(name)) != true { readmit(name) }
            proxy.register(link, name, record: proxy.router.record)
            proxy.takeOver(link, from: epoch)
            epoch += 1
            readmit(epoch % 2 == 1 ? "b" : "a")
        }

        private mutating func readmit(_ name: String) {
            guard let present = proxy.router.record, !present.inSync.contains(server(name)) else { return }
            let spare = link + 1_000
            proxy.register(spare, name, record: present)
            proxy.changeInSync(link, epoch: epoch, version: present.version, ["a", "b"])
            proxy.happen(.serverClosed(ServerLink(spare)))
        }

        var inFlight: [UInt64] { proxy.requests(at: link) }

        mutating func answer(_ client: UInt64, _ sequence: UInt64) {
            proxy.respond(from: link, to: client, sequence, epoch: epoch)
        }
    }

    /// Client 100 asks for what kills; 101 and 102 are bystanders.
    @Test func aRequestThatKillsIsGivenUpAndBystandersAreAnswered() {
        var service = Service()
        for client in 100...102 as ClosedRange<UInt64> { service.proxy.connect(client) }
        service.proxy.ask(100, 1, operatorName: "GET")
        service.proxy.ask(101, 1)
        service.proxy.ask(102, 1)
        var losses = 0
        while service.proxy.answers(to: 100).isEmpty, losses < 10 {
            // The server that has it dies of it; before that it answers nothing.
            if service.proxy.askers(at: service.link).contains(100) {
                losses += 1
                service.lose()
                continue
            }
            for client in service.proxy.askers(at: service.link) where service.proxy.answers(to: client).isEmpty {
                service.answer(client, 1)
            }
            service.proxy.pass(RouterSettings.tick)
        }
        #expect(losses == 3, "both that had others, and one that had it alone")
        #expect(service.proxy.lastStatus(to: 100) == .unavailable)
        #expect(service.proxy.lines.contains("request-given-up"))
        service.proxy.pass(.seconds(1))
        for client in [101, 102] as [UInt64] where service.proxy.answers(to: client).isEmpty {
            service.answer(client, 1)
        }
        #expect(service.proxy.lastStatus(to: 101) == .ok && service.proxy.lastStatus(to: 102) == .ok)
        service.proxy.ask(101, 2)
        #expect(service.inFlight.contains(2), "the service goes on")
    }

    @Test func anUpdateThatKillsIsUnknown() {
        var service = Service()
        service.proxy.connect(100)
        service.proxy.ask(100, 1)
        for _ in 0..<3 { service.lose() }
        #expect(service.proxy.lastStatus(to: 100) == .unknown)
    }

    /// Two losses in a row are not enough, though it was alone at both: it may have been chance.
    @Test func twoLossesDoNotGiveAnythingUp() {
        var service = Service()
        service.proxy.connect(100)
        service.proxy.ask(100, 1)
        service.lose()
        service.lose()
        #expect(service.proxy.answers(to: 100).isEmpty)
        service.proxy.pass(.milliseconds(20))
        #expect(service.inFlight == [1])
        service.answer(100, 1)
        #expect(service.proxy.lastStatus(to: 100) == .ok)
    }

    /// What was answered in between was not the reason: two losses under load leave nothing that is held back.
    @Test func whatIsAnsweredInBetweenIsNotSuspect() {
        var service = Service()
        service.proxy.connect(100)
        for loss in 0..<6 as Range<UInt64> {
            for sequence in (loss * 10 + 1)...(loss * 10 + 10) { service.proxy.ask(100, sequence) }
            service.lose()
            service.proxy.pass(.milliseconds(20))
            #expect(service.inFlight == Array((loss * 10 + 1)...(loss * 10 + 10)), "all at once")
            for sequence in service.inFlight { service.answer(100, sequence) }
        }
        #expect(!service.proxy.lines.contains("request-given-up"))
        #expect(service.proxy.router.parkedCount == 0)
    }

    /// A client's requests keep their order: what it asks after a suspect one waits behind it.
    @Test func aClientsRequestsKeepTheirOrder() {
        var service = Service()
        service.proxy.connect(100)
        service.proxy.connect(101)
        for sequence in 1...3 as ClosedRange<UInt64> { service.proxy.ask(100, sequence) }
        service.lose()
        service.lose()
        for sequence in 4...5 as ClosedRange<UInt64> { service.proxy.ask(100, sequence) }
        service.proxy.ask(101, 9)
        for sequence in [1, 9, 2, 3] as [UInt64] {
            service.proxy.pass(RouterSettings.tick)
            #expect(service.inFlight.contains(sequence))
            service.answer(sequence == 9 ? 101 : 100, sequence)
        }
        service.proxy.pass(RouterSettings.tick)
        #expect(service.inFlight == [1, 9, 2, 3, 4, 5])
    }

    /// One that takes its time alone is not alone for ever: others go on beside it, and then nobody is blamed.
    @Test func othersDoNotWaitForLong() {
        var service = Service()
        service.proxy.connect(100)
        service.proxy.connect(101)
        service.proxy.ask(100, 1, operatorName: "GET")
        service.lose()
        service.lose()
        service.proxy.pass(RouterSettings.tick)
        #expect(service.inFlight == [1])
        service.proxy.ask(101, 7)
        #expect(service.inFlight == [1], "it is alone")
        service.proxy.pass(.milliseconds(300))
        #expect(service.inFlight == [1, 7])
        service.lose()
        service.proxy.pass(.milliseconds(20))
        #expect(service.proxy.answers(to: 100).isEmpty, "it was not alone")
    }

    /// A request that a client has left behind may have been the reason.
    @Test func nobodyIsBlamedWhileARequestOfAGoneClientIsThere() {
        var service = Service()
        service.proxy.connect(100)
        service.proxy.ask(100, 1)
        service.lose()
        service.lose()
        // It is alone now; a new client asks beside it once it has taken its time, and leaves.
        service.proxy.pass(.milliseconds(400))
        service.proxy.connect(101)
        service.proxy.ask(101, 1)
        service.proxy.happen(.clientClosed(ConnectionIndicator(101)))
        service.lose()
        service.proxy.pass(.milliseconds(10))
        service.lose()
        #expect(service.proxy.answers(to: 100).isEmpty)
        service.proxy.pass(.milliseconds(50))
        service.answer(100, 1)
        #expect(service.proxy.lastStatus(to: 100) == .ok)
    }

    /// An operator's switchovers are no losses.
    @Test func switchoversAreNoLosses() throws {
        let known = record(1, version: 2, "a", ["a", "b"])
        var proxy = RouterFixture(record: known)
        proxy.register(1, "a", activeEpoch: 1, record: known)
        proxy.register(2, "b", record: known)
        proxy.connect(100)
        proxy.ask(100, 1)
        proxy.ask(100, 2)
        for round in 0..<6 {
            #expect(try proxy.switchOver(to: round % 2 == 0 ? "b" : "a", acceptDataLoss: false).status == .ok)
            proxy.pass(RouterSettings.tick * 2)
            #expect(proxy.requests(at: round % 2 == 0 ? 2 : 1).suffix(2) == [1, 2])
        }
        #expect(!proxy.lines.contains("request-given-up"))
    }
}
