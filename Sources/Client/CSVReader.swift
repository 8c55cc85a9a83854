/// Finds the rows of comma-separated text (RFC 4180) in bytes that come in pieces of any size: fields in quotes may hold
/// delimiters, line ends and doubled quotes. Line ends are CRLF, LF or CR; a byte order mark and empty lines are passed over.
/// A row that is not well formed is reported and passed over up to the end of its line.
struct CSVReader {
    enum Row: Equatable {
        /// The line is the one that the row begins on, from 1.
        case fields([[UInt8]], line: Int)
        case problem(String, line: Int)
    }

    private enum State {
        case fieldStart, plain, quoted, quoteInQuoted, skipping
    }

    /// All fields of a row together.
    static let maximumRowBytes = 16 * 1_048_576

    private let delimiter: UInt8
    private var state = State.fieldStart
    private var fields: [[UInt8]] = []
    private var field: [UInt8] = []
    private var rowBytes = 0
    private var line = 1
    private var rowLine = 1
    private var previous: UInt8 = 0
    private var offset = 0

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
    private static let quote = UInt8(ascii: "\"")

    /// - Parameter delimiter: what is between two fields: ASCII, and neither a quote nor a line end.
    init(delimiter: UInt8 = UInt8(ascii: ",")) { self.delimiter = delimiter }

    mutating func read(_ bytes: [UInt8], _ emit: (Row) -> Void) {
        for byte in bytes { read(byte, emit) }
    }

    /// The text ends here.
    mutating func finish(_ emit: (Row) -> Void) {
        switch state {
        case .quoted: emit(.problem("a quote that is opened here is never closed", line: rowLine))
        case .fieldStart where fields.isEmpty && field.isEmpty, .skipping: break
        case .fieldStart, .plain, .quoteInQuoted: endRow(emit)
        }
        reset()
    }

    private mutating func read(_ byte: UInt8, _ emit: (Row) -> Void) {
        let isSecondOfLineEnd = byte == 0x0A && previous == 0x0D
        previous = byte
        let isLineEnd = byte == 0x0A || byte == 0x0D
        if isLineEnd, !isSecondOfLineEnd { line += 1 }
        if offset < 3 {
            offset += 1
            if byte == CSVReader.byteOrderMark[offset - 1], field.count == offset - 1, fields.isEmpty {
                // What looks like the mark's beginning is kept until it turns out to be the whole of it.
                field.append(byte)
                state = .plain
                if offset == 3 { reset() }
                return
            }
            offset = 3
        }
        rowBytes += 1
        if rowBytes > CSVReader.maximumRowBytes, state != .skipping {
            return fail("the row is longer than \(CSVReader.maximumRowBytes) bytes", atLineEnd: isLineEnd, emit)
        }
        switch state {
        case .quoted:
            if byte == CSVReader.quote { state = .quoteInQuoted } else { field.append(byte) }
        case .skipping:
            if isLineEnd { reset() }
        case .fieldStart, .plain, .quoteInQuoted:
            // The line feed of a CRLF, of which the first half has ended the row.
            if isSecondOfLineEnd { return }
            if isLineEnd {
                endRow(emit)
            } else if byte == delimiter {
                endField()
            } else if byte == CSVReader.quote {
                quote(emit)
            } else if state == .quoteInQuoted {
                fail("text after a closing quote", atLineEnd: false, emit)
            } else {
                state = .plain
                field.append(byte)
            }
        }
    }

    private mutating func quote(_ emit: (Row) -> Void) {
        switch state {
        case .fieldStart: state = .quoted
        case .quoteInQuoted:
            field.append(CSVReader.quote)
            state = .quoted
        case .plain, .quoted, .skipping:
            fail("a quote inside a field that does not begin with one", atLineEnd: false, emit)
        }
    }

    private mutating func endField() {
        fields.append(field)
        field = []
        state = .fieldStart
    }

    private mutating func endRow(_ emit: (Row) -> Void) {
        let isEmptyLine = fields.isEmpty && field.isEmpty && state == .fieldStart
        let begin = rowLine
        if !isEmptyLine {
            endField()
            emit(.fields(fields, line: begin))
        }
        reset()
    }

    private mutating func fail(_ reason: String, atLineEnd: Bool, _ emit: (Row) -> Void) {
        emit(.problem(reason, line: rowLine))
        reset()
        if !atLineEnd { state = .skipping }
    }

    private mutating func reset() {
        state = .fieldStart
        fields = []
        field = []
        rowBytes = 0
        rowLine = line
    }
}
