import CChecksum
import Glibc
import TupleCore
import WireProtocol

/// A whole request frame, of which only numbers change from one request to the next: those of keys, values, session,
/// sequence and low-water mark. Made once; a request then costs a copy, a few digits and two checksums.
struct RequestTemplate {
    /// The frame, its checksums not yet right.
    let bytes: [UInt8]
    /// Where the digits of the keys end, and those of the values, as many of both; no values where the request brings none.
    private let keyEnds: [Int]
    private let valueEnds: [Int]
    private let keyDigits: Int
    private let valueDigits: Int
    /// What a key's number is divided by: an expression leaves so many keys' last digits open.
    private let divisor: UInt64

    /// A number as an element: a letter, then the number, with zeros before it, in at most eighteen digits.
    static func element(_ letter: Character, _ number: UInt64, bytes: Int) -> String {
        let digits = String(number)
        return String(letter) + String(repeating: "0", count: bytes - 1 - digits.utf8.count) + digits
    }

    /// - Parameters:
    ///   - keyBytes: of the key's one element, 2 or more.
    ///   - valueBytes: of the value's one element, 2 or more.
    ///   - pairs: a power of ten. PUT and POST bring as many; GET and DELETE ask for keys that differ in the last digits
    ///     alone.
    init(_ op: Operator, keyBytes: Int, valueBytes: Int, pairs: Int = 1) {
        precondition(keyBytes >= 2 && valueBytes >= 2, "a letter and a digit at least")
        let open = String(pairs).utf8.count - 1
        precondition(pairs > 0 && keyBytes > open + 1, "a key has more digits than are left open")
        let value = RequestTemplate.element("v", 0, bytes: valueBytes)
        let payload: Term
        var key = RequestTemplate.element("k", 0, bytes: keyBytes)
        let brings: Bool
        switch op {
        case .put, .post:
            brings = true
            payload = .list([Term](repeating: .list([.list([.string(key)]), .list([.string(value)])]), count: pairs))
        case .get, .delete:
            brings = false
            key = RequestTemplate.element("k", 0, bytes: keyBytes - open)
            let expression = Term.string(key + String(repeating: ".", count: open))
            payload = .list([open == 0 ? .list([.string(key)]) : expression, .string(".*")])
        }
        divisor = brings ? 1 : UInt64(pairs)
        let request = Request(operatorName: op.rawValue, payload: payload)
        bytes = Frame(Header(.request), payload: request.payloadBytes).encoded
        keyEnds = RequestTemplate.ends(of: key, in: bytes, count: brings ? pairs : 1)
        keyDigits = min(key.utf8.count - 1, 18)
        valueDigits = min(valueBytes - 1, 18)
        valueEnds = brings ? RequestTemplate.ends(of: value, in: bytes, count: pairs) : []
    }

    /// - Parameter key: the number of the request's key with this place in the list.
    /// - Precondition: `output` has room for the template's bytes.
    func write(
        to output: UnsafeMutableRawPointer, session: UInt64, sequence: UInt64, lowWater: UInt64,
        key: (_ place: Int) -> UInt64
    ) {
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            memcpy(output, base, source.count)
        }
        for place in keyEnds.indices {
            RequestTemplate.write(key(place) / divisor, digits: keyDigits, endingAt: output + keyEnds[place])
        }
        for end in valueEnds { RequestTemplate.write(sequence, digits: valueDigits, endingAt: output + end) }
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

    /// Where the text ends each time it comes, from the payload's beginning: checksums before it may be any bytes.
    private static func ends(of text: String, in bytes: [UInt8], count: Int) -> [Int] {
        let wanted = Array(text.utf8)
        var ends: [Int] = []
        var start = Header.byteCount
        while ends.count < count, start + wanted.count <= bytes.count {
            if bytes[start] == wanted[0], bytes[start..<start + wanted.count].elementsEqual(wanted) {
                start += wanted.count
                ends.append(start)
            } else {
                start += 1
            }
        }
        precondition(ends.count == count, "the payload holds what it was made of")
        return ends
    }
}
