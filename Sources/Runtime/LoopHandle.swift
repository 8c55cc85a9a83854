import CLibUV

/// What a libuv handle's data points to: so that closing the loop can close all that lives on it.
package class LoopHandle {
    /// Close every libuv handle this holds.
    func loopIsClosing() {}
}

extension UnsafeMutablePointer {
    /// The same pointer as libuv's base "class", of which each handle's structure is an extension.
    var asHandle: UnsafeMutablePointer<uv_handle_t> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: uv_handle_t.self)
    }

    /// As above, for streams.
    var asStream: UnsafeMutablePointer<uv_stream_t> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: uv_stream_t.self)
    }
}

extension UnsafeMutablePointer<uv_handle_t> {
    /// Frees what was allocated as `type`; for close callbacks.
    func deallocateHandle<T>(_ type: T.Type) {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: type).deallocate()
    }
}

/// A system call that failed.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The error number, positive as in `<errno.h>`.
    package var code: Int32
    /// What was being done, as in "cannot …".
    package var action: String

    /// - Parameter status: a libuv status or an error number, of either sign.
    package init(_ status: Int32, doing action: String) {
        code = abs(status)
        self.action = action
    }

    /// The kernel's words for an error number or libuv status.
    package static func reason(_ status: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            guard let base = buffer.baseAddress, let text = uv_strerror_r(-abs(status), base, buffer.count) else {
                return "error \(status)"
            }
            return String(cString: text)
        }
    }

    package var reason: String { SystemError.reason(code) }
    package var description: String { "cannot \(action): \(reason)" }
}
