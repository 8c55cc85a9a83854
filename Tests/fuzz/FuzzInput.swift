/// An input of the parser's fuzzer: a pattern and, behind the first byte FF (which no UTF-8 has), a subject.
struct FuzzInput {
    let pattern: ArraySlice<UInt8>
    let subject: String

    init(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        let end = bytes.firstIndex(of: 0xFF) ?? bytes.endIndex
        pattern = bytes[..<end]
        subject = String(decoding: bytes[end...].dropFirst(), as: UTF8.self)
    }

    /// nil where the pattern is not UTF-8, about which CPython can't be asked.
    var question: Oracle.Question? {
        guard let pattern = String(validating: pattern, as: UTF8.self) else { return nil }
        return Oracle.Question(pattern: pattern, subjects: subject.isEmpty ? [""] : ["", subject])
    }
}
