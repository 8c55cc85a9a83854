import Glibc
import Runtime

/// Reads a file, pipe or terminal piece by piece on another thread, so that the loop never waits for it. The next piece
/// is read only when it is asked for: whoever writes faster than requests are answered is held back.
final class InputReader {
    enum Piece: Sendable {
        case bytes([UInt8])
        case end
        case failed(SystemError)
    }

    private let loop: EventLoop
    private let descriptor: Int32
    private let name: String
    private(set) var isReading = false
    private static let pieceBytes = 65_536

    /// - Parameter name: for errors.
    init(on loop: EventLoop, descriptor: Int32, name: String) {
        self.loop = loop
        self.descriptor = descriptor
        self.name = name
    }

    /// Opens `path` for reading; `-` is standard input.
    static func open(_ path: String, on loop: EventLoop) throws(SystemError) -> InputReader {
        if path == "-" { return InputReader(on: loop, descriptor: STDIN_FILENO, name: "standard input") }
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError(errno, doing: "open \(path)") }
        return InputReader(on: loop, descriptor: descriptor, name: path)
    }

    /// How many bytes there are altogether, where that is known.
    var size: Int? {
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(information.st_size)
    }

    /// - Precondition: no other piece is being read.
    func read(_ then: @escaping (Piece) -> Void) {
        precondition(!isReading, "one piece at a time")
        isReading = true
        let (descriptor, name) = (descriptor, name)
        loop.offload({ InputReader.readPiece(descriptor, name) }) { piece in
            self.isReading = false
            then(piece)
        }
    }

    private static func readPiece(_ descriptor: Int32, _ name: String) -> Piece {
        var buffer = [UInt8](repeating: 0, count: pieceBytes)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count > 0 { return .bytes([UInt8](buffer[..<count])) }
            if count == 0 { return .end }
            if errno == EAGAIN {
                var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                _ = Glibc.poll(&poll, 1, 1_000)
            } else if errno != EINTR {
                return .failed(SystemError(errno, doing: "read \(name)"))
            }
        }
    }
}
