import Runtime
import Testing
import TupleCore
import WireProtocol

@testable import Benchmark

/// Requests, keys, mixes and settings of `twinspace-bench load`.
@Suite struct LoadTests {
    @Test(arguments: Operator.allCases)
    func aTemplateIsARequestLikeAnyOther(op: Operator) throws {
        let template = RequestTemplate(op, keyBytes: 16, valueBytes: 12)
        var frame = [UInt8](repeating: 0, count: template.bytes.count)
        frame.withUnsafeMutableBytes { output in
            guard let base = output.baseAddress else { return }
            template.write(to: base, session: 0xABCD, sequence: 987, lowWater: 900) { _ in 1_234_567 }
        }
        var decoder = FrameDecoder()
        decoder.append(frame)
        let decoded = try #require(try decoder.next())
        #expect(decoder.pendingBytes == 0)
        #expect(
            decoded.header
                == Header(
                    .request, session: SessionID(0xABCD), sequence: RequestSequence(987), lowWater: RequestSequence(900)
                ))
        let key = Term.list([.string("k000000001234567")])
        let payload: Term =
            switch op {
            case .get, .delete: .list([key, .string(".*")])
            case .put, .post: .list([.list([key, .list([.string("v00000000987")])])])
            }
        #expect(decoded.payload == Request(operatorName: op.rawValue, payload: payload).payloadBytes[...])
    }

    @Test(arguments: Operator.allCases)
    func aListBringsOrFindsNeighbours(op: Operator) throws {
        let template = RequestTemplate(op, keyBytes: 8, valueBytes: 6, pairs: 10)
        var frame = [UInt8](repeating: 0, count: template.bytes.count)
        frame.withUnsafeMutableBytes { output in
            guard let base = output.baseAddress else { return }
            template.write(to: base, session: 1, sequence: 42, lowWater: 1) { 12_340 + UInt64($0) }
        }
        var decoder = FrameDecoder()
        decoder.append(frame)
        let request = try Request(decoding: try #require(try decoder.next()).payload)
        let payload: Term =
            switch op {
            case .get, .delete: .list([.string("k001234."), .string(".*")])
            case .put, .post:
                .list((12_340..<12_350).map { .list([.list([.string("k00\($0)")]), .list([.string("v00042")])]) })
            }
        #expect(request == Request(operatorName: op.rawValue, payload: payload))
    }

    @Test func longElementsArePaddedWithZeros() throws {
        let template = RequestTemplate(.put, keyBytes: 40, valueBytes: 300)
        #expect(String(decoding: template.bytes, as: UTF8.self).contains("v" + String(repeating: "0", count: 299)))
    }

    @Test(arguments: [1, 2, 3, 10, 1_000, 4_096, 9_973] as [UInt64])
    func freshKeysComeOnceEach(count: UInt64) {
        let keys = KeySpace(count: count)
        let first = (0..<count).map { keys.fresh($0) }
        #expect(Set(first) == Set(0..<count))
        #expect(keys.fresh(count) == first[0])
        for random in [0, 1, UInt64.max / 2, .max] { #expect(keys.any(random) < count) }
    }

    @Test func freshKeysOfALargeSpaceDiffer() {
        let keys = KeySpace(count: 4_000_000_000)
        let some = Set((0..<100_000).map { keys.fresh(3_999_950_000 + $0) })
        #expect(some.count == 100_000)
        #expect(some.allSatisfy { $0 < 4_000_000_000 })
    }

    @Test func mixes() throws {
        let mix = try LoadMix(parsing: "put=1,GET=3")
        #expect(mix.operators == [.get, .put])
        #expect(mix.wheel.count == 1024)
        #expect(mix.wheel.count { $0 == .get } == 768)
        let rare = try LoadMix(parsing: "delete=1,post=1000000,get=0")
        #expect(rare.wheel.count { $0 == .delete } == 1)
        #expect(rare.wheel.count { $0 == .post } == 1023)
        #expect(throws: LoadMixError.operatorName("set")) { try LoadMix(parsing: "set=1") }
        #expect(throws: LoadMixError.operatorName("")) { try LoadMix(parsing: "") }
        #expect(throws: LoadMixError.weight("put")) { try LoadMix(parsing: "put") }
        #expect(throws: LoadMixError.weight("put=-1")) { try LoadMix(parsing: "put=-1") }
        #expect(throws: LoadMixError.twice(.put)) { try LoadMix(parsing: "put=1,put=2") }
        #expect(throws: LoadMixError.nothing) { try LoadMix(parsing: "put=0") }
    }

    private func settings(_ arguments: String...) throws(OptionsError) -> LoadSettings {
        guard case .values(let values) = try LoadSettings.specification.parse(arguments, environment: [:]) else {
            preconditionFailure("no help was asked for")
        }
        return try LoadSettings(values) { () throws(SystemError) in 6 }
    }

    @Test func defaultsAndPaces() throws {
        let usual = try settings()
        #expect(usual.connections == 50 && usual.depth == 1 && usual.pace == .batches && usual.seed == 7)
        #expect(usual.length == .seconds(10) && usual.warmup == .seconds(1))
        #expect(try settings("--refill", "sliding").pace == .sliding)
        #expect(try settings("--rate", "500").pace == .rate(500))
        #expect(try settings("--seconds", "0.5").length == .milliseconds(500))
        #expect(try settings("--operations", "10").warmup == .zero)
    }

    @Test(arguments: [
        ["--seconds", "x"], ["--seconds", "0"], ["--warmup", "-1"], ["--seconds", "nan"], ["--mix", "put"],
        ["--keys", "1000", "--key-bytes", "3"], ["--connections", "10000", "--depth", "1024"], ["--depth", "0"],
    ])
    func whatMakesNoSenseIsRefused(arguments: [String]) {
        #expect(throws: OptionsError.self) {
            guard case .values(let values) = try LoadSettings.specification.parse(arguments, environment: [:]) else {
                return
            }
            _ = try LoadSettings(values) { () throws(SystemError) in 1 }
        }
    }

    @Test func numbersAreRounded() {
        #expect(LoadReport.fixed(1.005, 1) == "1.0")
        #expect(LoadReport.fixed(0.06, 1) == "0.1")
        #expect(LoadReport.fixed(12.3456, 3) == "12.346")
        #expect(LoadReport.fixed(99.96, 0) == "100")
    }
}
