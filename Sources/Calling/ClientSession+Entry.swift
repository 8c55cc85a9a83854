import TupleCore
import WireProtocol

extension ClientSession {
    /// A request that has no answer yet.
    struct Entry {
        var payload: [UInt8]
        var flags: Header.Flags
        var isRead: Bool
        var deadline: Instant
        /// On any connection.
        var wasSent = false
        /// On how many connections.
        var timesSent = 0
        /// On this connection.
        var isInFlight = false
        /// What has come of the answer on this connection.
        var parts: Answer?
        /// How many parts that are, and how many there ever were.
        var partCount = 0
        var mostParts = 0

        mutating func isSent() {
            wasSent = true
            timesSent += 1
            isInFlight = true
        }

        /// Takes a part of the answer in.
        ///
        /// - Parameter deadline: the entry's new one, where the part is one that had not come before.
        /// - Returns: whether the answer is whole.
        /// - Complexity: O(part), amortized.
        mutating func take(_ part: Answer, isFirst: Bool, isLast: Bool, deadline: Instant) -> Bool {
            if isFirst {
                parts = part
                partCount = 1
            } else if parts != nil {
                parts?.append(part)
                partCount += 1
            } else {
                // The rest of an answer whose beginning went to a connection that is gone.
                return false
            }
            guard !isLast else { return true }
            // Only what is new counts: an answer that breaks off at the same place again and again is none.
            if partCount > mostParts {
                mostParts = partCount
                self.deadline = deadline
            }
            return false
        }

        /// The answer that has come. A proxy says `unavailable` of what it was sent on this connection, and cannot know of
        /// an earlier one: on that the request may have been carried out.
        var settled: Answer {
            guard let parts else { preconditionFailure("an answer has at least one part") }
            guard parts.status == .unavailable, !isRead, timesSent > 1 else { return parts }
            return Answer(
                status: .unknown,
                message: "\(parts.message); but it was sent before, and may have been carried out then")
        }
    }
}
