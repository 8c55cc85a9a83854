public import TupleCore

/// Pairs on their way into a part of an answer.
public struct AnswerPart: Sendable {
    private var pairs = ByteWriter()
    private var count = 0

    public init() {}

    public var isEmpty: Bool { count == 0 }
    /// What the pairs take.
    public var byteCount: Int { pairs.bytes.count }

    /// - Parameters: a pair of packed tuples.
    public mutating func add(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        pairs.tuple(key)
        pairs.tuple(value)
        count += 1
    }

    /// The part as a response's payload.
    ///
    /// - Parameter explanation: of the answer's first part; empty where there is none.
    public func payload(explanation: String = "") -> [UInt8] {
        var writer = ByteWriter()
        writer.bytes.reserveCapacity(byteCount + explanation.utf8.count + 32)
        writer.answerHead(.ok, hasExplanation: !explanation.isEmpty)
        writer.length(count)
        writer.bytes.append(contentsOf: pairs.bytes)
        writer.length(0)
        if !explanation.isEmpty { writer.text(explanation) }
        return writer.bytes
    }
}

extension ByteWriter {
    fileprivate mutating func answerHead(
        _ status: Status, hasExplanation: Bool = false, message: String = "", warning: String = ""
    ) {
        byte(status.rawValue | (hasExplanation ? Answer.explained : 0))
        text(message)
        text(warning)
    }
}

/// Cuts an encoded answer into parts where it lies, without decoding it as a whole.
public struct StoredAnswerCursor: Hashable, Sendable {
    /// Where the next pair or rejected item begins.
    private var at = 0
    private var status = Status.ok
    private var pairs = 0
    private var items: Int?
    /// Whether the first part has been cut.
    public private(set) var hasBegun = false
    public private(set) var isAtEnd = false

    public init() {}

    /// - Parameters:
    ///   - bytes: an answer as ``Answer/payloadBytes``, the same each time.
    ///   - limit: about what the part may take; what is larger alone has a part of its own.
    /// - Throws: where the bytes are no answer.
    /// - Complexity: O(part); for the first part of an explained answer O(answer), since the explanation lies at the end.
    public mutating func next(of bytes: [UInt8], atMost limit: Int) throws(DecodingError) -> [UInt8] {
        var writer = ByteWriter()
        var explanation = ""
        var reader = ByteReader(bytes[at...])
        if hasBegun {
            writer.answerHead(status)
        } else {
            let code = try reader.byte()
            guard let status = Status(rawValue: code & ~Answer.explained) else { throw .invalid("status") }
            self.status = status
            let message = try reader.text()
            let warning = try reader.text()
            pairs = try reader.count(ofAtLeast: 2)
            if code & Answer.explained != 0 { explanation = try reader.explanation(behind: pairs) }
            writer.answerHead(status, hasExplanation: !explanation.isEmpty, message: message, warning: warning)
        }
        let first = bytes.count - reader.remaining
        let pairsTaken = try take(pairs, from: &reader, atMost: limit) { (reader) throws(DecodingError) in
            try reader.skipTuple()
            try reader.skipTuple()
        }
        let pairsEnd = bytes.count - reader.remaining
        writer.length(pairsTaken)
        writer.bytes.append(contentsOf: bytes[first..<pairsEnd])
        pairs -= pairsTaken
        try takeItems(from: &reader, of: bytes, atMost: limit - (pairsEnd - first), after: pairsTaken, into: &writer)
        if !explanation.isEmpty { writer.text(explanation) }
        at = bytes.count - reader.remaining
        hasBegun = true
        isAtEnd = pairs == 0 && items == 0
        return writer.bytes
    }

    private mutating func takeItems(
        from reader: inout ByteReader, of bytes: [UInt8], atMost limit: Int, after pairsTaken: Int,
        into writer: inout ByteWriter
    ) throws(DecodingError) {
        guard pairs == 0 else {
            writer.length(0)
            return
        }
        let left: Int
        if let items { left = items } else { left = try reader.count(ofAtLeast: 2) }
        let first = bytes.count - reader.remaining
        var taken = 0
        if pairsTaken == 0 || limit > 0 {
            taken = try take(left, from: &reader, atMost: limit) { (reader) throws(DecodingError) in
                _ = try reader.byte()
                try reader.skipTerm()
            }
        }
        writer.length(taken)
        writer.bytes.append(contentsOf: bytes[first..<bytes.count - reader.remaining])
        items = left - taken
    }

    /// Passes over items until they take as much as they may, at least over one.
    private func take(
        _ count: Int, from reader: inout ByteReader, atMost limit: Int,
        _ skip: (inout ByteReader) throws(DecodingError) -> Void
    ) throws(DecodingError) -> Int {
        let begin = reader.remaining
        var taken = 0
        while taken < count {
            var ahead = reader
            try skip(&ahead)
            if taken > 0, begin - ahead.remaining > limit { break }
            reader = ahead
            taken += 1
        }
        return taken
    }
}

extension ByteReader {
    mutating func skipTuple() throws(DecodingError) {
        for _ in 0..<(try count()) { _ = try run() }
    }

    mutating func skipTerm(depth: Int = 0) throws(DecodingError) {
        guard depth <= Limits.maximumTermDepth else { throw .tooLong }
        switch try byte() {
        case 0, 1, 2: break
        case 3, 4: _ = try run()
        case 5: for _ in 0..<(try count()) { try skipTerm(depth: depth + 1) }
        case 6:
            for _ in 0..<(try count(ofAtLeast: 2)) {
                _ = try run()
                try skipTerm(depth: depth + 1)
            }
        default: throw .invalid("term tag")
        }
    }

    /// The explanation at an answer's end; this reader stays where the pairs begin.
    fileprivate func explanation(behind pairs: Int) throws(DecodingError) -> String {
        var ahead = self
        for _ in 0..<pairs {
            try ahead.skipTuple()
            try ahead.skipTuple()
        }
        for _ in 0..<(try ahead.count(ofAtLeast: 2)) {
            _ = try ahead.byte()
            try ahead.skipTerm()
        }
        return try ahead.text()
    }
}

extension Request {
    /// The operator that a request's payload names, without a look at the rest.
    public static func operatorName(in payload: ArraySlice<UInt8>) -> String? {
        var reader = ByteReader(payload)
        return try? reader.text(atMost: 256)
    }
}
