// A file that appears under its name only when it is complete.

import CoreFoundation
import Glibc
import IPLD
import NIOCore
import Weft

/// Writes a file that gets its name when it is complete; `-` is standard output.
actor OutputFile {
    private enum Target {
        case standardOutput
        /// A device or a pipe, which is written as it is: it cannot be replaced.
        case device(OpenDescriptor)
        case file(PartialFile, name: [UInt8])
    }

    /// Who may read the file.
    enum Readers {
        case everyone
        case secret

        fileprivate var mode: mode_t { self == .secret ? 0o600 : 0o666 }
    }

    private var target: Target
    /// How many bytes have been written.
    private(set) var bytes: UInt64 = 0

    /// Opens the file for writing. nil and `-` mean standard output.
    init(_ path: String?, _ readers: Readers = .everyone) throws {
        guard let path, path != "-" else {
            target = .standardOutput
            return
        }
        var information = stat()
        if stat(path, &information) == 0 {
            let kind = information.st_mode & S_IFMT
            guard kind != S_IFDIR else {
                throw CommandFailure("'\(path)' is a directory; name a file with -o")
            }
            if kind != S_IFREG {
                target = .device(try OpenDescriptor(writing: path))
                return
            }
        }
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let name = Array(path.utf8[(slash.map(path.utf8.index(after:)) ?? path.startIndex)...])
        guard !name.isEmpty else {
            throw CommandFailure("there is no directory '\(path)'; name a file with -o")
        }
        let folder = try ExportFolder(named: slash.map { String(path[...$0]) } ?? ".")
        target = .file(try folder.newFile(mode: readers.mode), name: name)
    }

    /// Appends bytes.
    func write(_ buffer: ByteBuffer) throws {
        bytes += UInt64(buffer.readableBytes)
        switch target {
        case .standardOutput: try StandardOutput.write(buffer)
        case .device(let device): try device.write(buffer)
        case .file(let file, _): try file.write(buffer)
        }
    }

    /// Gives the file its name.
    func complete() throws {
        switch target {
        case .standardOutput: try StandardOutput.flush()
        case .device: target = .standardOutput
        case .file(let file, let name):
            target = .standardOutput
            try file.complete(as: name, FileMetadata(), .replaced)
        }
    }

    /// Removes what was written so far.
    func abandon() { target = .standardOutput }
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
