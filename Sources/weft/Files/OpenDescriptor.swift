// An open file that is read without blocking the threads that answer, or written as it is.

import Glibc
import NIOCore
import NIOPosix

/// An open file; closed when nobody uses it any more.
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

    /// Opens what is there at a path, to write to it.
    init(writing path: String) throws {
        self.path = path
        number = open(path, O_WRONLY | O_CLOEXEC)
        guard number >= 0 else {
            throw CommandFailure("cannot open '\(path)': \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(number) }

    /// Writes all of `buffer`.
    func write(_ buffer: ByteBuffer) throws {
        try buffer.withUnsafeReadableBytes { bytes in
            var done = 0
            while done < bytes.count, let base = bytes.baseAddress {
                let count = Glibc.write(number, base + done, bytes.count - done)
                guard count >= 0 || errno == EINTR else {
                    throw CommandFailure(
                        "cannot write '\(path)': \(String(cString: strerror(errno)))")
                }
                done += max(count, 0)
            }
        }
    }

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
