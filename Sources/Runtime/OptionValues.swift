/// A flag's value.
enum OptionValue: Hashable, Sendable {
    case text(String)
    case address(Address)
    case addresses([Address])
    case duration(Duration)
    case integer(Int)
    /// In bytes.
    case size(Int)
    case toggle(Bool)
}

/// The values of a command line. Asking for an option that the specification does not have, or for another kind than
/// it has, is a mistake in the program and traps.
package struct OptionValues: Sendable {
    struct Table: Sendable {
        var values: [String: OptionValue] = [:]
        var given: Set<String> = []
        var known: Set<String> = []
    }

    let table: Table
    /// What stood beside the flags, in order; with a command, that comes first.
    package let positionals: [String]

    init(_ table: Table, positionals: [String]) {
        self.table = table
        self.positionals = positionals
    }

    /// True where the option was given, as a flag or in the environment, rather than left to its default.
    package func isGiven(_ name: String) -> Bool { table.given.contains(name) }

    /// Texts, choices, and the words that may stand for an address.
    package func textIfAny(_ name: String) -> String? {
        value(name) { if case .text(let text) = $0 { text } else { nil } }
    }
    package func text(_ name: String) -> String { require(textIfAny(name), name) }

    /// Nil also where a word stands for the address: `textIfAny` gives that.
    package func addressIfAny(_ name: String) -> Address? {
        value(name) { if case .address(let address) = $0 { address } else { nil } }
    }
    package func address(_ name: String) -> Address { require(addressIfAny(name), name) }

    /// Empty where there is none.
    package func addresses(_ name: String) -> [Address] {
        value(name) { if case .addresses(let addresses) = $0 { addresses } else { nil } } ?? []
    }

    package func durationIfAny(_ name: String) -> Duration? {
        value(name) { if case .duration(let duration) = $0 { duration } else { nil } }
    }
    package func duration(_ name: String) -> Duration { require(durationIfAny(name), name) }

    package func integerIfAny(_ name: String) -> Int? {
        value(name) { if case .integer(let integer) = $0 { integer } else { nil } }
    }
    package func integer(_ name: String) -> Int { require(integerIfAny(name), name) }

    /// In bytes.
    package func sizeIfAny(_ name: String) -> Int? {
        value(name) { if case .size(let bytes) = $0 { bytes } else { nil } }
    }

    /// False where a toggle was not given.
    package func isOn(_ name: String) -> Bool {
        value(name) { if case .toggle(let isOn) = $0 { isOn } else { nil } } ?? false
    }

    private func value<T>(_ name: String, _ extract: (OptionValue) -> T?) -> T? {
        precondition(table.known.contains(name), "there is no option --\(name)")
        return table.values[name].flatMap(extract)
    }

    private func require<T>(_ value: T?, _ name: String) -> T {
        guard let value else { preconditionFailure("--\(name) is neither required nor has a default of this kind") }
        return value
    }
}

/// Why a value was not taken.
struct OptionValueProblem: Error {
    var text: String
}

extension Option.Kind {
    func parse(_ text: String) -> Result<OptionValue, OptionValueProblem> {
        func problem(_ text: String) -> Result<OptionValue, OptionValueProblem> { .failure(.init(text: text)) }
        switch self {
        case .text:
            return text.isEmpty ? problem("the value is empty") : .success(.text(text))
        case .address(let words):
            if words.contains(text) { return .success(.text(text)) }
            do throws(AddressError) { return .success(.address(try Address(parsing: text))) } catch {
                return problem(error.description + words.map { "; '\($0)' is allowed too" }.joined())
            }
        case .addresses:
            var addresses: [Address] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                do throws(AddressError) { addresses.append(try Address(parsing: String(part))) } catch {
                    return problem(error.description)
                }
            }
            return .success(.addresses(addresses))
        case .duration(let range):
            guard let duration = Duration(unitText: text) else {
                return problem("'\(text)' is no duration; write \(allowed)")
            }
            guard range.contains(duration) else { return problem("'\(text)' is out of range; write \(allowed)") }
            return .success(.duration(duration))
        case .integer(let range):
            guard let integer = Int(text) else { return problem("'\(text)' is no whole number; write \(allowed)") }
            guard range.contains(integer) else { return problem("'\(text)' is out of range; write \(allowed)") }
            return .success(.integer(integer))
        case .size(let range):
            guard let bytes = ByteSize.bytes(text) else { return problem("'\(text)' is no size; write \(allowed)") }
            guard range.contains(bytes) else { return problem("'\(text)' is out of range; write \(allowed)") }
            return .success(.size(bytes))
        case .choice(let words):
            guard words.contains(text) else {
                let nearest = Spelling.nearest(to: text, among: words).map { "; did you mean \($0)?" } ?? ""
                return problem("'\(text)' is not allowed; write \(allowed)\(nearest)")
            }
            return .success(.text(text))
        case .toggle:
            switch text.lowercased() {
            case "true", "yes", "on", "1": return .success(.toggle(true))
            case "false", "no", "off", "0": return .success(.toggle(false))
            default: return problem("'\(text)' is not allowed; write \(allowed)")
            }
        }
    }

    /// What may be written, in words.
    var allowed: String {
        switch self {
        case .text(let placeholder): "a \(placeholder.lowercased())"
        case .address(let words): (["host:port"] + words).joined(separator: " or ")
        case .addresses: "host:port, or several with commas between them"
        case .duration(let range):
            "a duration from \(range.lowerBound.unitText) to \(range.upperBound.unitText), such as 50ms, 2s or 1m"
        case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .size(let range):
            "a size from \(ByteSize.text(range.lowerBound)) to \(ByteSize.text(range.upperBound)), such as 512MiB or 4GiB"
        case .choice(let words): "one of \(words.joined(separator: ", "))"
        case .toggle: "true or false"
        }
    }

    /// The value's name on the help page; empty for a toggle.
    var placeholder: String {
        switch self {
        case .text(let placeholder): placeholder
        case .address(let words): (["ADDR"] + words).joined(separator: "|")
        case .addresses: "ADDR[,ADDR…]"
        case .duration: "D"
        case .integer: "N"
        case .size: "SIZE"
        case .choice(let words): words.joined(separator: "|")
        case .toggle: ""
        }
    }
}

extension Duration {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
    ]

    /// Parses `50ms`, `2s`, `1.5s`, `1m`, `1h`, `100us`: decimal digits, at most one point, and a unit. Nil for
    /// anything else, and beyond about 100 years.
    package init?(unitText text: String) {
        let bytes = Array(text.utf8)
        let number = bytes.prefix { (48...57).contains($0) || $0 == UInt8(ascii: ".") }
        let unitName = String(decoding: bytes[number.count...], as: UTF8.self)
        guard let unit = Duration.units.first(where: { $0.name == unitName }) else { return nil }
        let parts = number.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && $0.count <= 15 }) else { return nil }
        guard let whole = Int64(String(decoding: parts[0], as: UTF8.self)) else { return nil }
        let (product, overflow) = whole.multipliedReportingOverflow(by: unit.nanoseconds)
        guard !overflow, product <= 100 * 366 * 24 * 3_600_000_000_000 / 4 else { return nil }
        var nanoseconds = product
        var digitValue = unit.nanoseconds
        for digit in parts.dropFirst().joined() {
            digitValue /= 10
            nanoseconds += Int64(digit - 48) * digitValue
        }
        self = .nanoseconds(nanoseconds)
    }

    /// The duration as it would be typed, in the largest unit that needs no fraction: `1500ms`, `2s`. Microseconds
    /// are the finest; what is below is cut off.
    package var unitText: String {
        let (seconds, attoseconds) = components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        guard nanoseconds != 0 else { return "0s" }
        for unit in Duration.units where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
        }
        return "\(nanoseconds / 1000)us"
    }
}
