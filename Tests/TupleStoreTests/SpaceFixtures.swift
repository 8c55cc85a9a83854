import Testing
import TupleCore

@testable import TupleStore

/// A tuple of the elements; the rule is the loose one, so that a fixture may hold anything.
func tuple(_ elements: String...) -> Tuple { tuple(elements) }

func tuple(_ elements: [String]) -> Tuple {
    do { return try Tuple(elements: elements.map { [UInt8]($0.utf8) }, rule: .text) } catch {
        preconditionFailure("\(elements) are no tuple: \(error)")
    }
}

/// A pair as a payload has it.
func item(_ key: [String], _ value: [String]) -> Term { Term(Pair(key: tuple(key), value: tuple(value))) }

/// The payload of GET or DELETE.
func expressions(_ key: Term, _ value: Term = .string(".*")) -> Term { .list([key, value]) }

extension Space {
    /// A space of `pairs`, each a key and a value of one element or more, written with blanks between them.
    init(_ pairs: KeyValuePairs<String, String>, rule: ElementRule = .text) {
        self.init(rule: rule)
        for (key, value) in pairs {
            let pair = Pair(
                key: tuple(key.split(separator: " ").map(String.init)),
                value: tuple(value.split(separator: " ").map(String.init)))
            precondition(apply(.added(pair)), "a fixture has no key twice")
        }
    }

    /// Carries a decision out, as every copy does.
    mutating func carryOut(_ decision: Decision) {
        for effect in decision.effects { precondition(apply(effect), "\(effect) does not fit") }
    }

    /// Carries out an effect that must fit.
    mutating func take(_ effect: Effect, _ place: SourceLocation = #_sourceLocation) {
        if !apply(effect) { Issue.record("\(effect) does not fit", sourceLocation: place) }
    }

    /// Tries an effect that must not fit.
    mutating func refuse(_ effect: Effect, _ place: SourceLocation = #_sourceLocation) {
        if apply(effect) { Issue.record("\(effect) fits", sourceLocation: place) }
    }

    var pairs: [Pair] {
        var pairs: [Pair] = []
        forEachPair {
            pairs.append($0)
            return true
        }
        return pairs
    }

    /// The keys as `a,b`, in order.
    var keys: [String] { pairs.map(\.key.text) }
}

extension Tuple {
    /// The elements joined with commas.
    var text: String { elements.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",") }
}

extension Decision {
    var keys: [String] { answer.pairs.map(\.key.text) }
    var reasons: [Reason] { answer.rejected.map(\.reason) }
    var items: [Term] { answer.rejected.map(\.item) }
}
