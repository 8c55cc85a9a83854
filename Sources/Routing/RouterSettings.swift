public import TupleCore

/// What an operator can set of a proxy, and its bounds.
public struct RouterSettings: Sendable {
    /// Clients at once; one more is sent "service refused".
    public var maximumClients: Int
    /// The identity of the cluster, should this proxy found one: drawn at random, never 0.
    public var newCluster: ClusterID
    public var flow: FlowLimits

    public init(maximumClients: Int, newCluster: ClusterID, flow: FlowLimits = .standard) {
        precondition(newCluster != .none, "a cluster's identity is never 0")
        precondition(
            flow.reportBytes <= flow.unreadBytes,
            "a client that may not be sent more before it has read, with \(flow.unreadBytes) bytes unread, is asked about \(flow.reportBytes) already"
        )
        self.maximumClients = maximumClients
        self.newCluster = newCluster
        self.flow = flow
    }

    /// How often ``Event/tick`` comes.
    public static let tick = Duration.milliseconds(10)
    /// Requests of one client on their way at once; it is not read from while it has as many.
    public static let maximumRequestsPerClient = 1_024
    /// Connections of operators at once; one more is refused.
    public static let maximumOperators = 64
    /// Commands of operators that are carried out in one tick; `status` does not count.
    static let operatorCommandsPerTick = 8
    /// Commands of one operator that may wait; with more it is dismissed.
    static let waitingOperatorCommands = 16
    /// Others who ask for the status at once; one more is told what was known last.
    static let maximumStatusTokens = 256
    /// The servers are asked for their status so often at most.
    static let statusInterval = Duration.milliseconds(50)
    /// A client that has asked nothing for so long may have to give way, when all slots are taken.
    static let idleTime = Duration.seconds(30)
    /// A connection that has not said hello need not give way before, unless its source has more than its share.
    static let leastGreetingTime = Duration.milliseconds(500)
    /// Connections of the source with most that are looked at for an idle one, for each newcomer.
    static let idleLooks = 32
    /// A request that was in flight at so many lost servers in a row is passed on last, and alone.
    static let suspectLosses = 2
    /// How long others wait while a suspect request is to be alone; twice as long with each further loss.
    static let suspectTime = Duration.milliseconds(250)
    /// It is doubled so often at most.
    static let suspectDoublings = 5
    /// How long a request that nobody waits for any more may still be carried out, as far as anybody is blamed.
    static let ghostTime = Duration.seconds(5)
    /// Answers that the proxy gives itself, to requests that are given up, in one turn.
    static let givenUpPerTurn = 1_024
    /// Connections that are ended in one tick for saying nothing.
    static let dismissedPerTick = 256
    /// Gone connections that are forgotten in one tick.
    static let forgottenPerTick = 4_096
    /// How long a request waits for an active server.
    static let parkingTime = Duration.seconds(10)
    /// How long a request that an active server has may go without an answer.
    static let servingTime = Duration.seconds(120)
    /// How often waiting requests are looked through for those whose time is over.
    static let sweep = Duration.milliseconds(250)
    /// How long a silent active server has for the one direct question before another takes over.
    static let probeTime = Duration.milliseconds(100)
    /// The least time that it has for it, however long nothing has been heard of it.
    static let leastProbeTime = Duration.milliseconds(40)
    /// How long a server has to be silent before another takes over, as a multiple of what makes it suspect at the least.
    static let leastSilence = (numerator: 3, denominator: 2)
    /// After this part of the silence that makes it suspect it is asked already, before another wants to take over.
    static let askedAheadDivisor = 2
    /// A server that is silent for so many times as long as makes it suspect has lost its connection.
    static let silentTimeouts = 3
    /// A tick that comes so many times as late as it should shows that this process was itself stopped.
    static let stallTicks = 6
    /// How long a connection may stand without a hello or a registration.
    static let greetingTime = Duration.seconds(5)
    /// How long status waits for the servers' words.
    static let statusTime = Duration.milliseconds(500)
    /// How long the service may be without an active server before operators are alerted.
    static let noActiveTime = Duration.seconds(1)
    /// How long a shutdown waits for the servers.
    static let shutdownTime = Duration.seconds(10)
}
