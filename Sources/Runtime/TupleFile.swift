import Glibc
package import TupleCore
package import TupleStore
import WireProtocol

/// A file of tuples: one pair a line, as a JSON array of key and value, `[["user","42"],["ada","lovelace"]]`.
package enum TupleFile {
    /// Why a file cannot be read or written; names the file, and the line where there is one.
    package struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String
    }

    /// All pairs of the file at `path`. A byte order mark and blank lines are passed over.
    ///
    /// - Throws: where it cannot be read, or a line is no pair, or a key comes twice: nothing of it is used then.
    package static func read(_ path: String, rule: ElementRule) throws(Failure) -> [Pair] {
        let bytes = try contents(path)
        var pairs: [Pair] = []
        var firstLine: [Tuple: Int] = [:]
        var number = 0
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes.starts(with: mark) ? bytes.dropFirst(mark.count) : bytes[...]
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            let term: Term
            do throws(JSONError) { term = try JSON.parse([UInt8](line)) } catch {
                throw Failure(description: "\(path):\(number): \(error)")
            }
            guard let pair = Pair(term, rule: rule) else {
                let why = MalformedItem.detail(of: term, rule: rule) ?? "the line is no pair"
                throw Failure(description: "\(path):\(number): \(why)")
            }
            if let first = firstLine.updateValue(number, forKey: pair.key) {
                throw Failure(description: "\(path):\(number): the key stands in line \(first) already")
            }
            pairs.append(pair)
        }
        return pairs
    }

    /// Writes all pairs of `space`, in key order; a plain file appears under `path` only when it is whole and durable
    /// (``ExportFile``).
    package static func write(_ space: Space, to path: String) throws(Failure) {
        do throws(SystemError) {
            let file = try ExportFile(path, waits: false)
            var buffer: [UInt8] = []
            var problem: SystemError?
            func flush() {
                do throws(SystemError) { try file.write(buffer) } catch { problem = error }
                buffer.removeAll(keepingCapacity: true)
            }
            space.forEachPair { pair in
                JSON.write(Term(pair), to: &buffer)
                buffer.append(UInt8(ascii: "\n"))
                if buffer.count >= 1_048_576 { flush() }
                return problem == nil
            }
            if problem == nil { flush() }
            if let problem { throw problem }
            try file.commit()
        } catch {
            throw Failure(description: "\(error)")
        }
    }

    private static func contents(_ path: String) throws(Failure) -> [UInt8] {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path, "open") }
        defer { Glibc.close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1_048_576)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, "read") }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
    }

    private static func failure(_ path: String, _ doing: String) -> Failure {
        Failure(description: "cannot \(doing) \(path): \(String(cString: strerror(errno)))")
    }
}
