import CLibUV

/// Random bytes from the kernel, fit for identifiers that must not be guessed.
///
/// - Throws: when the kernel has none to give.
package func randomBytes(_ count: Int) throws(SystemError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let status = bytes.withUnsafeMutableBytes { uv_random(nil, nil, $0.baseAddress, $0.count, 0, nil) }
    guard status == 0 else { throw SystemError(status, doing: "read random bytes") }
    return bytes
}

/// As above, as a number.
package func randomUInt64() throws(SystemError) -> UInt64 {
    try randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
}
