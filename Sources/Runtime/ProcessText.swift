import Glibc
import TupleCore

/// The process's arguments and environment as text. What is not UTF-8 is refused: made to fit it would stand for another
/// key, another file, another operation than the one that was meant.
package enum ProcessText {
    /// - Throws: where one is not UTF-8; it is named by its place and shown with its odd bytes as `\xe9`.
    package static func arguments(_ raw: [[UInt8]] = rawArguments(), program: String) throws(OptionsError) -> [String] {
        var arguments: [String] = []
        for (position, bytes) in raw.enumerated() {
            guard UTF8Check.isValid(bytes) else {
                throw problem(program, "argument \(position + 1), '\(shown(bytes))', is not UTF-8")
            }
            arguments.append(String(decoding: bytes, as: UTF8.self))
        }
        return arguments
    }

    /// The variables; those of others than this program may be anything.
    package static func environment(
        _ raw: [[UInt8]] = rawEnvironment(), program: String
    ) throws(OptionsError) -> [String: String] {
        var variables: [String: String] = [:]
        for bytes in raw {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = String(decoding: bytes[..<end], as: UTF8.self)
            guard UTF8Check.isValid(bytes) || !name.hasPrefix("TWINSPACE_") else {
                throw problem(program, "the variable \(name), '\(shown([UInt8](bytes[(end + 1)...])))', is not UTF-8")
            }
            if variables[name] == nil { variables[name] = String(decoding: bytes[(end + 1)...], as: UTF8.self) }
        }
        return variables
    }

    /// Without the program's name.
    package static func rawArguments() -> [[UInt8]] { [[UInt8]](list(CommandLine.unsafeArgv).dropFirst()) }

    package static func rawEnvironment() -> [[UInt8]] { list(environ) }

    private static func list(_ pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> [[UInt8]] {
        var texts: [[UInt8]] = []
        while let text = pointers[texts.count] {
            texts.append([UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text))))
        }
        return texts
    }

    private static func problem(_ program: String, _ text: String) -> OptionsError {
        OptionsError(program: program, problem: text + "; write it in UTF-8")
    }

    private static func shown(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            if (0x20..<0x7F).contains(byte) {
                text.unicodeScalars.append(UnicodeScalar(byte))
            } else {
                text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text
    }
}
