/// What a client asked of a space of at most eight keys, and what it was told: all that a judge of the history needs.
///
/// Keys are numbers from 0 to 7; a value is a number above 0, and 0 stands for "no value". So the whole space is one
/// vector, and so is what a GET or DELETE gives back.
package typealias SpaceVector = SIMD8<UInt32>

/// One request in a history.
package struct Operation: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// All pairs whose keys are in the mask.
        case get(UInt8)
        case delete(UInt8)
        /// A list of pairs, in its order.
        case put([Item])
        case post([Item])
    }

    package struct Item: Hashable, Sendable {
        package var key: Int
        package var value: UInt32
        package init(_ key: Int, _ value: UInt32) {
            self.key = key
            self.value = value
        }
    }

    package enum Ending: Hashable, Sendable {
        /// GET and DELETE: the pairs that were given back.
        case pairs(SpaceVector)
        /// PUT and POST: which items of the list were given back, by their places in it.
        case rejected(UInt64)
        /// The client was told that it was not carried out.
        case notDone
        /// It may have been carried out, may be still, or never.
        case unknown
    }

    package var client: Int
    package var kind: Kind
    /// When it was sent first.
    package var invoked: Int64
    /// When the answer came; after that it cannot take effect any more, unless its ending is `unknown`.
    package var returned: Int64
    package var ending: Ending

    package init(client: Int, _ kind: Kind, _ ending: Ending, from invoked: Int64, to returned: Int64) {
        self.client = client
        self.kind = kind
        self.ending = ending
        self.invoked = invoked
        self.returned = returned
    }

    /// The keys that it reads or writes.
    package var keys: UInt8 {
        switch kind {
        case .get(let mask), .delete(let mask): mask
        case .put(let items), .post(let items): items.reduce(0) { $0 | 1 << UInt8($1.key) }
        }
    }

    var changesNothing: Bool { if case .get = kind { true } else { false } }
}

/// The tuple space as a sequential object: what the operators' definition says, and nothing of how it is built.
package enum SpaceModel {
    /// Carries `kind` out on `state`.
    ///
    /// - Returns: what it gives back.
    package static func apply(_ kind: Operation.Kind, to state: inout SpaceVector) -> Operation.Ending {
        switch kind {
        case .get(let mask): return .pairs(select(state, mask))
        case .delete(let mask):
            let removed = select(state, mask)
            state = select(state, ~mask)
            return .pairs(removed)
        case .put(let items):
            var rejected: UInt64 = 0
            for (place, item) in items.enumerated() {
                if state[item.key] == 0 { state[item.key] = item.value } else { rejected |= 1 << UInt64(place) }
            }
            return .rejected(rejected)
        case .post(let items):
            var rejected: UInt64 = 0
            for (place, item) in items.enumerated() {
                if state[item.key] != 0 { state[item.key] = item.value } else { rejected |= 1 << UInt64(place) }
            }
            return .rejected(rejected)
        }
    }

    static func select(_ state: SpaceVector, _ mask: UInt8) -> SpaceVector {
        var selected = state
        for key in 0..<8 where mask & (1 << UInt8(key)) == 0 { selected[key] = 0 }
        return selected
    }
}

extension Operation: CustomStringConvertible {
    package var description: String {
        let end = ending == .unknown ? "…" : "\(returned / 1_000)"
        return "client \(client) [\(invoked / 1_000)…\(end) µs] \(asked) → \(told)"
    }

    /// What was asked, in words.
    package var asked: String {
        func list(_ items: [Item]) -> String { items.map { "k\($0.key)=\($0.value)" }.joined(separator: ",") }
        func keys(_ mask: UInt8) -> String {
            (0..<8).filter { mask & (1 << UInt8($0)) != 0 }.map { "k\($0)" }.joined(separator: "|")
        }
        return switch kind {
        case .get(let mask): "GET \(keys(mask))"
        case .delete(let mask): "DELETE \(keys(mask))"
        case .put(let items): "PUT \(list(items))"
        case .post(let items): "POST \(list(items))"
        }
    }

    /// What was told, in words.
    package var told: String {
        switch ending {
        case .pairs(let pairs):
            "[" + (0..<8).filter { pairs[$0] != 0 }.map { "k\($0)=\(pairs[$0])" }.joined(separator: ",") + "]"
        case .rejected(let places): places == 0 ? "ok" : "gave back items \(String(places, radix: 2))"
        case .notDone: "not done"
        case .unknown: "unknown"
        }
    }
}
