import TestSupport
import Testing
import TupleCore
import WireProtocol

@testable import Routing

@Suite struct RequestsInFlightTests {
    private static func frame(_ sequence: Int, _ bytes: Int) -> Frame {
        Frame(
            Header(.request, session: SessionID(7), sequence: RequestSequence(UInt64(sequence))),
            payload: [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: bytes))
    }

    /// Held against a dictionary: requests in any order of numbers, answered in any order.
    @Test func itKeepsWhatHasNoAnswer() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        for round in 0..<60 {
            var requests = RequestsInFlight()
            var model: [Int: Int] = [:]
            var next = 1
            for turn in 0..<300 {
                if Bool.random(using: &random) || model.isEmpty {
                    let jump = round % 3 == 0 ? Int.random(in: 1...5, using: &random) : 1
                    let sequence = round % 5 == 0 ? Int.random(in: 1...400, using: &random) : next
                    next += jump
                    guard model[sequence] == nil else { continue }
                    let bytes = Int.random(in: 0...(turn % 50 == 0 ? 40_000 : 60), using: &random)
                    model[sequence] = bytes
                    requests.append(
                        Self.frame(sequence, bytes), since: Instant(nanoseconds: 0))
                } else if let sequence = model.keys.sorted().randomElement(using: &random) {
                    let place = requests.place(of: SessionID(7), RequestSequence(UInt64(sequence)))
                    #expect(
                        place.map { requests.frame(at: $0) } == Self.frame(sequence, model[sequence] ?? 0), "\(seed)")
                    if let place { requests.remove(at: place) }
                    model[sequence] = nil
                    #expect(requests.place(of: SessionID(7), RequestSequence(UInt64(sequence))) == nil, "\(seed)")
                }
                #expect(requests.count == model.count, "\(seed)")
                #expect(requests.places.count == model.count)
                #expect(requests.span >= model.count)
                #expect(requests.bytes >= model.values.reduce(0, +))
                #expect(requests.isEmpty == model.isEmpty)
                let frames = requests.places.map { requests.frame(at: $0) }
                #expect(
                    Set(frames) == Set(model.map { Self.frame($0.key, $0.value) }), "seed \(seed)")
            }
        }
    }

    /// A number may come again once it was answered, also while an older request is not.
    @Test func anAnsweredNumberMayComeAgain() throws {
        var requests = RequestsInFlight()
        for sequence in [1, 2, 2] {
            requests.append(
                Self.frame(sequence, 10), since: Instant(nanoseconds: 0))
            if sequence == 2, requests.span == 2 {
                requests.remove(at: try #require(requests.place(of: SessionID(7), RequestSequence(2))))
                #expect(requests.place(of: SessionID(7), RequestSequence(2)) == nil)
            }
        }
        requests.remove(at: try #require(requests.place(of: SessionID(7), RequestSequence(2))))
        #expect(requests.count == 1)
        requests.remove(at: try #require(requests.place(of: SessionID(7), RequestSequence(1))))
        #expect(requests.isEmpty && requests.bytes == 0)
    }
}

extension RequestsInFlight {
    fileprivate mutating func append(_ frame: Frame, since: Instant) {
        frame.payload.withUnsafeBytes { append(frame.header, $0, since: since) }
    }
}
