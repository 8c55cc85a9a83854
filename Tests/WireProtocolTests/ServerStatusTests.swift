import Testing
import TupleCore

@testable import WireProtocol

@Suite("A server's status and what was added to it (specs/0002, section 5.3)")
struct ServerStatusTests {
    private func status(_ turns: ServerStatus.Turns?) -> ServerStatus {
        ServerStatus(
            role: "active", state: "serving", position: .zero, lag: 0, pairs: 3, digest: 9, followers: [], turns: turns)
    }

    @Test("The longest turns come after the fields of release 0.1, whose payload is as it was without them")
    func turns() throws {
        let turns = ServerStatus.Turns(longestMilliseconds: 80, recentMilliseconds: 7)
        let old = status(nil).frame(sequence: RequestSequence(1)).payload
        let new = status(turns).frame(sequence: RequestSequence(1)).payload
        #expect(new.starts(with: old) && new.count > old.count)
        #expect(try ServerStatus(new).turns == turns)
        #expect(try ServerStatus(old) == status(nil))
        #expect(throws: DecodingError.self) { try ServerStatus(new.dropLast()) }
    }
}
