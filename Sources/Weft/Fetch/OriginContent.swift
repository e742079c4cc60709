// Content of a CID that nobody but an ordinary web server has: its bytes are made into blocks
// again, and handed out only if that gives the CID.

import BlockStore
import IPLD
import Multiformats
import NIOCore
import Synchronization
import Wire

/// Content that comes as plain bytes and has to turn out to be that of a CID.
struct OriginContent: Sendable {
    /// Where the blocks are kept until their root is known, and afterwards.
    enum Place: Sendable {
        /// The store, which holds at most this many bytes in all.
        case store(BlockStore, maxBytes: UInt64)
        case memory
    }

    let cid: CID
    let place: Place

    /// The ways to make blocks that are tried for a CID that is no plain hash of the content: those
    /// of IPIP-499, and that of `ipfs add --cid-version=1`.
    private var profiles: [Profile] {
        if cid.version == .v0 { return [.v0_2015] }
        var kubo = Profile.v0_2015
        kubo.cidVersion = .v1
        kubo.leaves = .raw
        return [.v1_2025, .v0_2015, kubo]
    }

    /// Reads a body to its end, and answers blocks that the content can be read from.
    ///
    /// - Throws: ``FetchError``: `unverifiable` if the bytes do not give the CID, `tooLarge` if
    ///   there are too many to keep; or an error of the store.
    func blocks(from body: Origin.Body) async throws -> any BlockSource {
        do {
            try cid.hash.checkVerifiable()
        } catch {
            throw FetchError(.unverifiable, "\(cid) cannot be verified here: \(error)")
        }
        let held = HeldBlocks()
        if cid.codec == .raw {
            let content = try await body.collect()
            do {
                try cid.hash.verify(content.readableBytesSpan)
            } catch {
                throw FetchError(.unverifiable, "the content of \(body.url) is not that of \(cid)")
            }
            held.put(content, as: cid.hash)
            // A longer one is no block of the network, and is not stored.
            if case .store(let store, _) = place, content.readableBytes <= BlockLimits.maxBytes {
                try await store.put(Block(verifying: content, as: cid))
            }
            return held
        }
        guard cid.codec == .dagPB, cid.hash.code == .sha2_256 else {
            throw FetchError(
                .unverifiable,
                "\(cid) is not the CID of a file, so the bytes of \(body.url) cannot be checked")
        }
        let source: any BlockSource
        var left: UInt64
        switch place {
        case .store(let store, let maxBytes):
            source = LocalBlocks(store)
            // The rest of the store keeps what it has.
            left = maxBytes / 2
        case .memory:
            source = held
            left = UInt64(Origin.Body.maxHeldBytes)
        }
        let limit = left
        let profiles = profiles
        let roots = try await build(profiles, in: held) {
            let part = try await body.next()
            let size = UInt64(part?.readableBytes ?? 0)
            guard size <= left else { throw body.tooLarge(limit) }
            left -= size
            return part
        }
        guard let found = roots.firstIndex(where: { $0.hash == cid.hash }) else {
            throw FetchError(
                .unverifiable,
                "the content of \(body.url) is not that of \(cid), or was made into blocks in a "
                    + "way that is not tried here")
        }
        if found > 0 {
            // The blocks that were kept are those of the first way.
            var content = FileStream(FileReader(root: roots[0]), from: source)
            _ = try await build([profiles[found]], in: held) { try await content.next() }
        }
        return source
    }

    /// Makes a file's blocks in several ways at once, and keeps those of the first. Answers the
    /// roots.
    private func build(
        _ profiles: [Profile], in held: HeldBlocks, from next: () async throws -> ByteBuffer?
    ) async throws -> [CID] {
        let session: WriteSession?
        switch place {
        case .store(let store, _): session = store.beginWrite()
        case .memory: session = nil
        }
        var files = profiles.indices.map { index in
            StreamImport(profiles[index], Splitter(profiles[index].chunker)) { block in
                guard index == 0 else { return }
                if let session {
                    try session.put(block)
                } else {
                    held.put(block.bytes, as: block.cid.hash)
                }
            }
        }
        while let part = try await next() {
            for index in files.indices { try files[index].append(part) }
        }
        var roots: [CID] = []
        for index in files.indices { roots.append(try files[index].finish().cid) }
        try await session?.commit()
        return roots
    }
}

/// Blocks in memory, for one answer.
private final class HeldBlocks: BlockSource {
    private let held = Mutex<[Multihash: ByteBuffer]>([:])

    func put(_ bytes: ByteBuffer, as hash: Multihash) {
        held.withLock { $0[hash] = bytes }
    }

    func block(_ cid: CID) async throws -> ByteBuffer {
        guard let bytes = held.withLock({ $0[cid.hash] }) else { throw BlockUnavailable(cid) }
        return bytes
    }

    func prefetch(_ cids: [CID]) {}
}
