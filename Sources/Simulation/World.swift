package import Replication
import Routing
package import TupleCore
import TupleStore
import WireProtocol

/// A whole suite on simulated time: one proxy, servers with their disks, clients, and the connections between them.
///
/// It drives the cores as the daemons do, and nothing in it depends on anything but what it was given: the same seed and
/// the same calls give the same run, to the last message. It watches at every step what must always hold.
package final class World {
    package private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var events = EventQueue()
    var random: SeededRandom
    package var weather: Weather

    package private(set) var servers: [ServerHost] = []
    package private(set) var proxy: ProxyHost!
    package let watch = Watch()
    /// Of the threads on which searches run.
    let matcher = Matcher()

    /// Open connections, in the order in which they were opened.
    var links: [Link] = []
    var cuts = CutMatrix()
    private var lastNumber: UInt64 = 0

    /// A request that ends the servers that get it.
    struct Deadly {
        /// Nil until a request is passed on.
        var request: Watch.RequestKey?
        let kill: (ServerHost) -> Void
        init(kill: @escaping (ServerHost) -> Void) { self.kill = kill }
    }
    var deadly: Deadly?

    /// What was logged and done, line by line, where it is asked for: `proxy ALERT takeover server=b …`.
    package private(set) var story: [String] = []
    package var keepsStory: Bool
    /// Whether each line tells when it happened, and messages are told too.
    package var tellsMessages = false
    /// Mixes everything that happens, in order: two runs with the same hash were the same.
    package private(set) var traceHash: UInt64 = 0xCBF2_9CE4_8422_2325
    package private(set) var eventCount = 0

    /// The wall clock at the world's beginning, in milliseconds since 1970.
    static let wallBegin: Int64 = 1_750_000_000_000

    package init(seed: UInt64 = 0, weather: Weather = .still, maximumClients: Int = 64, keepsStory: Bool = true) {
        random = SeededRandom(seed: seed, purpose: 1)
        self.weather = weather
        self.keepsStory = keepsStory
        proxy = ProxyHost(self, maximumClients: maximumClients)
    }

    /// Adds a server; it does not run yet.
    @discardableResult
    package func add(_ machine: String, _ settings: ReplicaSettings, disk: DiskSettings = DiskSettings()) -> ServerHost
    {
        let host = ServerHost(self, machine: machine, number: servers.count, settings: settings, disk: disk)
        servers.append(host)
        return host
    }

    package func server(_ machine: String) -> ServerHost {
        guard let host = servers.first(where: { $0.machine == machine }) else {
            preconditionFailure("there is no server \(machine)")
        }
        return host
    }

    func server(named name: NodeID) -> ServerHost? { servers.first { $0.settings.name == name } }

    package func number() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    /// Ends the world. Its parts refer to each other in circles, so that none of them would ever go.
    func dissolve() {
        events = EventQueue()
        for link in links { link.dissolve() }
        links = []
        for server in servers { server.dissolve() }
        proxy.dissolve()
    }

    // MARK: Time

    func schedule(_ event: EventQueue.Event, after nanoseconds: Int64) {
        events.add(event, at: Instant(nanoseconds: now.nanoseconds + nanoseconds))
    }

    package func after(_ duration: Duration, _ body: @escaping () -> Void) {
        events.add(.call(body), at: now.advanced(by: duration))
    }

    func draw(_ span: Span) -> Int64 { span.draw(&random) }

    /// Lets happen what is due until `end`, and no more than that.
    package func run(until end: Instant) {
        while let next = events.nextTime, next <= end, !watch.isViolated || keepsGoing { step(next) }
        if now < end { now = end }
    }

    /// Whether the run goes on after something went wrong.
    package var keepsGoing = true

    /// Lets happen the one thing that is due next, where it is due until `end`.
    ///
    /// - Returns: false where nothing was.
    package func stepOnce(until end: Instant) -> Bool {
        guard let next = events.nextTime, next <= end else { return false }
        step(next)
        return true
    }

    private func step(_ next: Instant) {
        if next > now { now = next }
        eventCount += 1
        switch events.pop() {
        case .arrival(let link, let side): arrive(link, side)
        case .turnEnds(let host, let life): host.turnEnds(life)
        case .serverTick(let host, let life): host.tick(life)
        case .proxyTick(let life): proxy.tick(life)
        case .call(let body): body()
        }
    }

    // MARK: Telling

    package func tell(_ line: @autoclosure () -> String) {
        guard keepsStory else { return }
        story.append(tellsMessages ? "\(stamp) \(line())" : line())
    }

    private var stamp: String {
        let microseconds = (now.nanoseconds - 1_000_000_000) / 1_000
        let fraction = "\(microseconds % 1_000_000)"
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
    }

    func mix(_ value: UInt64) { traceHash = SeededRandom.mix(traceHash ^ value) }

    func mix(_ frame: Frame, from: Place, to: Place) {
        let header = frame.header
        mix(UInt64(bitPattern: now.nanoseconds) ^ UInt64(from.bit << 8 | to.bit))
        mix(UInt64(header.type.rawValue) << 32 ^ UInt64(frame.payload.count) ^ header.sequence.number << 40)
        mix(header.epoch.number ^ header.session.number << 20)
    }

    package func violate(_ what: String) {
        watch.violate(what)
        tell("VIOLATION \(what)")
    }
}
