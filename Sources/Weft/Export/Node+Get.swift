// `get`: content becomes files and folders on disk.

import Glibc
import IPLD
import Multiformats
import NIOCore
import NIOPosix

/// How content becomes files.
public struct GetOptions: Sendable {
    /// What happens to files that are there already.
    public enum Existing: Sendable, Hashable {
        /// They stay, and `get` fails.
        case kept
        /// They are replaced, one by one; folders are merged.
        case replaced
    }

    /// What happens to files that are there already.
    public var existing = Existing.kept

    /// Nothing is overwritten.
    public init() {}
}

/// How far writing has come.
public struct GetProgress: Sendable, Hashable {
    /// Files and links that are complete.
    public var files: UInt64 = 0
    /// Bytes of content that were written.
    public var bytes: UInt64 = 0
}

extension Node {
    /// Writes content to disk: a file, or a folder with all it holds.
    ///
    /// Nothing is ever written outside of `target`, whatever the content says, and no link is
    /// followed below it. A file appears under its name when it is complete.
    /// - Parameters:
    ///   - path: as for ``resolve(_:)``.
    ///   - target: the file or folder to make. A folder that is there is added to.
    /// - Throws: ``ExportError``, ``SystemError``, ``ContentError``, or an error of the retrieval.
    @discardableResult
    public func get(
        _ path: String, to target: String, _ options: GetOptions = GetOptions(),
        progress: (@Sendable (GetProgress) -> Void)? = nil
    ) async throws -> GetProgress {
        let (root, segments) = try await immutable(path)
        let reader = ContentReader(blocks(of: root, below: segments, .all))
        let content = try await reader.resolve(segments, from: root)
        let absolute = try Files.absolute(target)
        let folder = try ExportFolder(named: Files.parent(of: absolute))
        var export = TreeExport(reader, options, progress)
        try await export.run(content, as: Array(Files.name(of: absolute).utf8), in: folder)
        return export.progress
    }
}

/// One call of `get`: walks a tree depth first, with one open folder a level.
struct TreeExport {
    /// How deep folders may lie in each other.
    static let maxDepth = 512

    private(set) var progress = GetProgress()
    private let reader: ContentReader
    private let options: GetOptions
    private let tell: (@Sendable (GetProgress) -> Void)?
    /// The folders on the way from the target to where the walk is.
    private var open: [(folder: ExportFolder, metadata: FileMetadata, entries: EntryStream)] = []

    init(
        _ reader: ContentReader, _ options: GetOptions, _ tell: (@Sendable (GetProgress) -> Void)?
    ) {
        self.reader = reader
        self.options = options
        self.tell = tell
    }

    /// Writes content under a name in a folder.
    mutating func run(
        _ content: ResolvedContent, as name: [UInt8], in folder: ExportFolder
    ) async throws {
        try await write(content, as: name, in: folder)
        while let last = open.indices.last {
            try Task.checkCancellation()
            guard let entry = try await open[last].entries.next() else {
                let (folder, metadata, _) = open.removeLast()
                try await onDisk { try folder.complete(metadata) }
                continue
            }
            // A name is checked before its content is fetched.
            _ = try open[last].folder.path(of: entry.name)
            let content = try await reader.resolve([], from: entry.cid)
            try await write(content, as: entry.name, in: open[last].folder)
        }
    }

    private mutating func write(
        _ content: ResolvedContent, as name: [UInt8], in folder: ExportFolder
    ) async throws {
        let existing = options.existing
        switch content.entity {
        case .directory(let metadata):
            let inner = try await onDisk { try folder.folder(name) }
            guard inner.depth <= Self.maxDepth else {
                throw ExportError.tooDeep(inner.path, limit: Self.maxDepth)
            }
            open.append((inner, metadata, reader.entries(of: content.cid)))
            return
        case .symlink(let target, let metadata):
            try await onDisk { try folder.link(name, to: target, metadata, existing) }
        case .file(_, let metadata):
            try await write(
                reader.read(content.cid), as: name, in: folder, metadata)
        case .node:
            try await write(
                ResponseBody(content.block), as: name, in: folder, FileMetadata())
        }
        progress.files += 1
        tell?(progress)
    }

    private mutating func write(
        _ body: ResponseBody, as name: [UInt8], in folder: ExportFolder, _ metadata: FileMetadata
    ) async throws {
        let existing = options.existing
        let file = try await onDisk {
            try folder.makeRoom(for: name, folder.path(of: name), existing)
            return try folder.newFile()
        }
        for try await part in body {
            try await onDisk { try file.write(part) }
            progress.bytes += UInt64(part.readableBytes)
            tell?(progress)
        }
        try await onDisk { try file.complete(as: name, metadata, existing) }
    }

    /// Runs what may wait for a disk where that holds up nobody.
    private func onDisk<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await NIOSingletons.posixBlockingThreadPool.runIfActive(body)
    }
}
