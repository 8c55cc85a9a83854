/// What servers register as the address where the others reach them: `host:port`, with an IPv6 address in brackets.
enum RegisteredAddress {
    /// Why nobody can dial it, and what to do; nil where somebody may.
    static func complaint(of text: String) -> String? {
        guard let flaw = flaw(of: text) else { return nil }
        return "nobody can dial the address '\(text)' that it registers: \(flaw); "
            + "start it with --advertise and an address where the other servers reach it"
    }

    private static func flaw(of text: String) -> String? {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return "it has no port" }
        var host = text[..<colon]
        let port = text[text.utf8.index(after: colon)...]
        guard !port.isEmpty, port.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt16(port), number > 0
        else {
            return "'\(port)' is no port from 1 to 65535"
        }
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return "it has no host" }
        let others: Set<UInt8> = isBracketed ? [UInt8(ascii: ":"), UInt8(ascii: "%")] : []
        guard host.utf8.allSatisfy({ isHostByte($0) || others.contains($0) }) else { return "'\(host)' is no host" }
        let zeros: Set<UInt8> = [UInt8(ascii: "0"), UInt8(ascii: ":"), UInt8(ascii: ".")]
        return host.utf8.allSatisfy { zeros.contains($0) } ? "it stands for all addresses of a machine" : nil
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}
