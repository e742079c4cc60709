// Bytes that a contract reads by range: held in memory, or fetched piece by piece.

public import NIOCore

/// Bytes that a contract can read.
public enum Content: Sendable {
    /// Bytes in memory.
    case bytes(ByteBuffer)
    /// Bytes that are somewhere else.
    case file(any ContentFile)

    /// No bytes.
    public static let empty = Content.bytes(ByteBuffer())

    /// How many bytes there are.
    public var size: Int64 {
        switch self {
        case .bytes(let buffer): Int64(buffer.readableBytes)
        case .file(let file): file.size
        }
    }
}

/// A file that contracts read by range.
public protocol ContentFile: Sendable {
    /// How many bytes it has.
    var size: Int64 { get }

    /// Copies the bytes from `offset` on into `target`, which does not reach beyond the end. It may
    /// block. What cannot be had is thrown: it is no result of a call.
    func read(from offset: Int64, into target: UnsafeMutableRawBufferPointer) throws

    /// A range that does not reach beyond the end, as buffers one after the other.
    func read(_ range: Range<Int64>, _ take: (ByteBuffer) throws -> Void) throws
}

/// A read-only directory, as WASI programs see it.
public protocol ContentDirectory: Sendable {
    /// What a path of plain names leads to; nil if there is nothing. It may block.
    func open(_ path: [String]) throws -> ContentEntry?

    /// The entries of the directory that a path leads to, in their order; nil if there is none. It
    /// may block, and is asked again for each part of a long listing.
    func list(_ path: [String]) throws -> [ContentName]?
}

/// What is in a directory.
public enum ContentEntry: Sendable {
    /// A file.
    case file(any ContentFile)
    /// A directory, which is listed apart: most that are found on the way never are.
    case directory
}

/// An entry of a directory.
public struct ContentName: Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Whether it is a directory, if the listing tells.
    public var isDirectory: Bool?

    /// An entry.
    public init(_ name: String, isDirectory: Bool?) {
        self.name = name
        self.isDirectory = isDirectory
    }
}

extension Content {
    /// Copies bytes from `offset` on; `target` does not reach beyond the end.
    func copy(from offset: Int64, into target: UnsafeMutableRawBufferPointer) throws {
        switch self {
        case .bytes(let buffer):
            buffer.withUnsafeReadableBytes { bytes in
                target.copyMemory(from: .init(rebasing: bytes[Int(offset)...].prefix(target.count)))
            }
        case .file(let file): try file.read(from: offset, into: target)
        }
    }

    /// Appends a range to a buffer.
    func append(_ range: Range<Int64>, to out: inout ByteBuffer) throws {
        switch self {
        case .bytes(let buffer):
            let start = buffer.readerIndex + Int(range.lowerBound)
            out.writeImmutableBuffer(
                buffer.getSlice(at: start, length: range.count) ?? ByteBuffer())
        case .file(let file): try file.read(range) { out.writeImmutableBuffer($0) }
        }
    }
}
