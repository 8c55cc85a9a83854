import Foundation
import Journal
import Testing
import TupleCore
import TupleStore
import WireProtocol

@testable import Replication

/// What earlier releases wrote, as `Tests/releases` keeps it (specs/releases.md): it is read for ever.
@Suite("What earlier releases wrote is read")
struct ReleaseTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../releases").standardizedFileURL
    static let releases = ["0.1"]

    /// What the release answered before its processes ended.
    private static func expected(_ release: String) throws -> Term {
        try JSON.parse([UInt8](Data(contentsOf: folder.appending(path: "\(release)/expected.json"))))
    }

    private static func strings(_ term: Term?) -> [[UInt8]] {
        guard case .list(let items)? = term else { return [] }
        return items.compactMap { if case .string(let bytes) = $0 { bytes } else { nil } }
    }

    private static func number(_ term: Term?) -> UInt64? {
        if case .number(let text)? = term { UInt64(text) } else { nil }
    }

    /// A recorded data directory, with the zeros that were left out at the files' ends.
    private static func storage(_ release: String, _ name: String) throws -> InMemoryStorage {
        let storage = InMemoryStorage()
        guard case .object(let lengths)? = try expected(release)[member: "lengths"] else { return storage }
        for entry in lengths {
            let path = String(decoding: entry.name, as: UTF8.self)
            guard path.hasPrefix("\(name)/"), let length = number(entry.value) else { continue }
            let bytes = [UInt8](try Data(contentsOf: folder.appending(path: "\(release)/\(path)")))
            let file = try storage.create(String(path.dropFirst(name.count + 1)), zeroedBytes: Int(length))
            try file.write(bytes.span.bytes, at: 0)
            try file.sync()
        }
        try storage.syncDirectory()
        return storage
    }

    @Test("A server's data directory", arguments: releases, ["a", "b"])
    func dataDirectoriesAreRead(release: String, name: String) throws {
        let expected = try Self.expected(release)
        let copy = try DurableCopy.open(storage: try Self.storage(release, name), rule: .text)
        #expect(copy.damage.isEmpty && copy.mended.isEmpty && !copy.isSuspect)
        #expect(copy.record?.epoch.number == Self.number(expected[member: "epoch"]))
        #expect(copy.state.position.index.number == Self.number(expected[member: "index"]))
        #expect(copy.state.sessions.horizon == .unknown, "nobody knows what release 0.1 has forgotten")

        var found: [Term] = []
        copy.state.space.forEachPair { pair in
            let tuples = [pair.key, pair.value].map { Term.list($0.elements.map { .string([UInt8]($0)) }) }
            found.append(.list(tuples))
            return true
        }
        guard case .list(let pairs)? = expected[member: "pairs"] else {
            Issue.record("no pairs were recorded")
            return
        }
        #expect(found.count == pairs.count && Set(found) == Set(pairs))

        guard case .object(let outcomes)? = expected[member: "outcomes"] else {
            Issue.record("no outcomes were recorded")
            return
        }
        for outcome in outcomes {
            let operation = try #require(OperationID(String(decoding: outcome.name, as: UTF8.self)))
            guard case .done = copy.state.sessions.standing(of: operation.sequence, in: operation.session) else {
                Issue.record("the outcome of \(operation.text) is lost")
                continue
            }
        }
    }

    @Test("The frames of each link", arguments: releases)
    func framesAreDecoded(release: String) throws {
        var types: Set<FrameType> = []
        let frames = Self.folder.appending(path: "\(release)/frames")
        for file in try FileManager.default.contentsOfDirectory(at: frames, includingPropertiesForKeys: nil) {
            var decoder = FrameDecoder()
            decoder.append([UInt8](try Data(contentsOf: file)))
            while let frame = try decoder.next() {
                try Self.decode(frame)
                types.insert(frame.type)
            }
            #expect(decoder.pendingBytes == 0, "\(file.lastPathComponent) ends in the middle of a frame")
        }
        let everyDay: Set<FrameType> = [
            .hello, .welcome, .request, .response, .operatorRequest, .operatorReply, .register, .view, .takeOver,
            .changeInSync, .switchReply, .statusQuery, .statusReply, .holding, .proxyHeartbeat, .proxyHeartbeatReply,
            .peerHello, .peerWelcome, .heartbeat, .heartbeatReply, .append, .appendReply, .snapshotChunk,
        ]
        #expect(types.isSuperset(of: everyDay), "not recorded: \(everyDay.subtracting(types))")
    }

    private static func decode(_ frame: Frame) throws {
        let payload = frame.payload
        switch frame.type {
        case .hello: _ = try Hello(payload)
        case .welcome: _ = try Welcome(payload)
        case .refused: _ = try Refused(payload)
        case .request: _ = try Request(decoding: payload)
        case .response: _ = try Answer(decoding: payload)
        case .operatorRequest: _ = try OperatorRequest(payload)
        case .operatorReply: _ = try OperatorReply(payload)
        case .register: _ = try Register(payload)
        case .registerRefused: _ = try RegisterRefused(payload)
        case .view: _ = try View(payload)
        case .takeOver, .changeInSync: _ = try SwitchRequest(frame)
        case .switchReply: _ = try SwitchReply(payload)
        case .statusReply: _ = try ServerStatus(payload)
        case .proxyHeartbeat: _ = try ProxyHeartbeat(payload)
        case .peerHello: _ = try PeerHello(payload)
        case .peerRefused: _ = try PeerRefused(payload)
        case .heartbeat, .heartbeatReply: _ = try Heartbeat(payload)
        case .append:
            for entry in try Append(payload).entries { _ = try LogEntry(decoding: entry) }
        case .appendReply: _ = try AppendReply(payload)
        case .snapshotChunk:
            // A chunk alone is checked as far as its first byte; whole snapshots are read above.
            #expect(payload.first.map { $0 <= 3 } == true)
        default: #expect(payload.isEmpty, "frame type \(frame.type) has a payload that nothing reads")
        }
    }
}

extension Term {
    fileprivate subscript(member name: String) -> Term? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.elementsEqual(name.utf8) }?.value
    }
}
