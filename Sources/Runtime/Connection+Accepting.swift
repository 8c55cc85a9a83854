import CLibUV
import Glibc

/// Connections that others have made: taken from a listener, handed from one loop to another.
extension Connection {
    /// Takes a waiting connection from a listener. Nil where it is gone already.
    static func accept(from server: UnsafeMutablePointer<uv_stream_t>, on loop: EventLoop) -> Connection? {
        let connection = Connection(on: loop)
        guard connection.openHandle() == 0, let tcp = connection.tcp else { return nil }
        guard uv_accept(server, tcp.asStream) == 0 else {
            connection.state = .closed
            connection.closeHandle()
            return nil
        }
        connection.state = .open
        connection.establishedAt = loop.now
        uv_tcp_nodelay(tcp, 1)
        return connection
    }

    /// Gives the connection up to another thread: nothing may have been read from it or sent, and it closes here.
    ///
    /// - Returns: a descriptor of it, which is the caller's to close, as is its slot.
    /// - Throws: when the kernel gives none; the connection is closed all the same.
    func detach() throws(SystemError) -> Int32 {
        defer { close() }
        let descriptor = self.descriptor
        guard state == .open, descriptor >= 0 else {
            throw SystemError(UV_ENOTCONN.rawValue, doing: "hand a connection over")
        }
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw SystemError(errno, doing: "hand a connection over") }
        return copy
    }

    /// Takes what another loop's connection was detached to, and the descriptor with it; reading has not begun. Nil where
    /// the kernel will not have it: then the descriptor is closed.
    static func adopt(_ descriptor: Int32, on loop: EventLoop) -> Connection? {
        let connection = Connection(on: loop)
        guard connection.openHandle() == 0, let tcp = connection.tcp else {
            _ = Glibc.close(descriptor)
            return nil
        }
        guard uv_tcp_open(tcp, descriptor) == 0 else {
            connection.state = .closed
            connection.closeHandle()
            _ = Glibc.close(descriptor)
            return nil
        }
        connection.state = .open
        return connection
    }
}
