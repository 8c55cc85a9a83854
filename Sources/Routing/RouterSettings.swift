public import TupleCore

/// What an operator can set of a proxy, and its bounds.
public struct RouterSettings: Sendable {
    /// Clients at once; one more is sent "service refused".
    public var maximumClients: Int
    /// The identity of the cluster, should this proxy found one: drawn at random, never 0.
    public var newCluster: ClusterID

    public init(maximumClients: Int, newCluster: ClusterID) {
        precondition(newCluster != .none, "a cluster's identity is never 0")
        self.maximumClients = maximumClients
        self.newCluster = newCluster
    }

    /// How often ``Event/tick`` comes.
    public static let tick = Duration.milliseconds(10)
    /// Requests of one client on their way at once; it is not read from while it has as many.
    public static let maximumRequestsPerClient = 1_024
    /// Their bytes.
    static let maximumBytesPerClient = 32 * 1_048_576
    /// The bytes of all requests on their way; one more is answered `unavailable`.
    static let maximumBytes = 1_024 * 1_048_576
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
