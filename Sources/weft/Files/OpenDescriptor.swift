// An open file that is read without blocking the threads that answer.

import Glibc
import NIOCore
import NIOPosix

/// A file that is open for reading; closed when nobody uses it any more.
final class OpenDescriptor: Sendable {
    private let number: Int32
    private let path: String

    /// Opens a path; `-` is standard input.
    init(_ path: String) throws {
        self.path = path
        number = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else {
            throw CommandFailure("cannot open '\(path)': \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(number) }

    /// Up to `count` bytes; nil at the end.
    func read(_ count: Int) async throws -> ByteBuffer? {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            var buffer = ByteBufferAllocator().buffer(capacity: count)
            while true {
                var result = 0
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
                    result = Glibc.read(number, space.baseAddress, count)
                    return max(result, 0)
                }
                if result > 0 { return buffer }
                if result == 0 { return nil }
                guard errno == EINTR else {
                    throw CommandFailure(
                        "cannot read '\(path)': \(String(cString: strerror(errno)))")
                }
            }
        }
    }
}
