import TupleCore
import WireProtocol

/// A line of `batch`: `{"op": "PUT", "payload": …}`.
enum BatchLine {
    /// The longest line that is read.
    static let maximumBytes = 64 * 1_048_576

    /// Why a line is no request.
    struct Problem: Error, Equatable {
        var message: String
    }

    static func request(_ line: ArraySlice<UInt8>) throws(Problem) -> Request {
        let term: Term
        do throws(JSONError) { term = try JSON.parse(line) } catch { throw Problem(message: "\(error)") }
        guard case .object(let members) = term else {
            throw Problem(message: #"not an object such as {"op": "GET", "payload": ["user,.*", ".*"]}"#)
        }
        var name: [UInt8]?
        var payload: Term?
        for member in members {
            switch String(decoding: member.name, as: UTF8.self) {
            case "op":
                guard name == nil, case .string(let text) = member.value else {
                    throw Problem(message: "'op' is not one string")
                }
                name = text
            case "payload":
                guard payload == nil else { throw Problem(message: "'payload' is there twice") }
                payload = member.value
            default: break
            }
        }
        guard let name else { throw Problem(message: "'op' is missing") }
        guard let payload else { throw Problem(message: "'payload' is missing") }
        return Request(operatorName: String(decoding: name, as: UTF8.self), payload: payload)
    }
}

/// Finds the lines in bytes that come in pieces of any size; an overlong line is passed over, and so is a byte order mark
/// at the beginning.
struct LineSplitter {
    enum Line: Equatable {
        /// Without its end.
        case text(ArraySlice<UInt8>)
        case tooLong
    }

    let maximumBytes: Int
    private var buffer: [UInt8] = []
    private var begin = 0
    /// Where to look for the line's end.
    private var searched = 0
    private var isSkipping = false
    private var hasEnded = false
    private var isAtBeginning = true
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    mutating func append(_ bytes: [UInt8]) {
        if begin > 0 {
            buffer.removeSubrange(..<begin)
            searched -= begin
            begin = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// What is left is the last line, even without its end.
    mutating func end() { hasEnded = true }

    /// The next line; nil where more bytes are needed, or none are left.
    mutating func next() -> Line? {
        if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) { return take(to: end, resumeAt: end + 1) }
        if hasEnded, begin < buffer.count || isSkipping { return take(to: buffer.count, resumeAt: buffer.count) }
        searched = buffer.count
        if buffer.count - begin > maximumBytes {
            isSkipping = true
            begin = buffer.count
        }
        return nil
    }

    private mutating func take(to end: Int, resumeAt next: Int) -> Line {
        if isAtBeginning, buffer[begin..<end].starts(with: LineSplitter.byteOrderMark) {
            begin += LineSplitter.byteOrderMark.count
        }
        isAtBeginning = false
        defer {
            begin = next
            searched = next
            isSkipping = false
        }
        if isSkipping || end - begin > maximumBytes { return .tooLong }
        let hasReturn = end > begin && buffer[end - 1] == UInt8(ascii: "\r")
        return .text(buffer[begin..<(hasReturn ? end - 1 : end)])
    }
}
