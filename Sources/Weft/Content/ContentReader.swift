// Reads content over a source of blocks: the asynchronous side of Core's readers. Each stream
// drives one machine, which says which block it needs and which it will need soon.

import HTTPTypes
public import IPLD
public import Multiformats
import NIOCore
import Wire

/// Reads files, directories and graphs from a source of blocks.
public struct ContentReader: Sendable {
    /// How many blocks are named to the source ahead of the one that is needed.
    static let readAhead = 64

    /// Where the blocks come from.
    public let source: any BlockSource

    /// A reader over this source.
    public init(_ source: any BlockSource) {
        self.source = source
    }

    /// Follows a path through directories and other linked data.
    ///
    /// - Throws: ``ContentError`` 404 if a segment does not exist, or the source's error.
    public func resolve(_ segments: [String], from root: CID) async throws -> ResolvedContent {
        var resolver = PathResolver(root: root, path: segments)
        while true {
            switch resolver.next() {
            case .block(let cid):
                let block = try await source.bytes(of: cid)
                do throws(DAGError) {
                    try resolver.supply(block.readableBytesSpan)
                } catch {
                    throw ContentError(error, on: segments)
                }
            case .resolved(let end):
                let block = try await source.bytes(of: end.cid)
                var entity = Entity.node
                var fault: ContentError?
                do throws(DAGError) {
                    entity = try Entity(end.cid, block.readableBytesSpan)
                } catch {
                    fault = ContentError(error, on: segments)
                }
                return ResolvedContent(
                    cid: end.cid, block: block, entity: entity, roots: end.roots,
                    pathBlocks: end.blocks, remainder: end.remaining, fault: fault)
            }
        }
    }

    /// The size of a file in bytes.
    public func size(of file: CID) async throws -> UInt64 {
        try await self.file(resolve([], from: file)).size
    }

    /// The bytes of a file, or those of a range of it.
    public func read(_ file: CID, range: Range<UInt64>? = nil) -> ResponseBody {
        ResponseBody(FileStream(FileReader(root: file, range: range), from: source))
    }

    /// The entries of a directory, as they are found.
    public func list(_ directory: CID) -> DirectoryListing {
        DirectoryListing(entries: entries(of: directory))
    }

    /// A CARv1 of the blocks that lead from a root along a path, and of those below its end.
    ///
    /// The path must exist; a block that cannot be had ends the stream with an error.
    public func exportCAR(
        _ segments: [String], from root: CID, selection: CARSelection
    ) async throws -> ResponseBody {
        let resolved = try await resolve(segments, from: root)
        return ResponseBody(carStream(resolved, root: root, selection: selection))
    }

    /// A tar archive of a file or a directory tree, with everything below `name`.
    public func exportTar(_ cid: CID, name: String) -> ResponseBody {
        ResponseBody(tarStream(cid, name: name))
    }

    func entries(
        of directory: CID, names: DirectoryReader.Names = .plain
    ) -> EntryStream {
        EntryStream(DirectoryReader(root: directory, names: names), from: source)
    }
}

extension BlockSource {
    /// The bytes of a block; those that a CID holds itself need no source.
    func bytes(of cid: CID) async throws -> ByteBuffer {
        if cid.hash.code == .identity { return ByteBuffer(bytes: cid.hash.digest) }
        return try await block(cid)
    }
}

/// The entries of a directory, as they are found.
public struct DirectoryListing: AsyncSequence, Sendable {
    fileprivate let entries: EntryStream

    public func makeAsyncIterator() -> Iterator { Iterator(entries: entries) }

    /// Finds one entry after the other.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var entries: EntryStream

        /// The next entry; nil at the end.
        public mutating func next() async throws -> DirectoryEntry? {
            try await entries.next()
        }
    }
}

/// Drives the reader of a directory.
struct EntryStream: Sendable {
    private var machine: DirectoryReader
    private let source: any BlockSource

    init(_ machine: DirectoryReader, from source: any BlockSource) {
        self.machine = machine
        self.source = source
    }

    mutating func next() async throws -> DirectoryEntry? {
        while true {
            switch machine.next() {
            case .block(let cid):
                source.prefetch(machine.upcoming(ContentReader.readAhead))
                let block = try await source.bytes(of: cid)
                do throws(DAGError) {
                    try machine.supply(block.readableBytesSpan)
                } catch {
                    throw ContentError(error, on: [])
                }
            case .entry(let entry): return entry
            case .done: return nil
            }
        }
    }
}

extension ContentError {
    /// What a fault of the content means to someone who asked for a path.
    init(_ error: DAGError, on segments: [String]) {
        func upTo(_ index: Int) -> String {
            segments.prefix(index + 1).map { "/" + $0 }.joined()
        }
        switch error.fault {
        case .notFound(let index):
            self.init(.notFound, "there is no '\(upTo(index))' below the root of the path")
        case .symlink(_, let index):
            self.init(
                .notFound,
                "'\(upTo(index))' is below a symbolic link, which is not followed")
        case .notADirectory:
            self.init(.notFound, "the path leads through something that is no directory")
        case .notAFile: self.init(.badRequest, "\(error)")
        case .invalid(let fault) where fault.kind == .unsupported:
            self.init(.notImplemented, "the block \(error.cid) cannot be read: \(fault)")
        case .invalid(let fault):
            self.init(.internalServerError, "the block \(error.cid) is damaged: \(fault)")
        }
    }
}
