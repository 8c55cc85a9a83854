import PythonRegex
import TestSupport
import Testing
import TupleCore

@testable import TupleStore

/// Searches in slices: the same is found, each pair once, however they are cut.
@Suite struct SearchCursorTests {
    private final class Sink: PairSink {
        var pairs: [Pair] = []
        /// Takes so many pairs, then says once that there is no room.
        var room = Int.max

        func take(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
            guard room > 0 else { return false }
            room -= 1
            pairs.append(Pair(key: Tuple(trustedPacked: key), value: Tuple(trustedPacked: value)))
            return true
        }
    }

    private static func space(_ random: inout SeededRandom) -> Space {
        var space = Space(rule: .text)
        for number in 0..<Int.random(in: 1...800, using: &random) {
            let word = ["ab", "needle", "zz", "k"].randomElement(using: &random)!
            let value = Int.random(in: 0..<200, using: &random) == 0 ? String(repeating: word, count: 900) : word
            space.take(.added(Pair(key: tuple("\(word)\(number)", "x"), value: tuple(value))))
        }
        return space
    }

    @Test func slicesFindWhatOneSearchFinds() throws {
        let seed = testSeed()
        var random = SeededRandom(seed: seed)
        let matcher = Matcher()
        let patterns: [Term] = [
            .string(".*"), .string("k.*"), .string(".*needle.*"), .string("ab[0-9]*7,x"), .string("zz1,x"),
            .list([.string("k1.*"), .string("x")]), .list([.string("k17"), .string("x")]), .string("(?i).*NEEDLE.*1.*"),
        ]
        for round in 0..<80 {
            let space = Self.space(&random)
            let term = expressions(patterns.randomElement(using: &random)!)
            var search = try matcher.get(term)
            if Int.random(in: 0..<5, using: &random) == 0 {
                search = search.restricted(to: space.pairs.map(\.key).filter { _ in Bool.random(using: &random) })
            }
            let whole = matcher.run(search, in: space, work: .max)
            let sink = Sink()
            var cursor = SearchCursor(work: Search.Work.request)
            let slice = UInt64([1, 7, 30, 200, 5_000].randomElement(using: &random)!)
            var slices = 0
            search: while true {
                sink.room = Bool.random(using: &random) ? Int.random(in: 1...5, using: &random) : .max
                slices += 1
                try #require(slices < 20_000, "seed \(seed), round \(round)")
                switch matcher.run(search, in: space, from: &cursor, slice: slice, into: sink) {
                case .slice, .room: continue
                case .ended(let ending):
                    try #require(ending == .complete, "seed \(seed), round \(round)")
                    break search
                }
            }
            try #require(sink.pairs == whole.pairs, "seed \(seed), round \(round), slice \(slice)")
            try #require(cursor.matched == whole.pairs.count)
            try #require(cursor.examined == whole.examined, "seed \(seed), round \(round), slice \(slice)")
        }
    }

    /// A step costs no more than its slice, but for one pair that takes longer; one that takes much longer is too costly.
    @Test func aStepIsBounded() throws {
        var space = Space(rule: .text)
        for number in 0..<50 { space.take(.added(Pair(key: tuple("a\(number)"), value: tuple("v")))) }
        space.take(.added(Pair(key: tuple("b"), value: tuple(String(repeating: "a", count: 4_000)))))
        space.take(.added(Pair(key: tuple("c"), value: tuple("v"))))
        let matcher = Matcher()
        let search = try matcher.get(expressions(.string(".*"), .string("v|(?:a|a?)+b")))
        let sink = Sink()
        var cursor = SearchCursor(work: Search.Work.request)
        var ending: SearchResult.Ending?
        var slices = 0
        while ending == nil, slices < 1_000 {
            let before = cursor.work
            if case .ended(let end) = matcher.run(search, in: space, from: &cursor, slice: 50, into: sink) {
                ending = end
            }
            #expect(before - cursor.work <= Search.Work.longestStep)
            slices += 1
        }
        #expect(ending == .tooCostly)
        #expect(sink.pairs.count == 50)
        #expect(slices >= 5)
        #expect(Search.Work.request - cursor.work <= Search.Work.longestStep + 10_000)
    }

    @Test func expressionsAreCompiledInSteps() throws {
        let matcher = Matcher()
        let list = Term.list((0..<500).map { .string("[a-z]*x\($0)") })
        var compilation = try SearchCompilation(expressions(list), isRemoval: false)
        var budget: UInt64 = 10_000_000
        var steps = 0
        var search: Search?
        while search == nil, steps < 1_000 {
            steps += 1
            let ending = try compilation.run(matcher, slice: 20_000, budget: &budget, cancellation: nil)
            if case .done(let done)? = ending { search = done }
        }
        #expect(steps > 20)
        #expect(budget < 10_000_000)
        var little: UInt64 = 1_000
        compilation = try SearchCompilation(expressions(.string("[a-z]*y")), isRemoval: false)
        guard
            case .failed(.tooCostly)? = try compilation.run(matcher, slice: 20_000, budget: &little, cancellation: nil)
        else {
            Issue.record("compiling cost nothing")
            return
        }
    }

    @Test func aListThatIsLongerThanAnyTupleIsNotCompiled() throws {
        let matcher = Matcher()
        let list = Term.list((0..<Limits.maximumTupleElements + 1).map { .string("[\($0)") })
        #expect(
            throws: ExpressionError(
                explanation:
                    "the key expression matches nothing: it is a list of 4097, and no tuple has more than 4096 elements"
            )
        ) { try matcher.get(expressions(list)) }
    }
}
