// Files: how large they are, when they were changed, and their bytes as a stream.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Wire

/// Drives the reader of a file. What it yields are slices of blocks, not copies; large leaves that
/// are stored here are read in parts, so that hundreds of slow readers hold little memory.
struct FileStream: ByteStream {
    /// How many bytes of a large leaf are read at a time.
    static let partSize = 32 << 10

    /// A leaf that is being read in parts.
    private struct Leaf {
        let cid: CID
        let size: Int
        /// What has not been handed out.
        var rest: Range<Int>
    }

    private var machine: FileReader
    private var block: ByteBuffer
    private var leaf: Leaf?
    private let source: any BlockSource

    /// Starts with a machine that has been supplied with `block`, if any.
    init(
        _ machine: FileReader, after block: ByteBuffer = ByteBuffer(), from source: any BlockSource
    ) {
        self.machine = machine
        self.block = block
        self.source = source
    }

    mutating func next() async throws -> ByteBuffer? {
        if let part = try await nextPart() { return part }
        while true {
            switch machine.next() {
            case .block(let cid):
                block = ByteBuffer()
                if let part = try await firstPart(of: cid) { return part }
                source.prefetch(machine.upcoming(ContentReader.readAhead))
                let block = try await source.bytes(of: cid)
                self.block = block
                do throws(DAGError) {
                    try machine.supply(block.readableBytesSpan)
                } catch {
                    throw ContentError(error, on: [])
                }
            case .bytes(let range):
                if !range.isEmpty { return block.slice(range) }
            case .size: continue
            case .done: return nil
            }
        }
    }

    /// Begins to read a leaf in parts, if it is large and stored here.
    private mutating func firstPart(of cid: CID) async throws -> ByteBuffer? {
        guard let leaf = machine.leaf, leaf.size > Self.partSize else { return nil }
        let first = leaf.wanted.prefix(Self.partSize)
        guard let part = try await source.part(first, of: cid, size: leaf.size) else { return nil }
        machine.passLeaf()
        self.leaf = Leaf(
            cid: cid, size: leaf.size, rest: first.upperBound..<leaf.wanted.upperBound)
        return part
    }

    /// The next part of the leaf that is being read; nil if there is none.
    private mutating func nextPart() async throws -> ByteBuffer? {
        guard let leaf, !leaf.rest.isEmpty else { return nil }
        let next = leaf.rest.prefix(Self.partSize)
        if let part = try await source.part(next, of: leaf.cid, size: leaf.size) {
            self.leaf?.rest = next.upperBound..<leaf.rest.upperBound
            return part
        }
        // It has gone from the store meanwhile; the rest comes from wherever it can be had.
        let whole = try await source.bytes(of: leaf.cid)
        guard whole.readableBytes == leaf.size else { throw BlockUnavailable(leaf.cid) }
        self.leaf = nil
        return whole.slice(leaf.rest)
    }
}

/// A file whose root has been read.
struct OpenFile {
    /// How many bytes it has.
    let size: UInt64
    /// When it was last changed, in seconds since 1970, if it says so.
    let modified: Int64?
    private let machine: FileReader
    private let block: ByteBuffer
    private let source: any BlockSource

    fileprivate init(_ resolved: ResolvedContent, from source: any BlockSource) throws {
        var machine = FileReader(root: resolved.cid)
        guard case .block = machine.next() else {
            preconditionFailure("a file begins with a block")
        }
        do throws(DAGError) {
            try machine.supply(resolved.block.readableBytesSpan)
        } catch {
            throw ContentError(error, on: [])
        }
        guard case .size(let size) = machine.next() else {
            preconditionFailure("a file's root tells its size")
        }
        self.size = size
        if case .file(_, let metadata) = resolved.entity {
            modified = metadata.modified?.seconds
        } else {
            modified = nil
        }
        self.machine = machine
        self.block = resolved.block
        self.source = source
    }

    /// The bytes of a range that lies within the file, or all of them.
    func stream(_ range: Range<UInt64>?) -> FileStream {
        var machine = machine
        if let range { machine.narrow(to: range) }
        return FileStream(machine, after: block, from: source)
    }
}

extension ContentReader {
    /// Opens a file whose root has been resolved.
    func file(_ resolved: ResolvedContent) throws -> OpenFile {
        try OpenFile(resolved, from: source)
    }
}
