import Testing

@testable import Runtime

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:7400", "127.0.0.1", 7400),
        ("localhost:0", "localhost", 0),
        ("proxy_1.example-host.org:65535", "proxy_1.example-host.org", 65535),
        ("[::1]:80", "::1", 80),
        ("[2001:db8::1]:7400", "2001:db8::1", 7400),
    ])
    func parsesAndPrintsBack(text: String, host: String, port: UInt16) throws {
        let address = try Address(parsing: text)
        #expect(address == Address(host: host, port: port))
        #expect(address.description == text)
    }

    /// Hosts are sources; ports are not, and an IPv6 network of 64 bits is one.
    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1", true), ("10.0.0.1", "10.0.0.2", false), ("::ffff:10.0.0.1", "10.0.0.1", true),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true), ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ("::1", "127.0.0.1", false),
    ])
    func sourcesAreTold(apart one: String, _ other: String, _ isSame: Bool) throws {
        let first = try #require(SocketAddress(numericHost: one, port: 1)).sourceKey
        let second = try #require(SocketAddress(numericHost: other, port: 2)).sourceKey
        #expect((first == second) == isSame)
        #expect(first != 0 && second != 0)
    }

    @Test(arguments: [
        ("", AddressError.Reason.empty), ("7400", .missingPort), ("host", .missingPort), ("host:", .missingPort),
        (":7400", .missingHost), ("host:http", .badPort), ("host:-1", .badPort), ("host:65536", .portOutOfRange),
        ("host:99999999999999999999999", .portOutOfRange), ("::1:7400", .needsBrackets),
        ("[::1:7400", .unclosedBracket),
        ("[::1]", .missingPort), ("[::1]7400", .missingPort), ("[::1]:", .missingPort), ("[host]:1", .notIPv6),
        ("[127.0.0.1]:1", .notIPv6), ("[]:1", .notIPv6), ("ho st:1", .badHost), ("a/b:1", .badHost),
        ("a\u{0}b:1", .badHost), ("[::1\u{0}]:1", .notIPv6), ("hôte:1", .badHost), ("[:::]:1", .notIPv6),
        (String(repeating: "a", count: 254) + ":1", .badHost),
    ])
    func refusesWithTheReason(text: String, reason: AddressError.Reason) {
        let error = #expect(throws: AddressError.self) { try Address(parsing: text) }
        #expect(error?.reason == reason)
        #expect(error?.description.contains("'\(text)' is no address") == true)
    }

    @Test func resolvesNumericHostsWithoutALookUp() throws {
        try withLoop { loop in
            try Address(parsing: "[::1]:7400").resolve(on: loop) { result in
                #expect((try? result.get())?.map(\.address) == [Address(host: "::1", port: 7400)])
                loop.stop()
            }
        }
    }

    @Test func resolvesLocalhost() throws {
        try withLoop { loop in
            Address(host: "localhost", port: 99).resolve(on: loop) { result in
                let addresses = (try? result.get())?.map(\.address) ?? []
                #expect(!addresses.isEmpty)
                #expect(addresses.allSatisfy { ["127.0.0.1", "::1"].contains($0.host) && $0.port == 99 })
                loop.stop()
            }
        }
    }

    @Test func anUnknownNameIsAnError() throws {
        try withLoop { loop in
            Address(host: "no-such-host.invalid", port: 1).resolve(on: loop) { result in
                if case .success = result { Issue.record("resolved a name that cannot exist") }
                loop.stop()
            }
        }
    }
}
