// Adding what comes as a stream: one file from a pipe, or a tree of files whose paths and bytes
// arrive one after the other, as in a form upload.

import BlockStore
public import IPLD
import Multiformats
import NIOCore
import NIOPosix

/// A tree that is being uploaded. Files come one at a time, in any order.
///
/// Nothing of it is kept before ``finish()``.
public actor Upload {
    /// The deepest path that is taken, in names.
    public static let maxDepth = TreeImport.maxDepth

    private struct Folder {
        var folders: [[UInt8]: Folder] = [:]
        var entries: [(name: [UInt8], root: DAGEntry)] = []
        var metadata = FileMetadata()
    }

    private let options: AddOptions
    private let session: ImportSink
    /// A splitter before its first byte, to copy for each file.
    private let splitter: Splitter
    private let node: Node
    private var top = Folder()
    private var progress = AddProgress()

    /// Begins an upload into a node.
    public init(into node: Node, _ options: AddOptions = AddOptions()) throws {
        guard options.placement != .referenced else {
            throw ImportError.cannotReference("a stream")
        }
        self.options = options
        splitter = Splitter(options.profile.chunker)
        self.node = node
        session = ImportSink(node.store, options.placement)
    }

    /// Adds a file; its folders come into being with it.
    ///
    /// - Parameter tell: is told how many bytes of it have come; it has to be quick.
    public func addFile(
        _ path: String, _ body: ResponseBody, metadata: FileMetadata = FileMetadata(),
        progress tell: (@Sendable (UInt64) -> Void)? = nil
    ) async throws -> AddedEntry {
        let names = try Self.names(of: path)
        let leaves = LeafMaker(profile: options.profile, put: session.put)
        let file = ParallelImport(leaves, splitter, metadata: metadata)
        let (root, bytes) = try await file.run(body, progress: tell)
        progress.files += 1
        progress.bytes += bytes
        insert(root, at: names[...], in: &top)
        return Self.added(path, root)
    }

    /// Adds a folder that may be empty.
    public func addFolder(_ path: String, metadata: FileMetadata = FileMetadata()) throws {
        let names = try Self.names(of: path)
        Self.withFolder(names[...], in: &top) { $0.metadata = metadata }
    }

    /// Adds a symbolic link.
    public func addLink(_ path: String, to target: String) throws -> AddedEntry {
        let names = try Self.names(of: path)
        let link = options.profile.symlink(to: Array(target.utf8))
        try session.put(Block(link.block))
        insert(link.entry, at: names[...], in: &top)
        return Self.added(path, link.entry)
    }

    /// Builds the folders and makes everything durable.
    ///
    /// - Returns: every folder, those inside before those around; and the roots.
    public func finish() async throws -> (folders: [AddedEntry], result: AddResult) {
        var folders: [AddedEntry] = []
        let wrapped = try build(top, path: "", &folders)
        var roots: [AddedEntry] = []
        if options.wrapping == .folder {
            roots = [wrapped]
        } else {
            folders.removeLast()
            roots = top.entries.map {
                Self.added(String(decoding: $0.name, as: UTF8.self), $0.root)
            }
            roots += folders.filter { !$0.path.utf8.contains(UInt8(ascii: "/")) }
        }
        guard !roots.isEmpty else { throw ImportError.nothing }
        try await node.keep(roots.map(\.cid), from: session, options.pinning)
        return (folders, AddResult(roots: roots, total: progress))
    }

    private func insert(_ root: DAGEntry, at names: ArraySlice<[UInt8]>, in folder: inout Folder) {
        Self.withFolder(names.dropLast(), in: &folder) {
            $0.entries.append((name: names.last!, root: root))
        }
    }

    private static func withFolder(
        _ names: ArraySlice<[UInt8]>, in folder: inout Folder, _ body: (inout Folder) -> Void
    ) {
        guard let first = names.first else { return body(&folder) }
        withFolder(names.dropFirst(), in: &folder.folders[first, default: Folder()], body)
    }

    private func build(
        _ folder: Folder, path: String, _ built: inout [AddedEntry]
    ) throws -> AddedEntry {
        var builder = DirectoryBuilder(options.profile, metadata: folder.metadata)
        do {
            for entry in folder.entries { try builder.add(entry.name, entry.root) }
            let names = folder.folders.keys.sorted { $0.lexicographicallyPrecedes($1) }
            for name in names {
                let text = String(decoding: name, as: UTF8.self)
                let inner = try build(
                    folder.folders[name]!, path: path.isEmpty ? text : path + "/" + text, &built)
                try builder.add(
                    name,
                    DAGEntry(
                        cid: inner.cid, tsize: inner.tsize, contentSize: inner.contentSize))
            }
            let root = try builder.finish()
            while let block = builder.nextBlock() { try session.put(Block(block)) }
            built.append(Self.added(path, root))
            return Self.added(path, root)
        } catch let error as NameError {
            throw ImportError.nameRefused(path, reason: error)
        }
    }

    private static func added(_ path: String, _ root: DAGEntry) -> AddedEntry {
        AddedEntry(path: path, cid: root.cid, contentSize: root.contentSize, tsize: root.tsize)
    }

    private static func names(of path: String) throws -> [[UInt8]] {
        let names = path.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }
        guard !names.isEmpty else { throw ImportError.nameRefused(path, reason: .empty) }
        guard names.count <= maxDepth else { throw ImportError.tooDeep(path, limit: maxDepth) }
        for name in names where name == [0x2e] || name == [0x2e, 0x2e] {
            throw ImportError.nameRefused(path, reason: .dots)
        }
        return names
    }
}
