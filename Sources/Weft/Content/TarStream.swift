// A tar archive of a UnixFS tree being written, depth first. No path in it leads out of its root.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Wire

extension ContentReader {
    /// The archive of a file or directory, under a name.
    func tarStream(_ cid: CID, name: String) -> TarStream {
        TarStream(cid, name: name, from: self)
    }
}

/// Drives readers of directories and files and frames what they yield.
struct TarStream: ByteStream {
    /// Directories may lie this deep; a deeper tree is refused.
    static let maxDepth = 256

    private struct Level {
        var path: String
        var entries: EntryStream
    }

    private enum Work {
        case entry(CID, path: String)
        case content(FileStream, left: UInt64, size: UInt64)
        case between
        case done
    }

    private let reader: ContentReader
    private var levels: [Level] = []
    private var work: Work
    private let root: String
    private var hasLink = false
    private var hasResolvedName = false

    init(_ cid: CID, name: String, from reader: ContentReader) {
        self.reader = reader
        root = name
        work = .entry(cid, path: name)
    }

    mutating func next() async throws -> ByteBuffer? {
        while true {
            switch work {
            case .entry(let cid, let path): return try await open(cid, path)
            case .content(var stream, let left, let size):
                if let bytes = try await stream.next() {
                    let count = UInt64(bytes.readableBytes)
                    guard count <= left else { throw lies(size) }
                    work = .content(stream, left: left - count, size: size)
                    return bytes
                }
                guard left == 0 else { throw lies(size) }
                work = .between
                let padding = TarFormat.padding(after: size)
                if !padding.isEmpty { return ByteBuffer(bytes: padding) }
            case .between:
                guard let level = levels.indices.last else {
                    work = .done
                    return ByteBuffer(bytes: TarFormat.trailer)
                }
                var entries = levels[level].entries
                let entry = try await entries.next()
                levels[level].entries = entries
                guard let entry else {
                    levels.removeLast()
                    continue
                }
                guard let name = String(validating: entry.name, as: UTF8.self) else {
                    throw ContentError(
                        .internalServerError, "a name in '\(levels[level].path)' is not UTF-8")
                }
                work = .entry(entry.cid, path: try path(of: name, in: levels[level].path))
            case .done: return nil
            }
        }
    }

    /// The header of an entry; what comes after it is left in ``work``.
    private mutating func open(_ cid: CID, _ path: String) async throws -> ByteBuffer {
        let resolved = try await reader.resolve([], from: cid)
        if let fault = resolved.fault { throw fault }
        work = .between
        func header(_ kind: TarFormat.Kind, _ metadata: FileMetadata) -> ByteBuffer {
            ByteBuffer(
                bytes: TarFormat.header(
                    path: path, kind: kind, mode: metadata.mode,
                    mtime: metadata.modified?.seconds))
        }
        switch resolved.entity {
        case .file(let size, let metadata):
            work = .content(try reader.file(resolved).stream(nil), left: size, size: size)
            return header(.file(size: size), metadata)
        case .directory(let metadata):
            guard levels.count < Self.maxDepth else {
                throw ContentError(
                    .internalServerError, "'\(path)' lies over \(Self.maxDepth) directories deep")
            }
            let entries = reader.entries(of: cid, names: .relative)
            levels.append(Level(path: path, entries: entries))
            return header(.directory, metadata)
        case .symlink(let target, let metadata):
            guard let target = String(validating: target, as: UTF8.self) else {
                throw ContentError(.internalServerError, "the link '\(path)' is not UTF-8")
            }
            hasLink = true
            try refuseNamesThroughLinks()
            return header(.symlink(target: target), metadata)
        case .node:
            throw ContentError(
                .notAcceptable, "'\(path)' is neither a file nor a directory; use format=car")
        }
    }

    /// The path of a name below a directory. A name like `../a` is resolved here, because whoever
    /// unpacks the archive should see none, and must not lead out of the archive's root.
    private mutating func path(
        of name: String, in directory: String
    ) throws(ContentError) -> String {
        guard name.utf8.contains(UInt8(ascii: "/")) else { return "\(directory)/\(name)" }
        hasResolvedName = true
        try refuseNamesThroughLinks()
        // The root's own name is one part, whatever characters it has.
        var parts = directory.dropFirst(root.count).split(separator: "/")
        for part in name.split(separator: "/") where part != "." {
            guard part == ".." else {
                parts.append(part)
                continue
            }
            guard parts.popLast() != nil else { throw outside(name, directory) }
        }
        guard !parts.isEmpty else { throw outside(name, directory) }
        return root + parts.map { "/" + $0 }.joined()
    }

    private func outside(_ name: String, _ directory: String) -> ContentError {
        ContentError(
            .internalServerError,
            "the name '\(name)' in '\(directory)' leads out of the archive's root")
    }

    /// Together the two could lead a program that unpacks the archive to anywhere.
    private func refuseNamesThroughLinks() throws(ContentError) {
        guard hasLink, hasResolvedName else { return }
        throw ContentError(
            .internalServerError,
            "the content has both symbolic links and names with '/', which no archive may have")
    }

    private func lies(_ size: UInt64) -> ContentError {
        ContentError(.internalServerError, "a file does not have the \(size) bytes it says")
    }
}
