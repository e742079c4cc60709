// A file that appears under its name only when it is complete.

import Glibc
import NIOCore

/// Writes a file beside its place and renames it when it is complete; `-` is standard output.
actor OutputFile {
    private enum Target {
        case standardOutput
        case file(descriptor: Int32, temporary: String)
    }

    /// Who may read the file.
    enum Readers {
        case everyone
        case secret

        fileprivate var mode: mode_t { self == .secret ? 0o600 : 0o666 }
    }

    private let path: String
    private var target: Target
    /// How many bytes have been written.
    private(set) var bytes: UInt64 = 0

    /// Opens the file for writing. nil and `-` mean standard output.
    init(_ path: String?, _ readers: Readers = .everyone) throws {
        guard let path, path != "-" else {
            self.path = "-"
            target = .standardOutput
            return
        }
        self.path = path
        var information = stat()
        if stat(path, &information) == 0 {
            let kind = information.st_mode & S_IFMT
            guard kind != S_IFDIR else {
                throw CommandFailure("'\(path)' is a directory; name a file with -o")
            }
            // A device or a pipe is written as it is: it cannot be replaced.
            if kind != S_IFREG {
                let descriptor = open(path, O_WRONLY | O_CLOEXEC)
                guard descriptor >= 0 else { throw Self.failure("open", path) }
                target = .file(descriptor: descriptor, temporary: "")
                return
            }
        }
        let temporary = "\(path).weft-\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, readers.mode)
        guard descriptor >= 0 else { throw Self.failure("create", path) }
        target = .file(descriptor: descriptor, temporary: temporary)
    }

    /// Appends bytes.
    func write(_ buffer: ByteBuffer) throws {
        bytes += UInt64(buffer.readableBytes)
        switch target {
        case .standardOutput:
            try StandardOutput.write(buffer)
        case .file(let descriptor, _):
            try buffer.withUnsafeReadableBytes { bytes in
                var done = 0
                while done < bytes.count, let base = bytes.baseAddress {
                    let count = Glibc.write(descriptor, base + done, bytes.count - done)
                    guard count >= 0 || errno == EINTR else { throw Self.failure("write", path) }
                    done += max(count, 0)
                }
            }
        }
    }

    /// Gives the file its name.
    func complete() throws {
        guard case .file(let descriptor, let temporary) = target else {
            return try StandardOutput.flush()
        }
        target = .standardOutput
        guard close(descriptor) == 0 else { throw Self.failure("write", path) }
        guard temporary.isEmpty || rename(temporary, path) == 0 else {
            throw Self.failure("replace", path)
        }
    }

    /// Removes what was written so far.
    func abandon() {
        guard case .file(let descriptor, let temporary) = target else { return }
        target = .standardOutput
        close(descriptor)
        if !temporary.isEmpty { unlink(temporary) }
    }

    private static func failure(_ verb: String, _ path: String) -> CommandFailure {
        CommandFailure("cannot \(verb) '\(path)': \(String(cString: strerror(errno)))")
    }
}

/// The bytes of standard input or of a file, read on a thread of their own.
struct InputFile: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    static let chunkBytes = 256 << 10

    /// The path; `-` for standard input.
    let path: String

    func makeAsyncIterator() -> Iterator { Iterator(path: path) }

    /// Reads one chunk after the other.
    struct Iterator: AsyncIteratorProtocol {
        fileprivate let path: String
        private var descriptor: OpenDescriptor?

        fileprivate init(path: String) { self.path = path }

        mutating func next() async throws -> ByteBuffer? {
            let open = try descriptor ?? OpenDescriptor(path)
            descriptor = open
            return try await open.read(InputFile.chunkBytes)
        }
    }
}
