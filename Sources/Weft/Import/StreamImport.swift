// A file whose bytes come one after the other: from a pipe, over HTTP, or from a file that is cut
// where its content says so.

import BlockStore
import IPLD
import Multiformats
import NIOCore

/// Builds one file from its bytes as they come.
struct StreamImport {
    private let profile: Profile
    private let put: @Sendable (Block) throws -> Void
    private var splitter: Splitter
    private var builder: FileBuilder
    /// The content of the piece that is not complete yet.
    private var piece = ByteBuffer()

    /// Begins a file whose blocks go to `put`. `splitter` is a fresh one of the profile's chunker;
    /// making one may take longer than cutting a small file, so callers keep one and hand out
    /// copies.
    init(
        _ profile: Profile, _ splitter: Splitter, metadata: FileMetadata = FileMetadata(),
        put: @escaping @Sendable (Block) throws -> Void
    ) {
        self.profile = profile
        self.put = put
        self.splitter = splitter
        builder = FileBuilder(profile, metadata: metadata)
    }

    /// Takes the next bytes; writes the blocks that they complete.
    mutating func append(_ bytes: ByteBuffer) throws {
        var rest = bytes
        while rest.readableBytes > 0 {
            guard let count = splitter.cut(rest.readableBytesSpan) else {
                piece.writeBuffer(&rest)
                return
            }
            var end = rest.readSlice(length: count)!
            piece.writeBuffer(&end)
            try emitPiece()
        }
    }

    /// Ends the file and answers its root.
    mutating func finish() throws -> DAGEntry {
        if piece.readableBytes > 0 { try emitPiece() }
        let root = builder.finish()
        try drain()
        return root
    }

    private mutating func emitPiece() throws {
        let size = piece.readableBytes
        let envelope = LeafEnvelope(contentSize: size, profile: profile)
        var bytes = piece
        if !envelope.head.isEmpty || !envelope.tail.isEmpty {
            bytes = ByteBufferAllocator().buffer(
                capacity: size + envelope.head.count + envelope.tail.count)
            bytes.writeBytes(envelope.head)
            bytes.writeImmutableBuffer(piece)
            bytes.writeBytes(envelope.tail)
        }
        piece = ByteBuffer()
        let block = try Block(hashing: bytes, codec: envelope.codec)
        try put(block)
        builder.add(
            DAGEntry(
                cid: envelope.cid(of: block), tsize: UInt64(bytes.readableBytes),
                contentSize: UInt64(size)))
        try drain()
    }

    private mutating func drain() throws {
        while let block = builder.nextBlock() { try put(Block(block)) }
    }
}

extension LeafEnvelope {
    /// How links name a block that was made with this envelope.
    func cid(of block: Block) -> CID {
        guard version == .v0, let cid = CID(v0: block.cid.hash) else { return block.cid }
        return cid
    }
}
