// Reads content over a source of blocks: the asynchronous side of Core's readers. Each method
// drives one machine, which says which block it needs and which it will need soon.

import HTTPTypes
public import Multiformats

/// Reads files, directories and graphs from a source of blocks.
public struct ContentReader: Sendable {
    /// How many blocks are asked for ahead of the one that is needed.
    static let readAhead = 16

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
        throw ContentError(.notImplemented, "not there yet")
    }

    /// The size of a file in bytes.
    public func size(of file: CID) async throws -> UInt64 {
        throw ContentError(.notImplemented, "not there yet")
    }

    /// The bytes of a file, or those of a range of it.
    public func read(_ file: CID, range: Range<UInt64>? = nil) -> ResponseBody {
        .empty
    }

    /// The entries of a directory, as they are found.
    public func list(
        _ directory: CID
    ) -> any (AsyncSequence<DirectoryEntry, any Error> & Sendable) {
        AsyncThrowingStream<DirectoryEntry, any Error> { $0.finish() }
    }

    /// A CARv1 of the blocks that lead from a root along a path, and of those below its end.
    public func exportCAR(
        _ segments: [String], from root: CID, selection: CARSelection
    ) -> ResponseBody {
        .empty
    }

    /// A tar archive of a file or a directory tree, with everything below `name`.
    public func exportTar(_ cid: CID, name: String) -> ResponseBody {
        .empty
    }
}
