import Testing

@testable import Simulation

/// The judge is judged: by histories made by hand, of which everybody can see whether one space could have told them.
@Suite struct LinearizabilityTests {
    typealias Kind = Operation.Kind

    private func op(
        _ client: Int, _ kind: Kind, _ ending: Operation.Ending, _ from: Int64, _ to: Int64
    ) -> Operation {
        Operation(client: client, kind, ending, from: from, to: to)
    }

    private func pairs(_ values: UInt32...) -> Operation.Ending {
        var vector = SpaceVector()
        for (key, value) in values.enumerated() { vector[key] = value }
        return .pairs(vector)
    }

    private let ok = Operation.Ending.rejected(0)
    private let given = Operation.Ending.rejected(1)
    private func put(_ key: Int, _ value: UInt32) -> Kind { .put([.init(key, value)]) }
    private func post(_ key: Int, _ value: UInt32) -> Kind { .post([.init(key, value)]) }

    private func isGood(_ history: [Operation]) -> Bool { Linearizability.judge(history) == .linearizable }
    private func isBad(_ history: [Operation]) -> Bool {
        if case .violated(let operations) = Linearizability.judge(history) { return !operations.isEmpty }
        return false
    }

    @Test func oneAfterAnother() {
        #expect(isGood([]))
        #expect(
            isGood([
                op(0, put(0, 1), ok, 0, 1), op(1, .get(1), pairs(1), 2, 3), op(0, post(0, 2), ok, 4, 5),
                op(1, put(0, 3), given, 6, 7), op(0, .delete(1), pairs(2), 8, 9), op(1, .get(0xFF), pairs(), 10, 11),
            ]))
    }

    @Test func aLostWrite() {
        #expect(isBad([op(0, put(0, 1), ok, 0, 1), op(1, .get(1), pairs(), 2, 3)]))
    }

    @Test func aStaleRead() {
        #expect(
            isBad([
                op(0, put(0, 1), ok, 0, 1), op(0, post(0, 2), ok, 2, 3), op(1, .get(1), pairs(1), 4, 5),
            ]))
    }

    @Test func aReadMaySeeEitherWhileAWriteIsOnItsWay() {
        for seen in [pairs(), pairs(1)] {
            #expect(isGood([op(0, put(0, 1), ok, 0, 10), op(1, .get(1), seen, 2, 3)]))
        }
    }

    /// Once one reader has seen it, nobody may miss it.
    @Test func readsDoNotGoBack() {
        #expect(
            isBad([
                op(0, put(0, 1), ok, 0, 10), op(1, .get(1), pairs(1), 2, 3), op(2, .get(1), pairs(), 4, 5),
            ]))
    }

    @Test func onlyOneOfTwoPutsIsTheFirst() {
        #expect(isBad([op(0, put(0, 1), ok, 0, 10), op(1, put(0, 2), ok, 0, 10)]))
        #expect(isGood([op(0, put(0, 1), ok, 0, 10), op(1, put(0, 2), given, 0, 10)]))
    }

    /// A DELETE that comes a second time gives the pair back twice.
    @Test func anEffectThatCameTwice() {
        #expect(
            isBad([
                op(0, put(0, 1), ok, 0, 1), op(0, .delete(1), pairs(1), 2, 3), op(1, .delete(1), pairs(1), 4, 5),
            ]))
        // A replayed PUT, after somebody else has deleted what it put.
        #expect(
            isBad([
                op(0, put(0, 1), ok, 0, 1), op(1, .delete(1), pairs(1), 2, 3), op(1, .get(1), pairs(1), 4, 5),
            ]))
    }

    @Test func aListTakesEffectAsOne() {
        let list = Kind.put([.init(0, 1), .init(1, 2)])
        #expect(isBad([op(0, list, ok, 0, 10), op(1, .get(3), pairs(1, 0), 2, 3)]))
        #expect(isGood([op(0, list, ok, 0, 10), op(1, .get(3), pairs(1, 2), 2, 3)]))
        // Of a list whose second key was there, that item is given back, and the first one counts.
        #expect(
            isGood([
                op(0, put(1, 9), ok, 0, 1), op(0, list, .rejected(2), 2, 3), op(1, .get(3), pairs(1, 9), 4, 5),
            ]))
    }

    /// A key that is given twice in a list: PUT takes the first, POST the last.
    @Test func aKeyTwiceInAList() {
        let twice: [Operation.Item] = [.init(0, 1), .init(0, 2)]
        #expect(isGood([op(0, .put(twice), .rejected(2), 0, 1), op(0, .get(1), pairs(1), 2, 3)]))
        #expect(
            isGood([
                op(0, put(0, 7), ok, 0, 1), op(0, .post(twice), ok, 2, 3), op(0, .get(1), pairs(2), 4, 5),
            ]))
    }

    @Test func theUnknownMayHaveHappenedLateOrNever() {
        let unknown = op(0, put(0, 1), .unknown, 0, 5)
        #expect(isGood([unknown, op(1, .get(1), pairs(), 6, 7)]))
        #expect(isGood([unknown, op(1, .get(1), pairs(1), 6, 7)]))
        #expect(isGood([unknown, op(1, .get(1), pairs(), 6, 7), op(1, .get(1), pairs(1), 8, 9)]))
        #expect(isBad([unknown, op(1, .get(1), pairs(1), 6, 7), op(1, .get(1), pairs(), 8, 9)]))
        // Not before it was sent.
        #expect(isBad([op(1, .get(1), pairs(1), 0, 1), op(0, put(0, 1), .unknown, 2, 3)]))
    }

    @Test func whatWasNotDoneLeavesNoTrace() {
        #expect(isBad([op(0, put(0, 1), .notDone, 0, 5), op(1, .get(1), pairs(1), 6, 7)]))
        #expect(isGood([op(0, put(0, 1), .notDone, 0, 5), op(1, .get(1), pairs(), 6, 7)]))
    }

    /// The parts of the space are judged apart where nothing joins them, and together where something does.
    @Test func keysAreJudgedApartOnlyWhereNothingJoinsThem() {
        let apart = [op(0, put(0, 1), ok, 0, 1), op(1, put(1, 2), ok, 2, 3)]
        #expect(Linearizability.parts(of: apart).count == 2)
        #expect(Linearizability.parts(of: apart + [op(2, .get(3), pairs(1, 2), 4, 5)]).count == 1)
        // Each key by itself would be fine; together they show two orders at once.
        #expect(
            isBad([
                op(0, put(0, 1), ok, 0, 20), op(1, put(1, 2), ok, 0, 20), op(2, .get(3), pairs(1, 0), 2, 10),
                op(3, .get(3), pairs(0, 2), 2, 10),
            ]))
    }

    /// Histories that one space told are always found good, whatever overlaps; with one answer falsified, a great part is
    /// found bad.
    @Test func randomHistories() {
        var random = SeededRandom(seed: 11)
        var bad = 0
        for _ in 0..<300 {
            var state = SpaceVector()
            var history: [Operation] = []
            for number in 0..<40 {
                let moment = Int64(number * 10)
                let kind: Kind =
                    switch random.below(4) {
                    case 0: .put([.init(random.below(3), UInt32(number + 1))])
                    case 1: .post([.init(random.below(3), UInt32(number + 1))])
                    case 2: .delete(1 << UInt8(random.below(3)))
                    default: .get(0xFF)
                    }
                let ending = SpaceModel.apply(kind, to: &state)
                history.append(
                    op(
                        number % 4, kind, random.once(in: 20) ? .unknown : ending, moment - Int64(random.below(40)),
                        moment + Int64(random.below(40))))
            }
            #expect(isGood(history))
            let index = random.below(history.count)
            if case .pairs(var vector) = history[index].ending {
                vector[random.below(3)] = 999
                history[index].ending = .pairs(vector)
                #expect(!isGood(history), "nobody ever put 999")
                bad += 1
            }
        }
        #expect(bad > 50)
    }
}
