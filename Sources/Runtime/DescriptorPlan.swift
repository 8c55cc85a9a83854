/// Who may have how many of a proxy's descriptors: what is important has its own, which clients and HTTP cannot take.
struct DescriptorPlan: Hashable {
    /// Servers' connections, those that have not registered among them.
    static let servers = 64
    static let operators = 64
    static let http = 256
    /// Connections that were told to end and wait for their peers to read that: clients beyond the limit, and HTTP.
    static let clientsToldAndClosed = 16
    static let httpToldAndClosed = HTTPServer.endingConnections
    /// The record's files, the log, listeners, the loop itself.
    static let files = 64
    /// Each further event loop.
    static let perThread = 16

    var clients: Int
    /// The default did not fit, and was lowered.
    var isLowered = false

    /// What all but clients may take.
    static func reserved(threads: Int) -> Int {
        servers + operators + http + clientsToldAndClosed + httpToldAndClosed + files + perThread * threads
    }

    /// - Parameters:
    ///   - clients: how many at once there may be.
    ///   - isGiven: somebody asked for that number; otherwise it is the default, which may be lowered.
    ///   - limit: descriptors of the process.
    /// - Throws: where it does not fit, with what to do.
    static func fit(
        clients: Int, isGiven: Bool, threads: Int, limit: Int
    ) throws(StartFailure) -> DescriptorPlan {
        let reserved = reserved(threads: threads)
        guard limit < reserved || limit - reserved < clients else { return DescriptorPlan(clients: clients) }
        let room = limit - reserved
        guard !isGiven, room > 0 else {
            throw StartFailure(
                description:
                    "--max-clients \(clients): with \(reserved) for servers, operators, HTTP and files that needs "
                    + "\(clients + reserved) file descriptors, and the process may have \(limit); raise the limit "
                    + "(ulimit -Hn)" + (room > 0 ? ", or give --max-clients \(room)" : ""))
        }
        return DescriptorPlan(clients: room, isLowered: true)
    }
}
