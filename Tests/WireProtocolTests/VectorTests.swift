import Foundation
import Testing
import TupleCore

@testable import WireProtocol

@Suite("The vectors of the page (specs/0002, section 8)")
struct VectorTests {
    private static let session = SessionID(0x0123_4567_89AB_CDEF)

    /// The page's lines `name = hex`, in their order.
    private static let page: [(name: String, bytes: [UInt8])] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../specs/0002-wire-protocol.md").standardizedFileURL
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let begin = lines.firstIndex(of: "```vectors"), let end = lines[begin...].firstIndex(of: "```") else {
            return []
        }
        return lines[(begin + 1)..<end].compactMap { line in
            let parts = line.split(separator: " ")
            guard parts.count == 3, parts[1] == "=", parts[2].utf8.count.isMultiple(of: 2) else { return nil }
            let digits = parts[2].utf8.map { UInt8(String(UnicodeScalar($0)), radix: 16) ?? 0 }
            return (String(parts[0]), stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
        }
    }()

    private func bytes(_ name: String) throws -> [UInt8] {
        try #require(Self.page.first { $0.name == name }?.bytes, "the page has no vector \(name)")
    }

    private static func tuple(_ elements: String...) -> Tuple {
        guard let tuple = try? Tuple(elements: elements.map { [UInt8]($0.utf8) }, rule: .text) else {
            preconditionFailure("a sound tuple")
        }
        return tuple
    }

    private static func node(_ name: String) -> NodeID {
        guard let node = NodeID(name) else { preconditionFailure("a sound name") }
        return node
    }

    private static let user = Pair(key: tuple("user", "42"), value: tuple("ada", "lovelace"))
    private static let all: Term = .list([
        .null, .boolean(false), .boolean(true), .number("-1.50e3"), .string("é"), .list([]),
        .object([.init(name: [UInt8]("k".utf8), value: .list([.string("v")]))]),
    ])

    private static func request(_ sequence: UInt64, _ lowWater: UInt64, _ payload: [UInt8]) -> Frame {
        let header = Header(
            .request, session: session, sequence: .init(sequence), lowWater: RequestSequence(lowWater))
        return Frame(header, payload: payload)
    }

    private static func response(_ sequence: UInt64, _ flags: Header.Flags, _ answer: Answer) -> Frame {
        Frame(
            Header(.response, flags: flags, session: session, sequence: .init(sequence)), payload: answer.payloadBytes)
    }

    private static let put = Request(operatorName: "PUT", payload: .list([Term(user), .number("7")]))
    private static let get = Request(
        operatorName: "GET", payload: .list([.string("user,.*"), .list([.string(".*"), .string(".*")])]))
    private static let malformed = Request(
        operatorName: "PUT", payload: .object([.init(name: [UInt8]("pairs".utf8), value: .null)]))
    private static let rejected = Answer(rejected: [
        Rejected(item: Term(user), reason: .exists), Rejected(item: .number("7"), reason: .malformed),
    ])
    private static let firstPart = Answer(warning: "example", pairs: [user])
    private static let lastPart = Answer(pairs: [Pair(key: tuple("user", "é"), value: tuple(","))])
    private static let noList = Answer(status: .malformed, message: "the payload of PUT is no list")
    private static let hello = Hello(agent: "example/1")
    private static let welcome = Welcome(
        version: 1, maximumPayloadBytes: 16_777_216, maximumRequestsInFlight: 256)
    private static let refused = Refused(message: "service refused: 2 clients are connected, the limit is 2")
    private static let reply = OperatorReply(
        result: .object([
            .init(name: [UInt8]("active".utf8), value: .string("a")),
            .init(name: [UInt8]("epoch".utf8), value: .number("7")),
        ]))
    private static let register = Register(
        name: node("b"), address: "10.0.0.2:7410", rule: .text, activeEpoch: .zero,
        position: LogPosition(epoch: Epoch(7), index: LogIndex(42)),
        record: SwitchRecord(
            cluster: ClusterID(99), epoch: Epoch(7), version: 12, active: node("a"), inSync: [node("a"), node("b")],
            rule: .text), holdsCopy: true)
    private static let credit = Credit(bytes: 65_536)
    private static let change = SwitchRequest.changeInSync(epoch: Epoch(7), version: 12, inSync: [node("a")])
    private static let heartbeat = Heartbeat(index: LogIndex(42), digest: 0x1122_3344_5566_7788)
    private static let entry = LogEntry(
        position: LogPosition(epoch: Epoch(7), index: LogIndex(42)), time: 1_700_000_000_000,
        body: .update(
            .init(
                session: session, sequence: RequestSequence(1), lowWater: RequestSequence(1),
                effects: [.added(Pair(key: user.key, value: tuple("a,b", "c"))), .removed(tuple("old"))], outcome: [])))
    private static let append = Append(
        previous: LogPosition(epoch: Epoch(7), index: LogIndex(41)), commit: LogIndex(41), entries: [entry.encoded[...]]
    )

    private static let frames: [String: Frame] = [
        "hello": hello.frame, "welcome": welcome.frame, "refused": refused.frame,
        "request-put": request(1, 1, put.payloadBytes), "request-get": request(2, 2, get.payloadBytes),
        "request-malformed": request(3, 3, malformed.payloadBytes),
        "request-undecodable": request(4, 3, [3] + [UInt8]("PUT".utf8) + [7]),
        "response-rejected": response(1, .first, rejected),
        "response-first": response(2, [.first, .more], firstPart), "response-last": response(2, [], lastPart),
        "response-malformed": response(3, .first, noList),
        "operator-request": OperatorRequest(command: "status").frame(sequence: RequestSequence(1)),
        "operator-reply": reply.frame(sequence: RequestSequence(1)), "register": register.frame,
        "credit": credit.frame(
            for: Header(
                .request, session: session, sequence: RequestSequence(2), epoch: Epoch(7),
                connection: ConnectionIndicator(5))),
        "change-in-sync": change.frame(sequence: RequestSequence(3)),
        "heartbeat": heartbeat.frame(.heartbeat, epoch: Epoch(7), sequence: RequestSequence(5)),
        "append": append.frame(epoch: Epoch(7)),
    ]

    private static let tuples: [String: Tuple] = [
        "packed-plain": user.key, "packed-comma": tuple("a,b", "c"), "packed-single": tuple(","),
        "packed-long": tuple(String(repeating: "x", count: 127), ","),
    ]

    @Test("Every vector of the page is known here, and every one known here is on the page")
    func names() {
        let known =
            Self.frames.keys.map { "frame-\($0)" } + Self.tuples.keys + [
                "crc32c-check", "crc32c-zeros", "term-all", "term-bad-tag", "term-bad-count", "term-bad-number",
            ] + [0, 127, 128, 300, 16_383, 16_384, Int.max].map { "length-\($0)" }
        #expect(Self.page.map(\.name).sorted() == known.sorted())
    }

    @Test("Frames: encoding gives the page's bytes, decoding gives the frame")
    func frameBytes() throws {
        for (name, frame) in Self.frames {
            let bytes = try bytes("frame-\(name)")
            #expect(frame.encoded == bytes, "\(name)")
            var decoder = FrameDecoder()
            decoder.append(bytes)
            #expect(try decoder.next() == frame, "\(name)")
            #expect(decoder.pendingBytes == 0)
        }
    }

    @Test("Messages: decoding gives the page's values")
    func messages() throws {
        func payload(_ name: String) throws -> [UInt8] { [UInt8](try bytes("frame-\(name)")[Header.byteCount...]) }
        #expect(try Hello(payload("hello")[...]) == Self.hello)
        #expect(try Welcome(payload("welcome")[...]) == Self.welcome)
        #expect(try Refused(payload("refused")[...]) == Self.refused)
        #expect(try Request(decoding: payload("request-put")[...]) == Self.put)
        #expect(try Request(decoding: payload("request-get")[...]) == Self.get)
        #expect(try Request(decoding: payload("request-malformed")[...]) == Self.malformed)
        let undecodable = try payload("request-undecodable")
        #expect(throws: DecodingError.invalid("term tag")) { try Request(decoding: undecodable[...]) }
        #expect(try Answer(decoding: payload("response-rejected")[...]) == Self.rejected)
        #expect(try Answer(decoding: payload("response-first")[...]) == Self.firstPart)
        #expect(try Answer(decoding: payload("response-last")[...]) == Self.lastPart)
        #expect(try Answer(decoding: payload("response-malformed")[...]) == Self.noList)
        #expect(try OperatorRequest(payload("operator-request")[...]) == OperatorRequest(command: "status"))
        #expect(try OperatorReply(payload("operator-reply")[...]) == Self.reply)
        #expect(try Register(payload("register")[...]) == Self.register)
        #expect(try Credit(payload("credit")[...]) == Self.credit)
        #expect(try Heartbeat(payload("heartbeat")[...]) == Self.heartbeat)
        #expect(try Append(payload("append")[...]) == Self.append)
        #expect(try LogEntry(decoding: Append(payload("append")[...]).entries[0][...]) == Self.entry)
        let header = Header(.changeInSync, sequence: RequestSequence(3), epoch: Epoch(7))
        #expect(try SwitchRequest(Frame(header, payload: payload("change-in-sync"))) == Self.change)
    }

    @Test("Lengths, terms, packed tuples and checksums")
    func values() throws {
        for (name, bytes) in Self.page where name.hasPrefix("length-") {
            var writer = ByteWriter()
            writer.length(try #require(Int(name.dropFirst("length-".count))))
            #expect(writer.bytes == bytes, "\(name)")
            var reader = ByteReader(bytes)
            #expect("length-\(try reader.length())" == name)
        }
        var writer = ByteWriter()
        writer.term(Self.all)
        #expect(writer.bytes == (try bytes("term-all")))
        var reader = ByteReader(try bytes("term-all"))
        #expect(try reader.term() == Self.all)
        for (name, error): (String, DecodingError) in [
            ("tag", .invalid("term tag")), ("count", .truncated), ("number", .invalid("number")),
        ] {
            var reader = ByteReader(try bytes("term-bad-\(name)"))
            #expect(throws: error) { _ = try reader.term() }
        }
        for (name, tuple) in Self.tuples {
            #expect(tuple.packed == (try bytes(name)), "\(name)")
            #expect(Tuple(packed: try bytes(name)) == tuple, "\(name)")
        }
        for (name, subject) in [("check", [UInt8]("123456789".utf8)), ("zeros", [UInt8](repeating: 0, count: 32))] {
            let checksum = Frame.checksum(subject[...])
            #expect(withUnsafeBytes(of: checksum.littleEndian) { [UInt8]($0) } == (try bytes("crc32c-\(name)")))
        }
    }

    @Test("The page's limits are those in force")
    func limits() throws {
        let page = try String(
            contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(
                path: "../../specs/0002-wire-protocol.md"),
            encoding: .utf8)
        let limits = [
            ("maximumNodeNameBytes", Limits.maximumNodeNameBytes), ("maximumElementBytes", Limits.maximumElementBytes),
            ("maximumTupleBytes", Limits.maximumTupleBytes), ("maximumTupleElements", Limits.maximumTupleElements),
            ("maximumPairsPerRequest", Limits.maximumPairsPerRequest),
            ("maximumPayloadBytes", Limits.maximumPayloadBytes), ("preferredChunkBytes", Limits.preferredChunkBytes),
            ("directAnswerBytes", Limits.directAnswerBytes), ("answerWindowBytes", Limits.answerWindowBytes),
            ("maximumAnswerBytes", Limits.maximumAnswerBytes),
            ("maximumEntryBytes", Limits.maximumEntryBytes), ("maximumTermDepth", Limits.maximumTermDepth),
            ("maximumNumberBytes", Limits.maximumNumberBytes),
            ("maximumTermsPerPayload", Limits.maximumTermsPerPayload), ("maximumSessions", Limits.maximumSessions),
            ("maximumOutcomesPerSession", Limits.maximumOutcomesPerSession),
        ]
        for (name, value) in limits { #expect(page.contains("\n| \(name) | \(value) |\n"), "\(name)") }
        for type in FrameType.allCases { #expect(page.contains("\n| \(type.rawValue) | `\(type)` |"), "\(type)") }
    }
}
