// Pins: what this node keeps. A recursive pin fetches what is missing first.

public import BlockStore
import IPLD
public import Multiformats
import NIOCore
import Wire

/// How far the fetching of content that is to be pinned has come.
public struct PinProgress: Sendable, Hashable {
    /// Blocks that are here.
    public var blocks: UInt64 = 0
    /// Their bytes.
    public var bytes: UInt64 = 0
}

extension Node {
    /// Keeps content until it is unpinned. What is missing is fetched first, unless the node is
    /// offline.
    ///
    /// - Throws: `StoreError.incomplete` when a block is missing and the node is offline, or the
    ///   error of the retrieval.
    public func pin(
        _ cid: CID, _ kind: Pin.Kind = .recursive, name: String = "",
        progress: (@Sendable (PinProgress) -> Void)? = nil
    ) async throws {
        let isOnline = configuration.network == .online
        // To find out what is missing takes a count of references, to find nothing none.
        let isKnown = try await store.size(of: cid.hash) != nil
        if isKnown || !isOnline {
            do {
                try await store.pin(cid, kind, name: name)
                mesh.announcer?.added([cid])
                await computation.kept(cid)
                return
            } catch {
                guard case .incomplete = error, isOnline else { throw error }
            }
        }
        // A session protects what it holds, so that nothing is collected before the pin stands.
        let session = store.beginWrite()
        let scope = RetrievalScope(root: cid, extent: kind == .recursive ? .all : .block)
        // Large content takes as long as it takes, provided that it keeps coming.
        let source = retrieval.session(
            for: scope,
            limits: MeshOptions(deadline: nil, idleDeadline: configuration.fetch.deadline),
            storing: .byReader)
        var walk = DAGWalk(
            root: cid, scope: kind == .recursive ? .all : .block, repeats: .omitted)
        var done = PinProgress()
        // How many of the blocks that follow have been named.
        var named = 0
        while case .block(let next) = walk.next() {
            let ahead = walk.upcoming(ContentReader.readAhead)
            if named <= ContentReader.readAhead / 2 {
                source.prefetch(ahead)
                named = ahead.count
            }
            for block in try await source.wholeBlocks(from: next, ahead) {
                // What is linked to twice is passed over.
                guard case .block(let cid) = walk.next(), cid == block.cid else { continue }
                named = cid.codec == .raw ? named - 1 : 0
                try session.put(block)
                let bytes = block.bytes
                try walk.supply(bytes.readableBytesSpan)
                done.blocks += 1
                done.bytes += UInt64(bytes.readableBytes)
            }
            progress?(done)
        }
        session.pin(cid, kind, name: name)
        try await session.commit()
        mesh.announcer?.added([cid])
        await computation.kept(cid)
    }
}
