import Replication
import Routing
import TupleCore
package import WireProtocol

/// The one who holds an end of a connection.
enum Party {
    case serverToProxy(ServerHost)
    case serverToPeer(ServerHost, PeerID)
    case proxyToServer(ServerLink)
    case proxyToClient(ConnectionIndicator)
    case proxyToOperator(OperatorLink)
    case client(any ClientEnd)

    /// Whether what arrives together is handed over together.
    var takesRuns: Bool {
        switch self {
        case .serverToProxy, .proxyToServer, .proxyToClient: true
        case .serverToPeer, .proxyToOperator, .client: false
        }
    }

    /// The server it is on, if any.
    var server: ServerHost? {
        switch self {
        case .serverToProxy(let host), .serverToPeer(let host, _): host
        case .proxyToServer, .proxyToClient, .proxyToOperator, .client: nil
        }
    }
}

/// A client's, or an operator's, end of a connection to the proxy.
package protocol ClientEnd: AnyObject {
    /// The proxy has accepted the connection.
    func opened()
    func received(_ frame: Frame)
    func closed()
}

/// A connection: what is on its way in both directions, in order.
final class Link {
    enum Item {
        case opened
        case frame(Frame)
        case closed
    }

    private(set) var parties: [Party]
    let places: [Place]
    /// What is on its way from the party of the same number, and when it arrives.
    var queues: [[(item: Item, arrival: Instant)]] = [[], []]
    /// Whether the party of that number has closed it, or has lost it.
    var isEnded = [false, false]
    /// Whether that party's end went without a word to the other: what arrives there is answered by a reset.
    var isLostSilently = [false, false]
    /// Whether nothing of what that party sends arrives, though other connections go on.
    var isSilenced = [false, false]
    /// Whether an arrival is in the queue of events.
    var isScheduled = [false, false]
    /// When that party sent something last.
    var lastSent: [Instant?] = [nil, nil]
    var bytes = [0, 0]
    /// The proxy wants to be told when no more than so many of those that it sent are on their way.
    var reportedRest: Int?
    var wasFull = [false, false]

    init(_ first: Party, _ second: Party, _ places: [Place]) {
        parties = [first, second]
        self.places = places
    }

    func dissolve() {
        parties = []
        queues = [[], []]
    }
}

/// One end of a link.
struct LinkEnd {
    let link: Link
    let side: Int
}

/// A machine, as cuts name it: the proxy's, a server's, or all clients'.
package enum Place: Hashable, Sendable {
    case proxy
    case server(Int)
    case clients

    var bit: Int {
        switch self {
        case .proxy: 0
        case .clients: 1
        case .server(let number): 2 + number
        }
    }
}

/// Directions in which nothing arrives. What is sent waits, as TCP makes it wait.
struct CutMatrix {
    private var bits: [UInt16] = Array(repeating: 0, count: 16)

    var isEmpty: Bool { bits.allSatisfy { $0 == 0 } }

    func contains(from: Place, to: Place) -> Bool { bits[from.bit] & (1 << UInt16(to.bit)) != 0 }

    mutating func set(from: Place, to: Place, _ isCut: Bool) {
        if isCut { bits[from.bit] |= 1 << UInt16(to.bit) } else { bits[from.bit] &= ~(1 << UInt16(to.bit)) }
    }
}
