// A file whose bytes come one after the other: from a pipe, over HTTP, or from a file that is cut
// where its content says so.

import BlockStore
import IPLD
import Multiformats
import NIOCore

/// Cuts bytes that come one after the other into the pieces of a file.
struct PieceCutter {
    private var splitter: Splitter
    /// The content of the piece that is not complete yet.
    private var piece = ByteBuffer()

    /// `splitter` is a fresh one of the profile's chunker; making one may take longer than cutting
    /// a small file, so callers keep one and hand out copies.
    init(_ splitter: Splitter) { self.splitter = splitter }

    /// Takes the next piece out of `bytes`; nil if they are used up and the piece goes on.
    mutating func next(of bytes: inout ByteBuffer) -> ByteBuffer? {
        guard bytes.readableBytes > 0 else { return nil }
        guard let count = splitter.cut(bytes.readableBytesSpan) else {
            piece.writeBuffer(&bytes)
            bytes.clear()
            return nil
        }
        var end = bytes.readSlice(length: count) ?? ByteBuffer()
        piece.writeBuffer(&end)
        return last()
    }

    /// The piece that the end of the content ends; nil if there is none.
    mutating func last() -> ByteBuffer? {
        guard piece.readableBytes > 0 else { return nil }
        defer { piece = ByteBuffer() }
        return piece
    }
}

/// Makes leaves of pieces; any number of threads may share one.
struct LeafMaker: Sendable {
    let profile: Profile
    let put: @Sendable (Block) throws -> Void

    /// Stores a piece as a leaf. A leaf that is the whole file carries the file's metadata, if it
    /// can.
    func leaf(
        of piece: ByteBuffer, metadata: FileMetadata = FileMetadata()
    ) throws -> DAGEntry {
        let size = piece.readableBytes
        let envelope = LeafEnvelope(contentSize: size, profile: profile, metadata: metadata)
        var bytes = piece
        if !envelope.head.isEmpty || !envelope.tail.isEmpty {
            bytes = ByteBufferAllocator().buffer(
                capacity: size + envelope.head.count + envelope.tail.count)
            bytes.writeBytes(envelope.head)
            bytes.writeImmutableBuffer(piece)
            bytes.writeBytes(envelope.tail)
        }
        let block = try Block(hashing: bytes, codec: envelope.codec, hash: envelope.hash)
        try put(block)
        return DAGEntry(
            cid: envelope.cid(of: block), tsize: UInt64(bytes.readableBytes),
            contentSize: UInt64(size))
    }
}

/// Builds one file from its bytes as they come.
struct StreamImport {
    private let leaves: LeafMaker
    private let metadata: FileMetadata
    private var cutter: PieceCutter
    private var builder: FileBuilder
    /// The first piece, until it is known whether it is the whole file.
    private var first: ByteBuffer?
    private var count = 0

    /// Begins a file whose blocks go to `put`; see ``PieceCutter`` about the splitter.
    init(
        _ profile: Profile, _ splitter: Splitter, metadata: FileMetadata = FileMetadata(),
        put: @escaping @Sendable (Block) throws -> Void
    ) {
        leaves = LeafMaker(profile: profile, put: put)
        self.metadata = metadata
        cutter = PieceCutter(splitter)
        builder = FileBuilder(profile, metadata: metadata)
    }

    /// Takes the next bytes; writes the blocks that they complete.
    mutating func append(_ bytes: ByteBuffer) throws {
        var rest = bytes
        while let piece = cutter.next(of: &rest) { try add(piece) }
    }

    /// Ends the file and answers its root.
    mutating func finish() throws -> DAGEntry {
        if let piece = cutter.last() { try add(piece) }
        if let whole = first {
            if !metadata.isEmpty, leaves.profile.leaves == .dagPB {
                return try leaves.leaf(of: whole, metadata: metadata)
            }
            try emit(whole)
        }
        let root = builder.finish()
        try drain()
        return root
    }

    private mutating func add(_ piece: ByteBuffer) throws {
        count += 1
        if count == 1 {
            first = piece
            return
        }
        if let first {
            self.first = nil
            try emit(first)
        }
        try emit(piece)
    }

    private mutating func emit(_ piece: ByteBuffer) throws {
        builder.add(try leaves.leaf(of: piece))
        try drain()
    }

    private mutating func drain() throws {
        while let block = builder.nextBlock() { try leaves.put(Block(block)) }
    }
}

extension LeafEnvelope {
    /// How links name a block that was made with this envelope.
    func cid(of block: Block) -> CID {
        guard version == .v0, let cid = CID(v0: block.cid.hash) else { return block.cid }
        return cid
    }
}
