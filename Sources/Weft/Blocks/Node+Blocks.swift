// Single blocks and values: `block get|put|stat`, `dag get|put`, `resolve`.

import BlockStore
import HTTPTypes
import IPLD
public import Multiformats
public import NIOCore
import Wire

/// What a path leads to: a block, and names that lead on inside its value.
public struct ResolvedPath: Sendable, Hashable {
    /// The last block on the path.
    public let cid: CID
    /// The names that lead to a value inside of the block.
    public let remainder: [String]

    /// The path in its shortest form.
    public var path: String { "/ipfs/" + ([cid.description] + remainder).joined(separator: "/") }
}

extension Node {
    /// What `/ipfs/…`, `/ipns/…`, an `ipfs://` or `ipns://` URL or a bare CID with a path stands
    /// for. Blocks that are missing are fetched, unless the node is offline.
    public func resolve(_ path: String) async throws -> ResolvedPath {
        let resolved = try await resolveContent(path)
        return ResolvedPath(cid: resolved.cid, remainder: resolved.remainder)
    }

    /// As ``resolve(_:)``, with the block and what it is.
    public func resolveContent(_ path: String) async throws -> ResolvedContent {
        let (root, segments) = try await immutable(path)
        let source = blocks(of: root, below: segments, .block)
        return try await ContentReader(source).resolve(segments, from: root)
    }

    /// The root and segments that a path stands for after its name, if it has one, was looked up.
    public func immutable(_ path: String) async throws -> (root: CID, segments: [String]) {
        var path = Self.contentPath(path)
        if path.hasPrefix("/ipns/") { path = try await names.resolve(path).path }
        let parsed = try ContentPath(encoded: path)
        do {
            return (try CID(text: parsed.root), parsed.segments)
        } catch {
            throw ContentError(.badRequest, "'\(parsed.root)' is not a CID: \(error)")
        }
    }

    /// A source of blocks for one piece of work: the store, then, unless the node is offline,
    /// whoever has them.
    public func blocks(
        of root: CID, below segments: [String] = [], _ extent: RetrievalScope.Extent
    ) -> any BlockSource {
        guard configuration.network == .online else { return LocalBlocks(store) }
        // Large content takes as long as it takes, provided that it keeps coming.
        return retrieval.session(
            for: RetrievalScope(root: root, path: segments, extent: extent),
            limits: MeshOptions(deadline: nil, idleDeadline: configuration.fetch.deadline))
    }

    /// The bytes of one block.
    public func block(_ cid: CID) async throws -> ByteBuffer {
        try await blocks(of: cid, .block).block(cid)
    }

    /// Keeps a block of a codec of choice; it is durable when it returns.
    public func putBlock(
        _ bytes: ByteBuffer, codec: Codec = .raw, hash: HashCode = .sha2_256,
        pinning: AddOptions.Pinning = .unpinned
    ) async throws -> CID {
        try await put(Block(hashing: bytes, codec: codec, hash: hash), pinning)
    }

    /// Keeps a value; it is durable when it returns.
    ///
    /// - Parameters:
    ///   - input: how `bytes` are to be read.
    ///   - stored: how the value is stored.
    public func putValue(
        _ bytes: ByteBuffer, from input: Codec, as stored: Codec = .dagCBOR,
        hash: HashCode = .sha2_256, pinning: AddOptions.Pinning = .unpinned
    ) async throws -> CID {
        var encoded = bytes
        if input != stored || stored != .raw {
            let value = try IPLDCodec.decode(bytes.readableBytesSpan, codec: input)
            encoded = ByteBuffer(bytes: try IPLDCodec.encode(value, codec: stored))
        }
        return try await put(Block(hashing: encoded, codec: stored, hash: hash), pinning)
    }

    /// The value at a path, in a codec of choice.
    public func value(at path: String, as codec: Codec = .dagJSON) async throws -> [UInt8] {
        let resolved = try await resolveContent(path)
        var value = try IPLDCodec.decode(
            resolved.block.readableBytesSpan, codec: resolved.cid.codec)
        for name in resolved.remainder {
            value = try Self.step(into: value, name, of: resolved.cid)
        }
        return try IPLDCodec.encode(value, codec: codec)
    }

    private static func step(into value: Value, _ name: String, of cid: CID) throws -> Value {
        var next = value[name]
        if case .list = value, let index = Int(name) { next = value[index] }
        guard let next else {
            throw ContentError(.notFound, "\(cid) has nothing at '\(name)'")
        }
        return next
    }

    private func put(_ block: Block, _ pinning: AddOptions.Pinning) async throws -> CID {
        let session = store.beginWrite()
        try session.put(block)
        try await keep([block.cid], from: session, pinning)
        return block.cid
    }

    /// The path form of what people write.
    private static func contentPath(_ text: String) -> String {
        for scheme in ["ipfs", "ipns"] where text.lowercased().hasPrefix(scheme + "://") {
            return "/\(scheme)/" + text.dropFirst(scheme.count + 3)
        }
        return text.hasPrefix("/") ? text : "/ipfs/" + text
    }
}
