import CLibUV
import Glibc

/// A host and a port as an operator writes them: `host:port`, `192.0.2.1:7400`, `[2001:db8::1]:7400`.
package struct Address: Hashable, Sendable, CustomStringConvertible {
    /// A name, an IPv4 address or an IPv6 address (without brackets).
    package var host: String
    /// 0 lets the kernel choose, for listeners.
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// - Throws: `AddressError`, with what is wrong and how to write it.
    package init(parsing text: String) throws(AddressError) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty else { throw AddressError(text, .empty) }
        let portText: ArraySlice<UInt8>
        if bytes[0] == UInt8(ascii: "[") {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else { throw AddressError(text, .unclosedBracket) }
            host = String(decoding: bytes[1..<end], as: UTF8.self)
            guard SocketAddress(numericHost: host, port: 0)?.isIPv6 == true else {
                throw AddressError(text, .notIPv6)
            }
            guard end + 1 < bytes.count, bytes[end + 1] == UInt8(ascii: ":") else {
                throw AddressError(text, .missingPort)
            }
            portText = bytes[(end + 2)...]
        } else {
            guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { throw AddressError(text, .missingPort) }
            guard !bytes[..<colon].contains(UInt8(ascii: ":")) else { throw AddressError(text, .needsBrackets) }
            guard colon > 0 else { throw AddressError(text, .missingHost) }
            guard colon <= 253, bytes[..<colon].allSatisfy(Address.isHostByte) else {
                throw AddressError(text, .badHost)
            }
            host = String(decoding: bytes[..<colon], as: UTF8.self)
            portText = bytes[(colon + 1)...]
        }
        guard !portText.isEmpty else { throw AddressError(text, .missingPort) }
        guard portText.allSatisfy({ (48...57).contains($0) }) else { throw AddressError(text, .badPort) }
        guard portText.count <= 8, let port = UInt16(String(decoding: portText, as: UTF8.self)) else {
            throw AddressError(text, .portOutOfRange)
        }
        self.port = port
    }

    package var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether it stands for all addresses of a machine.
    var isWildcard: Bool {
        let zeros: Set<UInt8> = [UInt8(ascii: "0"), UInt8(ascii: ":"), UInt8(ascii: ".")]
        return host.utf8.allSatisfy { zeros.contains($0) }
    }

    /// Where others reach a listener on all addresses, given that this is one end of a connection of the same machine; nil
    /// where they cannot, or only from the same network segment.
    func reachable(listening wildcard: Address) -> Address? {
        let isIPv6 = host.utf8.contains(UInt8(ascii: ":"))
        if isIPv6, !wildcard.host.utf8.contains(UInt8(ascii: ":")) || host.lowercased().hasPrefix("fe80") { return nil }
        return isWildcard ? nil : Address(host: host, port: wildcard.port)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}

/// Text that is no address.
package struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        case empty, missingHost, missingPort, badHost, badPort, portOutOfRange, unclosedBracket, notIPv6, needsBrackets
    }

    package var text: String
    package var reason: Reason

    init(_ text: String, _ reason: Reason) {
        self.text = text
        self.reason = reason
    }

    package var description: String {
        let why =
            switch reason {
            case .empty: "it is empty; write host:port"
            case .missingHost:
                "the host is missing; write 127.0.0.1:PORT for this machine, 0.0.0.0:PORT for all networks"
            case .missingPort: "the port is missing; write host:port"
            case .badHost: "the host is neither a name nor an address"
            case .badPort: "the port is not a number"
            case .portOutOfRange: "the port is out of range; 0 to 65535 are allowed"
            case .unclosedBracket: "the bracket is not closed; write [IPv6]:port"
            case .notIPv6: "what is in brackets is no IPv6 address"
            case .needsBrackets: "an IPv6 address goes in brackets; write [IPv6]:port"
            }
        return "'\(text)' is no address: \(why)"
    }
}

/// What the kernel takes for an address: numeric, IPv4 or IPv6.
struct SocketAddress {
    private var storage = sockaddr_storage()

    /// Nil where `numericHost` is no IPv4 or IPv6 address.
    init?(numericHost: String, port: UInt16) {
        guard !numericHost.utf8.contains(0) else { return nil }
        let status = withUnsafeMutableBytes(of: &storage) { bytes -> Int32 in
            guard let base = bytes.baseAddress else { return -1 }
            if uv_ip4_addr(numericHost, Int32(port), base.assumingMemoryBound(to: sockaddr_in.self)) == 0 { return 0 }
            return uv_ip6_addr(numericHost, Int32(port), base.assumingMemoryBound(to: sockaddr_in6.self))
        }
        guard status == 0 else { return nil }
    }

    init(copying address: UnsafePointer<sockaddr>, length: Int) {
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: min(length, $0.count)))
        }
    }

    /// Fills itself by a C call such as `uv_tcp_getsockname`; nil where that fails.
    init?(filling call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<Int32>) -> Int32) {
        var length = Int32(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutableBytes(of: &storage) { bytes -> Int32 in
            guard let base = bytes.baseAddress else { return -1 }
            return call(base.assumingMemoryBound(to: sockaddr.self), &length)
        }
        guard status == 0 else { return nil }
    }

    var isIPv6: Bool { storage.ss_family == sa_family_t(AF_INET6) }

    var length: socklen_t {
        socklen_t(isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
    }

    func withPointer<R>(_ body: (UnsafePointer<sockaddr>) -> R) -> R {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
        }
    }

    /// Numeric host and port.
    var address: Address {
        withPointer { pointer in
            var text = [CChar](repeating: 0, count: 64)
            let port: UInt16
            if isIPv6 {
                port = pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { v6 in
                    uv_ip6_name(v6, &text, text.count)
                    return UInt16(bigEndian: v6.pointee.sin6_port)
                }
            } else {
                port = pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { v4 in
                    uv_ip4_name(v4, &text, text.count)
                    return UInt16(bigEndian: v4.pointee.sin_port)
                }
            }
            return Address(
                host: String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self), port: port)
        }
    }
}

extension Address {
    /// Resolves on libuv's thread pool; a numeric host needs no look-up and is answered in the next iteration, so that
    /// it never waits for a busy pool. There is no way to cut a look-up short: let a timer of your own decide.
    func resolve(on loop: EventLoop, then: @escaping (Result<[SocketAddress], SystemError>) -> Void) {
        if let numeric = SocketAddress(numericHost: host, port: port) {
            loop.soon { then(.success([numeric])) }
            return
        }
        let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
        request.pointee.data = Unmanaged.passRetained(Resolution(self, then)).toOpaque()
        let status = Address.lookUp(loop, request, host, port) { request, status, results in
            guard let request, let data = request.pointee.data else { return }
            let resolution = Unmanaged<Resolution>.fromOpaque(data).takeRetainedValue()
            let addresses = Address.collect(results)
            request.deallocate()
            resolution.finish(status, addresses)
        }
        if status != 0 {
            Unmanaged<Resolution>.fromOpaque(request.pointee.data).release()
            request.deallocate()
            let error = SystemError(status, doing: "resolve \(host)")
            loop.soon { then(.failure(error)) }
        }
    }

    /// Resolves here and now; for listeners, when a daemon starts.
    func resolveBlocking(on loop: EventLoop) throws(SystemError) -> [SocketAddress] {
        if let numeric = SocketAddress(numericHost: host, port: port) { return [numeric] }
        let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
        defer { request.deallocate() }
        let status = Address.lookUp(loop, request, host, port, nil)
        guard status == 0 else { throw SystemError(status, doing: "resolve \(host)") }
        return Address.collect(request.pointee.addrinfo)
    }

    private static func lookUp(
        _ loop: EventLoop, _ request: UnsafeMutablePointer<uv_getaddrinfo_t>, _ host: String, _ port: UInt16,
        _ callback: uv_getaddrinfo_cb?
    ) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_protocol = Int32(IPPROTO_TCP)
        return uv_getaddrinfo(loop.raw, request, callback, host, String(port), &hints)
    }

    private static func collect(_ results: UnsafeMutablePointer<addrinfo>?) -> [SocketAddress] {
        var addresses: [SocketAddress] = []
        var next = results
        while let entry = next {
            let family = entry.pointee.ai_family
            if family == AF_INET || family == AF_INET6, let address = entry.pointee.ai_addr {
                addresses.append(SocketAddress(copying: address, length: Int(entry.pointee.ai_addrlen)))
            }
            next = entry.pointee.ai_next
        }
        uv_freeaddrinfo(results)
        return addresses
    }

    private final class Resolution {
        private let address: Address
        private let then: (Result<[SocketAddress], SystemError>) -> Void

        init(_ address: Address, _ then: @escaping (Result<[SocketAddress], SystemError>) -> Void) {
            self.address = address
            self.then = then
        }

        func finish(_ status: Int32, _ addresses: [SocketAddress]) {
            if status == 0, !addresses.isEmpty {
                then(.success(addresses))
            } else {
                let code = status == 0 ? UV_EAI_NONAME.rawValue : status
                then(.failure(SystemError(code, doing: "resolve \(address.host)")))
            }
        }
    }
}
