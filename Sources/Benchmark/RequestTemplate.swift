import CChecksum
import Glibc
import TupleCore
import WireProtocol

/// A whole request frame for one pair, of which only numbers change from one request to the next: those of key, value,
/// session, sequence and low-water mark. Made once; a request then costs a copy, a few digits and two checksums.
struct RequestTemplate {
    /// The frame, its checksums not yet right.
    let bytes: [UInt8]
    /// Where the key's digits end.
    private let keyEnd: Int
    /// Where the value's digits end; nil where the request brings no value.
    private let valueEnd: Int?
    private let keyDigits: Int
    private let valueDigits: Int

    /// A number as an element: a letter, then the number, with zeros before it, in at most eighteen digits.
    static func element(_ letter: Character, _ number: UInt64, bytes: Int) -> String {
        let digits = String(number)
        return String(letter) + String(repeating: "0", count: bytes - 1 - digits.utf8.count) + digits
    }

    /// - Parameters:
    ///   - keyBytes: of the key's one element, 2 or more.
    ///   - valueBytes: of the value's one element, 2 or more.
    init(_ op: Operator, keyBytes: Int, valueBytes: Int) {
        precondition(keyBytes >= 2 && valueBytes >= 2, "a letter and a digit at least")
        let key = RequestTemplate.element("k", 0, bytes: keyBytes)
        let value = RequestTemplate.element("v", 0, bytes: valueBytes)
        let payload: Term =
            switch op {
            case .put, .post: .list([.list([.list([.string(key)]), .list([.string(value)])])])
            case .get, .delete: .list([.list([.string(key)]), .string(".*")])
            }
        let request = Request(operatorName: op.rawValue, payload: payload)
        bytes = Frame(Header(.request), payload: request.payloadBytes).encoded
        keyEnd = RequestTemplate.end(of: key, in: bytes)
        keyDigits = min(keyBytes - 1, 18)
        valueDigits = min(valueBytes - 1, 18)
        switch op {
        case .put, .post: valueEnd = RequestTemplate.end(of: value, in: bytes)
        case .get, .delete: valueEnd = nil
        }
    }

    /// - Precondition: `output` has room for the template's bytes.
    func write(
        to output: UnsafeMutableRawPointer, session: UInt64, sequence: UInt64, lowWater: UInt64, key: UInt64
    ) {
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            memcpy(output, base, source.count)
        }
        RequestTemplate.write(key, digits: keyDigits, endingAt: output + keyEnd)
        if let valueEnd { RequestTemplate.write(sequence, digits: valueDigits, endingAt: output + valueEnd) }
        let payload = output + Header.byteCount
        let sum = twinspace_crc32c(0, payload, bytes.count - Header.byteCount)
        output.storeBytes(of: sum.littleEndian, toByteOffset: 12, as: UInt32.self)
        output.storeBytes(of: session.littleEndian, toByteOffset: 16, as: UInt64.self)
        output.storeBytes(of: sequence.littleEndian, toByteOffset: 24, as: UInt64.self)
        output.storeBytes(of: lowWater.littleEndian, toByteOffset: 48, as: UInt64.self)
        let headerSum = twinspace_crc32c(0, output, Header.byteCount - 4)
        output.storeBytes(of: headerSum.littleEndian, toByteOffset: 60, as: UInt32.self)
    }

    private static func write(_ number: UInt64, digits: Int, endingAt end: UnsafeMutableRawPointer) {
        var rest = number
        var place = end
        for _ in 0..<digits {
            place -= 1
            place.storeBytes(of: UInt8(48 + rest % 10), as: UInt8.self)
            rest /= 10
        }
    }

    private static func end(of text: String, in bytes: [UInt8]) -> Int {
        let wanted = Array(text.utf8)
        let last = bytes.count - wanted.count
        // From the payload's beginning: checksums before it may be any bytes.
        for start in Header.byteCount...last where bytes[start..<start + wanted.count].elementsEqual(wanted) {
            return start + wanted.count
        }
        preconditionFailure("the payload holds what it was made of")
    }
}
